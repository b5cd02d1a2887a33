"""LocalStack's Lambda without Docker: runs a function's `bootstrap` as a process of this machine.

LocalStack finds this plugin when this folder is on PYTHONPATH (the .dist-info beside this file names it), and takes
it when LAMBDA_RUNTIME_EXECUTOR=process. One executor is one execution environment: one process, which works on one
invocation at a time. LocalStack makes more of them where invocations overlap.

Each executor serves Lambda's Runtime API to its process on a port of its own:
https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html

Tests have processes killed: a file in the folder LAMBDA_KILL_FOLDER holds {"with": ["text", …], "when": …}, and the next
invocation whose payload has all these texts is killed, "when" being "before" it does anything, "after" it has done its work
and before it can say so, or so many seconds after its begin. The file is gone then.

EventBridge starts state machines here as well where a rule transforms its input: LocalStack's own looks for the event's id
in what the transformer made of it, and does not start them. And an execution that is stopped is ABORTED, as on AWS: LocalStack's
own is FAILED where a choice was being made at that moment.

Not there: memory limits, layers, images, and every runtime but a native `bootstrap`.
"""

import json
import os
import queue
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import uuid
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from localstack.services.events.target import StatesTargetSender
from localstack.services.lambda_.invocation.lambda_models import InvocationResult
from localstack.services.lambda_.invocation.plugins import RuntimeExecutorPlugin
from localstack.services.lambda_.invocation.runtime_executor import RuntimeExecutor
from localstack.services.stepfunctions.asl.eval.environment import Environment
from localstack.services.stepfunctions.asl.eval.program_state import ProgramStopped

# The function takes the shell's place. What stays beside it waits for the end of a pipe whose other end LocalStack
# holds, and then kills the whole group: the kernel closes the pipe however LocalStack ends. (PR_SET_PDEATHSIG would
# not do: it fires at the end of the thread that started the process.)
START = """
exec 3<&0
{ cat <&3; kill -KILL 0; } >/dev/null 2>&1 &
exec "$@" </dev/null 3<&-
"""

RUNTIME_API = "/2018-06-01/runtime/"


def start_execution(sender: StatesTargetSender, event: dict, _trace_header: object) -> None:
    # As AWS names them: unique.
    sender.service = "stepfunctions"
    sender.client.start_execution(stateMachineArn=sender.target["Arn"], name=str(uuid.uuid4()), input=json.dumps(event))


StatesTargetSender.send_event = start_execution


def set_error(execution: Environment, error: object, own=Environment.set_error) -> None:
    # A choice that ends after the stop cannot name the next state, and fails with that.
    with execution._state_mutex:
        if not isinstance(execution.program_state(), ProgramStopped):
            own(execution, error)


Environment.set_error = set_error


@dataclass(frozen=True)
class Outcome:
    """How an invocation ended, or the process itself (`invocation` is None)."""

    invocation: str | None
    payload: bytes
    is_error: bool


def error(kind: str, message: str) -> bytes:
    return json.dumps({"errorType": kind, "errorMessage": message}).encode()


def kill_of(payload: str) -> str | float | None:
    """When this invocation is to be killed. Whoever removes the file has the order."""
    orders = sorted(Path(os.environ.get("LAMBDA_KILL_FOLDER", "/nowhere")).glob("*.json"))
    if orders:
        # Texts are written without spaces; senders do as they like.
        payload = json.dumps(json.loads(payload), separators=(",", ":"))
    for file in orders:
        try:
            order = json.loads(file.read_text())
            if all(text in payload for text in order["with"]):
                file.unlink()
                return order["when"]
        except FileNotFoundError:
            continue
    return None


class RuntimeApi(BaseHTTPRequestHandler):
    """What the process speaks to. `server.life` is the process's life."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path != RUNTIME_API + "invocation/next":
            return self.answer(404)
        invocation = self.server.life.invocations.get()
        if invocation is None:
            return self.answer(410)
        payload, deadline = invocation
        headers = {
            "Content-Type": "application/json",
            "Lambda-Runtime-Aws-Request-Id": payload["invoke-id"],
            "Lambda-Runtime-Deadline-Ms": str(int(deadline * 1000)),
            "Lambda-Runtime-Invoked-Function-Arn": payload["invoked-function-arn"],
            "Lambda-Runtime-Trace-Id": payload["trace-id"],
        }
        self.answer(200, payload["payload"].encode(), headers)

    def do_POST(self) -> None:
        body = self.body()
        if self.server.life.dies_answering:
            return self.server.life.kill()
        self.answer(202, b'{"status":"OK"}')
        what = self.path.removeprefix(RUNTIME_API).split("/")
        outcomes = self.server.life.outcomes
        match what:
            case ["init", "error"]:
                outcomes.put(Outcome(None, body, True))
            case ["invocation", invocation, "response"]:
                outcomes.put(Outcome(invocation, body, False))
            case ["invocation", invocation, "error"]:
                outcomes.put(Outcome(invocation, body, True))

    def body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        whole = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            whole += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return whole

    def answer(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments) -> None:
        pass


class Life:
    """One process of a function, from its start to its end, with the Runtime API it speaks to."""

    def __init__(self, code: Path, env_vars: dict[str, str]):
        self.invocations: queue.Queue = queue.Queue()
        self.outcomes: queue.Queue[Outcome] = queue.Queue()
        self.dies_answering = False
        self.folder = Path(tempfile.mkdtemp(prefix="lambda-"))
        self.log = self.folder / "log"
        self.api = ThreadingHTTPServer(("127.0.0.1", 0), RuntimeApi)
        self.api.daemon_threads = True
        self.api.life = self
        threading.Thread(target=self.api.serve_forever, daemon=True).start()

        bootstrap = code / "bootstrap"
        if not os.access(bootstrap, os.X_OK):
            bootstrap.chmod(0o755)
        temporary = self.folder / "tmp"
        temporary.mkdir()
        env = {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "HOME": str(temporary),
            "TMPDIR": str(temporary),
            **{name: str(value) for name, value in env_vars.items()},
            "LAMBDA_TASK_ROOT": str(code),
            "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{self.api.server_port}",
        }
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                ["/bin/sh", "-c", START, "sh", str(bootstrap)],
                cwd=code,
                env=env,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        threading.Thread(target=self.watch, daemon=True).start()

    def watch(self) -> None:
        code = self.process.wait()
        how = f"signal: {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
        self.outcomes.put(Outcome(None, error("Runtime.ExitError", f"the runtime exited with {how}"), True))

    def goes_on(self) -> bool:
        return self.process.poll() is None

    def kill(self) -> None:
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def end(self) -> None:
        """Ends the process with all that it started. Lambda gives no notice either."""
        self.kill()
        self.process.stdin.close()
        self.process.wait()
        self.invocations.put(None)
        self.api.shutdown()
        self.api.server_close()
        shutil.rmtree(self.folder, ignore_errors=True)


class ProcessExecutor(RuntimeExecutor):
    def __init__(self, id, function_version):
        super().__init__(id, function_version)
        self.env_vars: dict[str, str] = {}
        self.life: Life | None = None

    def start(self, env_vars: dict[str, str]) -> None:
        # What goes wrong from here on is told by the first invocation, as Lambda does.
        self.env_vars = env_vars
        self.life = self.new_life()

    def new_life(self) -> Life:
        return Life(self.function_version.config.code.get_unzipped_code_location(), self.env_vars)

    def stop(self) -> None:
        if self.life:
            self.life.end()
            self.life = None

    def invoke(self, payload: dict[str, str]) -> InvocationResult:
        # After an exit or a time-out the next invocation finds a fresh process, as on Lambda.
        if not (self.life and self.life.goes_on()):
            self.stop()
            self.life = self.new_life()
        life, request = self.life, payload["invoke-id"]
        limit = self.function_version.config.timeout
        said_before, began = life.log.stat().st_size, time.time()
        match kill_of(payload["payload"]):
            case "before":
                life.kill()
            case "after":
                life.dies_answering = True
            case float() | int() as seconds:
                threading.Timer(seconds, life.kill).start()
        life.invocations.put((payload, began + limit))
        outcome = self.outcome(life, request, began + limit)
        took = (time.time() - began) * 1000

        # The process writes to a file: what it said before it answered is there now.
        said = life.log.read_bytes()[said_before:].decode(errors="replace")
        if outcome is None:
            outcome = Outcome(
                request, error("Sandbox.Timedout", f"RequestId: {request} Error: Task timed out after {limit:.2f} seconds"), True
            )
            said += f"Task timed out after {limit:.2f} seconds\n"
            self.stop()
        logs = (
            f"START RequestId: {request} Version: {self.function_version.id.qualifier}\n"
            f"{said}{'' if said.endswith(chr(10)) or not said else chr(10)}"
            f"END RequestId: {request}\n"
            f"REPORT RequestId: {request}\tDuration: {took:.2f} ms\tBilled Duration: {int(took) + 1} ms\n"
        )
        return InvocationResult(request, outcome.payload, is_error=outcome.is_error, logs=logs)

    @staticmethod
    def outcome(life: Life, request: str, deadline: float) -> Outcome | None:
        """How the invocation ended; None: not by its deadline."""
        while (left := deadline - time.time()) > 0:
            try:
                outcome = life.outcomes.get(timeout=left)
            except queue.Empty:
                break
            if outcome.invocation in (request, None):
                return outcome
        return None

    def get_logs(self) -> str:
        return self.life.log.read_text(errors="replace") if self.life else ""

    def get_address(self) -> str:
        return "127.0.0.1"

    def get_endpoint_from_executor(self) -> str:
        return "127.0.0.1"

    def get_runtime_endpoint(self) -> str:
        return ""

    @classmethod
    def prepare_version(cls, function_version) -> None:
        if function_version.config.code:
            function_version.config.code.prepare_for_execution()

    @classmethod
    def cleanup_version(cls, function_version) -> None:
        if function_version.config.code:
            function_version.config.code.destroy_cached()


class ProcessExecutorPlugin(RuntimeExecutorPlugin):
    name = "process"

    def load(self, *_arguments, **_options):
        return ProcessExecutor
