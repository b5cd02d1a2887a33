"""AWS Backup as far as its restore tests go: moto knows none. Each test makes the jobs that it needs."""

import json
import re
import threading

STATUSES = {"FAILED", "SUCCESSFUL", "TIMED_OUT", "VALIDATING"}
LAST = STATUSES - {"VALIDATING"}
VALIDATIONS = re.compile("/restore-jobs/([^/]+)/validations")


class RestoreTests:
    """https://docs.aws.amazon.com/aws-backup/latest/devguide/API_PutRestoreValidationResult.html"""

    def __init__(self):
        self.lock = threading.Lock()
        self.jobs: dict[str, dict | None] = {}

    def make(self, job: str) -> None:
        with self.lock:
            self.jobs[job] = None

    def validated(self) -> list[dict]:
        """What each job was told."""
        with self.lock:
            return [{"restoreJobId": job, **(told or {})} for job, told in self.jobs.items()]

    def call(self, method: str, path: str, body: bytes) -> tuple[str, str, str]:
        """Status, error type and message; both empty where it was taken."""
        asked = VALIDATIONS.fullmatch(path)
        if method != "PUT" or not asked:
            return "404 Not Found", "UnknownOperationException", f"{method} {path} is not known here"
        told = json.loads(body or b"{}")
        if told.get("ValidationStatus") not in STATUSES or set(told) - {"ValidationStatus", "ValidationStatusMessage"}:
            return "400 Bad Request", "InvalidParameterValueException", f"{told} is no validation result"
        with self.lock:
            if asked[1] not in self.jobs:
                return "400 Bad Request", "ResourceNotFoundException", f"Restore job {asked[1]} does not exist."
            before = self.jobs[asked[1]]
            if before and before["ValidationStatus"] in LAST:
                return "400 Bad Request", "InvalidRequestException", f"Restore job {asked[1]} has been validated."
            self.jobs[asked[1]] = told
        return "204 No Content", "", ""
