"""AWS Backup as far as its restore tests go: moto knows none. Each test makes the jobs that it needs."""

import json
import re
import threading

STATUSES = {"FAILED", "SUCCESSFUL", "TIMED_OUT", "VALIDATING"}
LAST = STATUSES - {"VALIDATING"}
VALIDATIONS = re.compile("/restore-jobs/([^/]+)/validations")
JOBS = re.compile("/restore-jobs/([^/]+)")


class RestoreTests:
    """https://docs.aws.amazon.com/aws-backup/latest/devguide/API_PutRestoreValidationResult.html and DescribeRestoreJob"""

    def __init__(self):
        self.lock = threading.Lock()
        self.jobs: dict[str, dict | None] = {}
        self.made_at: dict[str, float | None] = {}

    def make(self, job: str, recovery_point_at: float | None) -> None:
        with self.lock:
            self.jobs[job] = None
            self.made_at[job] = recovery_point_at

    def validated(self) -> list[dict]:
        """What each job was told."""
        with self.lock:
            return [{"restoreJobId": job, **(told or {})} for job, told in self.jobs.items()]

    def asked(self, method: str, path: str) -> tuple[str, str]:
        """The action and the restore job; both empty where it is none that is known here."""
        if method == "PUT" and (found := VALIDATIONS.fullmatch(path)):
            return "PutRestoreValidationResult", found[1]
        if method == "GET" and (found := JOBS.fullmatch(path)):
            return "DescribeRestoreJob", found[1]
        return "", ""

    def call(self, method: str, path: str, body: bytes) -> tuple[str, str, str | dict]:
        """Status, error type, and message or answer; both empty where it was taken."""
        action, job = self.asked(method, path)
        if action == "DescribeRestoreJob":
            return self.describe(job)
        if not action:
            return "404 Not Found", "UnknownOperationException", f"{method} {path} is not known here"
        told = json.loads(body or b"{}")
        if told.get("ValidationStatus") not in STATUSES or set(told) - {"ValidationStatus", "ValidationStatusMessage"}:
            return "400 Bad Request", "InvalidParameterValueException", f"{told} is no validation result"
        with self.lock:
            if job not in self.jobs:
                return "400 Bad Request", "ResourceNotFoundException", f"Restore job {job} does not exist."
            before = self.jobs[job]
            if before and before["ValidationStatus"] in LAST:
                return "400 Bad Request", "InvalidRequestException", f"Restore job {job} has been validated."
            self.jobs[job] = told
        return "204 No Content", "", ""

    def describe(self, job: str) -> tuple[str, str, str | dict]:
        with self.lock:
            if job not in self.jobs:
                return "400 Bad Request", "ResourceNotFoundException", f"Restore job {job} does not exist."
            told = self.jobs[job] or {"ValidationStatus": "VALIDATING"}
            made_at = self.made_at[job]
        known = {} if made_at is None else {"RecoveryPointCreationDate": made_at}
        return "200 OK", "", {"RestoreJobId": job, "Status": "COMPLETED", **known, **told}
