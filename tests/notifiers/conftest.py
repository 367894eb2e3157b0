"""Real local servers: HTTP from the standard library, SMTP from aiosmtpd."""

from __future__ import annotations

import json
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from agent.types import Alert, AlertEvent, AlertState, Severity

NOW = 1_700_000_000.0


class Receiver:
    """An HTTP server that keeps what it was sent; `answers` are the statuses it gives, the last for good."""

    def __init__(self) -> None:
        self.received, self.answers, self.delay = [], [200], 0.0
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.received.append((self.path, dict(self.headers), json.loads(body)))
                time.sleep(receiver.delay)
                status = receiver.answers.pop(0) if len(receiver.answers) > 1 else receiver.answers[0]
                self.send_response(status)
                if 300 <= status < 400:
                    self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *_args):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def bodies(self):
        return [body for _, _, body in self.received]

    def close(self):
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def receiver():
    server = Receiver()
    yield server
    server.close()


@pytest.fixture
def mailbox():
    """A real SMTP server; its `messages` are e-mails as parsed by the standard library."""
    controller_module = pytest.importorskip("aiosmtpd.controller")
    from aiosmtpd.handlers import Message

    class Mailbox(Message):
        def __init__(self):
            super().__init__()
            self.messages = []

        def handle_message(self, message):
            self.messages.append(message)

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    box = Mailbox()
    box.port = port
    controller = controller_module.Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    yield box
    controller.stop()


@pytest.fixture
def make_alert():
    def make(rule="camera_down", *, state="firing", severity="critical", at=NOW, **more):
        labels = more.pop("labels", {"camera": "front"})
        event = AlertEvent.RESOLVED if state == "resolved" else AlertEvent.FIRED
        return Alert(**{
            "id": f"{rule}-{'-'.join(labels.values())}-0001",
            "rule": rule,
            "state": AlertState(state),
            "severity": Severity(severity),
            "labels": labels,
            "what": "camera front is down: connection refused",
            "expected": "online",
            "window": "over 22:13:20-22:13:35 UTC, for 15 s",
            "advice": "Check power & cable <now>.",
            "first_seen": at - 15,
            "changed_at": at,
            "event": event,
            **more,
        })  # fmt: skip

    return make


@pytest.fixture
def make_notice(make_alert):
    from agent.notifiers.routes import make_notice as make

    return lambda *alerts, **more: make(
        alerts or (make_alert(),), **{"device": "edge-1", "site": "plant", "now": NOW, **more}
    )
