"""AWS's RDS API on this machine, with a real PostgreSQL server behind each instance.

    moto-python tests/stack/rds --listen 127.0.0.1:4570 --programs 15=FOLDER… [--secrets http://127.0.0.1:4566]

moto answers for RDS and for all other services that it knows, ECS among them; its servers, snapshots, points in time and passwords are
real. Passwords that RDS manages lie in the Secrets Manager at --secrets, or in moto's own. A master user is no
superuser. As the role of drill-control has it, a caller may make only instances tagged lifeboat:scratch=true, and
change and delete only those, and change besides what AWS Backup tagged as made by a restore test; only whoever calls with
the access key "administrator" may do more. AWS Backup itself takes validation results of restore jobs here.
Tasks of ECS are only noted down; a client token makes one task of many calls, as on ECS, whatever has become of it.

    GET    /lifeboat/health
    GET    /lifeboat/instances   identifier, status, port, pid, tags
    GET    /lifeboat/calls       action, instance, parameters (without passwords), caller, status, code; oldest first
    POST   /lifeboat/faults      {"action": "CreateDBInstance", "instance": "PREFIX", "after": 0, "times": 1,
                                  "status": 500, "code": "InternalFailure", "message": "…", "done": false}
                                 lets calls fail; status 0 closes the connection without an answer; "done": the call is
                                 carried out, and only then its answer is lost. Of RunTask, "instance" is the task
                                 definition, and status 200 an answer that says why there is none; of
                                 PutRestoreValidationResult and DescribeRestoreJob it is the restore job
    POST   /lifeboat/tasks       {"task": "ARN", "state": {"lastStatus": "STOPPED"}, "exitCode": null, "forgotten": false}
                                 what becomes of a task; "forgotten": the hour is over for which ECS knows its token
    POST   /lifeboat/courses     {"instances": "PREFIX", "seconds": {"creating": 5}, "hold": ["creating", "deleting"],
                                  "ends_in": "failed"}  what becomes of instances; a later one takes its place
    POST   /lifeboat/restore-jobs {"restoreJobId": "…", "recoveryPointCreationDate": 1.5}  a restore test of AWS Backup has
                                 ended; the date, seconds since 1970, may be missing
    GET    /lifeboat/restore-jobs restoreJobId, ValidationStatus, ValidationStatusMessage
    DELETE /lifeboat/faults      {"instances": "PREFIX"}  takes back the faults and courses of these; without it, all
"""

import argparse
import json
import os
import signal
import sys
import threading
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

# moto's account is LocalStack's.
os.environ["MOTO_ACCOUNT_ID"] = "000000000000"

import instances
from clusters import Machine
from instances import Course, World
from tasks import Refused, Tasks
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from moto.rds.models import rds_backends
from restore_tests import RestoreTests
from werkzeug.serving import run_simple

ADMINISTRATOR = "administrator"
SCRATCH = ("lifeboat:scratch", "true")
RESTORE_TEST = "awsbackup-restore-test"
MAKES = {"CreateDBInstance", "RestoreDBInstanceFromDBSnapshot", "RestoreDBInstanceToPointInTime"}
CHANGES = {"DeleteDBInstance", "ModifyDBInstance", "RebootDBInstance", "StopDBInstance", "StartDBInstance"}

ERROR = """<ErrorResponse xmlns="http://rds.amazonaws.com/doc/2014-10-31/"><Error><Type>{type}</Type>\
<Code>{code}</Code><Message>{message}</Message></Error><RequestId>lifeboat</RequestId></ErrorResponse>"""


@dataclass
class Fault:
    action: str
    instance: str = ""
    after: int = 0
    times: int = 1
    status: int = 500
    code: str = "InternalFailure"
    message: str = "made to fail"
    done: bool = False


@dataclass
class Asked:
    """Of another service than RDS."""

    action: str
    instance: str


class Call:
    """One request to RDS."""

    def __init__(self, parameters: dict[str, str], authorization: str):
        self.parameters = parameters
        self.action = parameters.get("Action", "")
        self.instance = parameters.get("DBInstanceIdentifier") or parameters.get("TargetDBInstanceIdentifier", "")
        # Credential=KEY/DATE/REGION/SERVICE/aws4_request
        scope = authorization.partition("Credential=")[2].split(",")[0].split("/")
        self.caller, self.region, self.service = (scope[0], scope[2], scope[3]) if len(scope) == 5 else ("", "", "")

    def tags(self) -> set[tuple[str, str]]:
        keys = {name: value for name, value in self.parameters.items() if name.startswith("Tags.")}
        return {
            (value, keys.get(name.removesuffix("Key") + "Value", ""))
            for name, value in keys.items()
            if name.endswith(".Key")
        }

    def forbidden(self) -> bool:
        if self.caller == ADMINISTRATOR:
            return False
        if self.action in MAKES:
            return SCRATCH not in self.tags()
        if self.action not in CHANGES:
            return False
        tags = tags_of(self.region, self.instance)
        lent = self.action == "ModifyDBInstance" and any(key == RESTORE_TEST for key, _ in tags)
        return SCRATCH not in tags and not lent

    def entry(self, status: int, code: str | None) -> dict:
        shown = {n: v for n, v in self.parameters.items() if "Password" not in n or n.startswith("Manage")}
        return {
            "action": self.action,
            "instance": self.instance,
            "parameters": shown,
            "caller": self.caller,
            "status": status,
            "code": code,
        }


def tags_of(region: str, identifier: str) -> set[tuple[str, str]]:
    database = rds_backends["000000000000"][region].databases.get(identifier)
    return {(tag["Key"], tag["Value"]) for tag in database.tags} if database else {SCRATCH}


class Front:
    """What stands before moto: the door for tests, the role's conditions, and faults."""

    def __init__(self, world: World):
        self.world = world
        self.moto = DomainDispatcherApplication(create_backend_app)
        self.tasks = Tasks(self.moto)
        self.restore_tests = RestoreTests()
        self.faults: list[Fault] = []
        self.calls: list[dict] = []
        self.lock = threading.Lock()

    def __call__(self, environ: dict, start_response):
        path = environ.get("PATH_INFO", "")
        if path.startswith("/lifeboat/"):
            status, answer = self.door(environ["REQUEST_METHOD"], path.removeprefix("/lifeboat/"), body_of(environ))
            start_response(status, [("Content-Type", "application/json")])
            return [json.dumps(answer).encode()]
        if environ.get("HTTP_X_AMZ_TARGET", "").endswith(".RunTask"):
            return self.run_task(environ, start_response)
        if "/backup/aws4_request" in environ.get("HTTP_AUTHORIZATION", ""):
            return self.backup(environ, start_response)
        if "/rds/aws4_request" not in environ.get("HTTP_AUTHORIZATION", ""):
            return self.moto(environ, start_response)
        call = Call(dict(parse_qsl(body_of(environ).decode())), environ["HTTP_AUTHORIZATION"])
        if call.forbidden():
            message = f"User {call.caller} is not authorized to perform: rds:{call.action} on {call.instance}"
            return self.refuse(call, Fault(call.action, status=403, code="AccessDenied", message=message), start_response)
        fault = self.fault_of(call)
        if fault and fault.done:
            b"".join(self.moto(environ, lambda *_: None))
        if fault:
            return self.refuse(call, fault, start_response)

        def started(status: str, headers, *further):
            self.calls.append(call.entry(int(status.split()[0]), None))
            return start_response(status, headers, *further)

        return self.moto(environ, started)

    def backup(self, environ: dict, start_response):
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        fault = self.fault_of(Asked(*self.restore_tests.asked(method, path)))
        if fault is None or fault.done:
            status, kind, answer = self.restore_tests.call(method, path, body_of(environ))
        if fault:
            status, kind, answer = f"{fault.status} {fault.code}", fault.code, fault.message
        headers = [("Content-Type", "application/json")] if kind or answer else []
        start_response(status, headers + ([("x-amzn-ErrorType", kind)] if kind else []))
        if kind:
            answer = {"Code": kind, "Message": answer, "Type": "Client"}
        return [json.dumps(answer).encode()] if answer else []

    def run_task(self, environ: dict, start_response):
        request = json.loads(body_of(environ))
        fault = self.fault_of(Asked("RunTask", request.get("taskDefinition", "").rpartition("/")[2]))
        refused = Refused(fault.status, fault.code, fault.message) if fault else None
        return self.tasks.run(request, environ, start_response, refused)

    def fault_of(self, call: "Call | Asked") -> Fault | None:
        with self.lock:
            for fault in self.faults:
                if fault.action == call.action and call.instance.startswith(fault.instance) and fault.times > 0:
                    if fault.after > 0:
                        fault.after -= 1
                        continue
                    fault.times -= 1
                    return fault
        return None

    def refuse(self, call: Call, fault: Fault, start_response):
        self.calls.append(call.entry(fault.status, fault.code))
        if fault.status == 0:
            raise ConnectionError(f"{call.action} is not answered")
        kind = "Receiver" if fault.status >= 500 else "Sender"
        start_response(f"{fault.status} {fault.code}", [("Content-Type", "text/xml")])
        return [ERROR.format(type=kind, code=escape(fault.code), message=escape(fault.message)).encode()]

    def door(self, method: str, what: str, body: bytes) -> tuple[str, object]:
        match method, what:
            case "GET", "health":
                return "200 OK", {"versions": sorted(self.world.machine.programs)}
            case "GET", "instances":
                return "200 OK", [shown for backend in all_backends() for shown in self.instances(backend)]
            case "GET", "calls":
                return "200 OK", list(self.calls)
            case "POST", "faults":
                with self.lock:
                    self.faults.append(Fault(**json.loads(body)))
                return "200 OK", {}
            case "GET", "restore-jobs":
                return "200 OK", self.restore_tests.validated()
            case "POST", "restore-jobs":
                job = json.loads(body)
                self.restore_tests.make(job["restoreJobId"], job.get("recoveryPointCreationDate"))
                return "200 OK", {}
            case "POST", "tasks":
                known = self.tasks.become(json.loads(body))
                return ("200 OK", {}) if known else ("404 Not Found", {"error": "no such task was started under a token"})
            case "POST", "courses":
                wanted = json.loads(body)
                self.change_courses([Course(**{**wanted, "hold": set(wanted.get("hold", []))})], wanted["instances"])
                return "200 OK", {}
            case "DELETE", "faults":
                prefix = json.loads(body or b"{}").get("instances", "")
                with self.lock:
                    self.faults = [fault for fault in self.faults if not fault.instance.startswith(prefix)]
                self.change_courses([], prefix)
                return "200 OK", {}
        return "404 Not Found", {"error": f"{method} /lifeboat/{what} is not known"}

    def change_courses(self, new: list[Course], instances: str) -> None:
        with self.world.changed:
            kept = [course for course in self.world.courses if not course.instances.startswith(instances)]
            self.world.courses = kept + new
            self.world.changed.notify_all()

    def instances(self, backend) -> list[dict]:
        return [
            {
                "identifier": name,
                "status": database.status,
                "port": database.port if name in self.world.clusters else None,
                "pid": self.world.clusters[name].process() if name in self.world.clusters else None,
                "tags": {tag["Key"]: tag["Value"] for tag in database.tags},
            }
            for name, database in list(backend.databases.items())
        ]


def all_backends() -> list:
    return [backend for account in rds_backends.values() for backend in account.values()]


def body_of(environ: dict) -> bytes:
    """The whole body, which stays there to be read again."""
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = BytesIO(body)
    return body


class Handler(MotoRequestHandler):
    def log_request(self, *_arguments) -> None:
        pass


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--listen", required=True, help="address and port")
    arguments.add_argument("--programs", required=True, nargs="+", help="MAJOR=FOLDER of postgres, initdb and psql")
    arguments.add_argument("--secrets", help="endpoint of the Secrets Manager for passwords that RDS manages")
    given = arguments.parse_args()
    host, port = given.listen.rsplit(":", 1)
    programs = {int(major): Path(folder) for major, folder in (each.split("=", 1) for each in given.programs)}
    world = World(Machine(programs), given.secrets)
    instances.stand_behind_moto(world)
    # The servers end with this process, whatever ends it: their keepers see to that.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    run_simple(host, int(port), Front(world), threaded=True, request_handler=Handler)


if __name__ == "__main__":
    main()
