"""A mail server and a receiver of webhooks, for tests and for people to look at.

    sinks-python sinks.py --http 127.0.0.1:8025 [--smtp 127.0.0.1:1025] --folder FOLDER

SMTP takes every message, with or without AUTH (any user, any password), and stores it in FOLDER/mail/NNNN.eml.
HTTP records each POST to a path that is not its own, as a Slack hook would get it, in FOLDER/posts/NNNN.json.

    GET  /                     a page for people
    GET  /health               {"smtp": "127.0.0.1:1025"}
    GET  /messages[?to=TEXT]   mail, oldest first: number, received, from, to, subject, headers, text, html, file
    GET  /messages/NNNN        one message as it came
    GET  /posts[?path=/x]      webhooks, oldest first: number, received, path, headers, body, status (what we answered)
    POST /fail?times=3         the next posts are answered with status=500; of one path only with path=/x;
                               retry_after=SECONDS sends that header; status=0 closes the connection without an answer
                               times=0 takes back what was said for that path
    POST /fail-mail?times=3    the next messages are refused with code=451; of one recipient only with to=x@example.org
"""

import argparse
import asyncio
import email
import email.policy
import html
import json
import threading
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from aiosmtpd.smtp import SMTP, AuthResult


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass
class Message:
    number: int
    received: str
    sender: str
    to: list[str]
    subject: str
    headers: list[tuple[str, str]]
    text: str | None
    html: str | None
    file: str


@dataclass
class Post:
    number: int
    received: str
    path: str
    headers: dict[str, str]
    body: str
    status: int


@dataclass
class Failure:
    """So many deliveries to one place (None: to any) go wrong."""

    times: int
    place: str | None
    status: int
    retry_after: str | None = None


@dataclass
class Box:
    """All that came in, and what shall go wrong. Mail and webhooks arrive on threads of their own."""

    folder: Path
    messages: list[Message] = field(default_factory=list)
    posts: list[Post] = field(default_factory=list)
    post_failures: list[Failure] = field(default_factory=list)
    mail_failures: list[Failure] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @staticmethod
    def next_failure(failures: list[Failure], places: list[str]) -> Failure | None:
        for failure in failures:
            if failure.times > 0 and (failure.place is None or failure.place in places):
                failure.times -= 1
                return failure
        return None

    def mail(self, sender: str, recipients: list[str], content: bytes) -> Failure | None:
        with self.lock:
            if failure := self.next_failure(self.mail_failures, recipients):
                return failure
            number = len(self.messages) + 1
            file = self.folder / "mail" / f"{number:04}.eml"
            file.write_bytes(content)
            message = email.message_from_bytes(content, policy=email.policy.default)
            self.messages.append(
                Message(
                    number=number,
                    received=now(),
                    sender=sender,
                    to=recipients,
                    subject=str(message["subject"] or ""),
                    headers=[(name, str(value)) for name, value in message.items()],
                    text=part(message, "plain"),
                    html=part(message, "html"),
                    file=str(file),
                )
            )
        return None

    def post(self, path: str, headers: dict[str, str], body: str) -> Failure | None:
        with self.lock:
            failure = self.next_failure(self.post_failures, [urlsplit(path).path])
            number = len(self.posts) + 1
            post = Post(number, now(), path, headers, body, failure.status if failure else 200)
            (self.folder / "posts" / f"{number:04}.json").write_text(json.dumps(asdict(post), indent=2))
            self.posts.append(post)
            return failure


def part(message: email.message.EmailMessage, kind: str) -> str | None:
    found = message.get_body(preferencelist=(kind,))
    return found.get_content() if found else None


class MailHandler:
    """What aiosmtpd asks when a message comes in."""

    def __init__(self, box: Box):
        self.box = box

    async def handle_DATA(self, _server, _session, envelope) -> str:
        failure = self.box.mail(envelope.mail_from, envelope.rcpt_tos, envelope.original_content)
        return f"{failure.status} refused, as this sink was told to" if failure else "250 stored"


class Http(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    box: Box
    smtp: str

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        asked = {name: values[0] for name, values in parse_qs(url.query).items()}
        match url.path.strip("/").split("/"):
            case [""]:
                self.answer(200, page(self.box).encode(), "text/html; charset=utf-8")
            case ["health"]:
                self.json({"smtp": self.smtp})
            case ["messages"]:
                found = [asdict(m) for m in self.box.messages if "to" not in asked or asked["to"] in m.to]
                self.json([{"from": m.pop("sender"), **m} for m in found])
            case ["messages", number] if number.isdigit() and 0 < int(number) <= len(self.box.messages):
                self.answer(200, Path(self.box.messages[int(number) - 1].file).read_bytes(), "text/plain; charset=utf-8")
            case ["posts"]:
                self.json([asdict(p) for p in self.box.posts if "path" not in asked or p.path == asked["path"]])
            case _:
                self.answer(404, b"see tests/stack/sinks.py\n")

    def do_POST(self) -> None:
        url = urlsplit(self.path)
        asked = {name: values[0] for name, values in parse_qs(url.query).items()}
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode(errors="replace")
        if url.path in ("/fail", "/fail-mail"):
            return self.plan_failure(url.path, asked)
        failure = self.box.post(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
        if failure is None:
            return self.answer(200, b"ok")
        if failure.status == 0:
            self.close_connection = True
            return None
        extra = {"Retry-After": failure.retry_after} if failure.retry_after else {}
        return self.answer(failure.status, b"failing, as this sink was told to\n", headers=extra)

    def plan_failure(self, path: str, asked: dict[str, str]) -> None:
        try:
            times = int(asked.get("times", 1))
            if path == "/fail":
                failure = Failure(times, asked.get("path"), int(asked.get("status", 500)), asked.get("retry_after"))
                failures = self.box.post_failures
            else:
                failure = Failure(times, asked.get("to"), int(asked.get("code", 451)))
                failures = self.box.mail_failures
        except ValueError as error:
            return self.answer(400, f"{error}\n".encode())
        with self.box.lock:
            if times == 0:
                failures[:] = [other for other in failures if other.place != failure.place]
            else:
                failures.append(failure)
        return self.json(asdict(failure))

    def json(self, value) -> None:
        self.answer(200, json.dumps(value, indent=1).encode(), "application/json")

    def answer(self, status: int, body: bytes, kind: str = "text/plain", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments) -> None:
        pass


def page(box: Box) -> str:
    """Newest first, reloaded every five seconds."""
    mail = "".join(
        f"<details><summary>{m.received} {html.escape(', '.join(m.to))}: <b>{html.escape(m.subject)}</b></summary>"
        f"<p><a href='/messages/{m.number}'>as it came</a></p><pre>{html.escape(m.text or '')}</pre>"
        # What came by mail shall not run here.
        + (f"<iframe sandbox srcdoc='{html.escape(m.html)}'></iframe>" if m.html else "")
        + "</details>"
        for m in reversed(box.messages)
    )
    posts = "".join(
        f"<details><summary>{p.received} {html.escape(p.path)} ({p.status})</summary>"
        f"<pre>{html.escape(indented(p.body))}</pre></details>"
        for p in reversed(box.posts)
    )
    return (
        "<!doctype html><meta charset=utf-8><meta http-equiv=refresh content=5><title>Lifeboat's sinks</title>"
        "<style>body{font:15px/1.5 sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
        "pre{background:#f4f4f4;padding:1rem;overflow:auto}iframe{width:100%;height:30rem;border:1px solid #ccc}</style>"
        f"<h1>Mail ({len(box.messages)})</h1>{mail}<h1>Webhooks ({len(box.posts)})</h1>{posts}"
    )


def indented(body: str) -> str:
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except ValueError:
        return body


def address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port)


def main() -> None:
    arguments = argparse.ArgumentParser(description="A mail server and a receiver of webhooks.")
    arguments.add_argument("--http", type=address, required=True)
    # The default: a free port, told by /health.
    arguments.add_argument("--smtp", type=address, default=("127.0.0.1", 0))
    arguments.add_argument("--folder", type=Path, required=True)
    options = arguments.parse_args()
    for folder in ("mail", "posts"):
        (options.folder / folder).mkdir(parents=True, exist_ok=True)

    box = Box(options.folder)
    host, port = serve_mail(box, *options.smtp)
    Http.box, Http.smtp = box, f"{host}:{port}"
    server = ThreadingHTTPServer(options.http, Http)
    server.daemon_threads = True
    server.serve_forever()


def serve_mail(box: Box, host: str, port: int) -> tuple[str, int]:
    """Serves SMTP on a thread of its own, and gives the address."""

    def session() -> SMTP:
        return SMTP(
            MailHandler(box),
            enable_SMTPUTF8=True,
            authenticator=lambda *_: AuthResult(success=True),
            auth_require_tls=False,
        )

    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(loop.create_server(session, host, port))
    threading.Thread(target=loop.run_forever, daemon=True).start()
    return server.sockets[0].getsockname()[:2]


if __name__ == "__main__":
    main()
