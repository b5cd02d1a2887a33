"""RunTask of ECS on moto, with the client token that moto passes over (AmazonECS/latest/APIReference/ECS_Idempotency): the same
call under it is the same task, as it is by then, until an hour after its end."""

import json
import threading
from dataclasses import dataclass


@dataclass
class Refused:
    status: int
    code: str
    message: str

    def answer(self) -> dict:
        if self.status == 200:
            return {"tasks": [], "failures": [{"reason": self.code, "detail": self.message}]}
        return {"__type": self.code, "message": self.message}


class Tasks:
    """What was asked of which cluster under which token, and what became of it."""

    def __init__(self, moto):
        self.moto = moto
        self.known: dict[tuple[str, str], tuple[dict, dict]] = {}
        self.lock = threading.Lock()

    def run(self, request: dict, environ: dict, start_response, refused: Refused | None):
        token = (request.get("cluster", ""), request.get("clientToken", ""))
        with self.lock:
            if refused is None and token in self.known:
                earlier, answer = self.known[token]
                if earlier == request:
                    return respond(start_response, 200, json.dumps(answer).encode())
                refused = Refused(400, "ConflictException", "the clientToken is in use with a different request")
            if refused:
                return respond(start_response, refused.status, json.dumps(refused.answer()).encode())
            statuses = []
            answer = b"".join(self.moto(environ, lambda status, *_: statuses.append(int(status.split()[0]))))
            if token[1] and statuses == [200]:
                self.known[token] = (request, json.loads(answer))
            return respond(start_response, statuses[0], answer)

    def become(self, wish: dict) -> bool:
        """What becomes of a task: its state, and whether its token is forgotten by now."""
        with self.lock:
            for token, (_, answer) in list(self.known.items()):
                task = (answer.get("tasks") or [{}])[0]
                if task.get("taskArn") != wish["task"]:
                    continue
                task.update(wish.get("state", {}))
                if "exitCode" in wish:
                    task["containers"] = [{"name": "lifeboat", "exitCode": wish["exitCode"]}]
                if wish.get("forgotten"):
                    del self.known[token]
                return True
        return False


def respond(start_response, status: int, answer: bytes):
    start_response(f"{status} {'OK' if status == 200 else 'Refused'}", [("Content-Type", "application/x-amz-json-1.1")])
    return [answer]
