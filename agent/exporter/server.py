"""The HTTP server: `/metrics` for Prometheus, `/healthz` and `/readyz` for whoever restarts and waits.

Off unless `[prometheus] listen` is set. It has no password and shows camera names: it belongs on the loopback
interface, or behind a firewall. A port that is taken is tried again and never stops the agent.
"""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from socket import AF_INET, AF_INET6
from typing import Any

import structlog

from agent import __version__
from agent.config.convert import parse_listen
from agent.core.errors import MissingExtra
from agent.core.installation import how_to_add
from agent.core.timed_reader import TimedReader
from agent.core.types import FrameResult, Observation
from agent.core.worker import Health, Worker
from agent.exporter.about import About
from agent.exporter.ledger import Ledger

try:
    from prometheus_client.exposition import choose_encoder

    from agent.exporter.exposition import registry_of
except ModuleNotFoundError as error:
    raise MissingExtra(
        f"[prometheus] listen needs the library {error.name!r}: {how_to_add('prometheus')}"
    ) from error

log = structlog.get_logger("vedette.exporter")

RETRY_SECONDS = 10.0
REST_SECONDS = 0.5
"""After a connection that cannot be taken, as where no more files can be opened: it would be looked for at once."""

REQUEST_SECONDS = 5.0
"""How long a client may take to say what it wants, or to take the answer."""

MOST_AT_ONCE = 8
"""Requests answered at once; further ones get status 503."""

MOST_CONNECTIONS = 32
"""Connections, each with a thread; further ones are closed."""

INDEX = """Vedette

/metrics  for Prometheus
/healthz  200 while every part works
/readyz   200 once model and cameras are up
"""


class ExporterWorker(Worker):
    """Serves at `listen` (`HOST:PORT`) what it is given; `frame`, `observe` and `remove` never block."""

    def __init__(self, listen: str, about: About) -> None:
        super().__init__("exporter")
        self._address = parse_listen(listen)
        self._about = about
        self._ledger = Ledger()
        self._registry = registry_of(self._ledger, about)
        self._told = False

    def frame(self, result: FrameResult) -> None:
        """A frame went through the model."""
        self._ledger.frame(result)

    def observe(self, observations: Iterable[Observation]) -> None:
        """Everything that was observed in the last second."""
        self._ledger.observe(observations)

    def remove(self, camera: str) -> None:
        """A camera was removed."""
        self._ledger.remove(camera)

    def run(self, stop: threading.Event) -> None:
        """Serve until stopped."""
        while not stop.is_set():
            self.beat()
            try:
                server = _Server(self._address, self._answer)
            except OSError as error:
                self._wait(error, stop)
                continue
            with server:
                self._say(server)
                while not stop.is_set():
                    self.beat()
                    if not server.handled():
                        stop.wait(REST_SECONDS)

    def _wait(self, error: OSError, stop: threading.Event) -> None:
        host, port = self._address
        if not self._told:
            log.error("metrics cannot be served, trying again", host=host, port=port, reason=error.strerror)
            self._told = True
        stop.wait(RETRY_SECONDS)

    def _say(self, server: _Server) -> None:
        host, port = server.server_address[:2]
        self._told = False
        log.info("metrics are served", url=f"http://{_bracketed(str(host))}:{port}/metrics")
        if not ip_address(str(host)).is_loopback:
            log.warning(
                "metrics can be read by anyone who reaches this address: see docs/metrics.md", host=host
            )

    def _answer(self, path: str, accept: str) -> tuple[HTTPStatus, str, bytes]:
        """(status, content type, body) of what was asked for."""
        if path == "/metrics":
            encode, content_type = choose_encoder(accept)
            return HTTPStatus.OK, content_type, encode(self._registry)
        if path == "/healthz":
            return _judged(health(list(self._about.parts())))
        if path == "/readyz":
            missing = self._about.missing()
            return _judged({"ok": not missing, "missing": missing})
        if path == "/":
            return HTTPStatus.OK, "text/plain; charset=utf-8", INDEX.encode()
        return (
            HTTPStatus.NOT_FOUND,
            "text/plain; charset=utf-8",
            b"there are /metrics, /healthz and /readyz\n",
        )


def health(parts: list[Health]) -> dict[str, Any]:
    """Whether every part works, and how each is."""
    return {
        "ok": not any(part.stuck or part.given_up for part in parts),
        "parts": [part.to_json() for part in parts],
    }


def _judged(body: Mapping[str, Any]) -> tuple[HTTPStatus, str, bytes]:
    status = HTTPStatus.OK if body["ok"] else HTTPStatus.SERVICE_UNAVAILABLE
    return status, "application/json", json.dumps(body).encode() + b"\n"


class _Server(ThreadingHTTPServer):
    """A thread a connection; `answer` makes the answers."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 16
    timeout = 0.5

    def __init__(self, address: tuple[str, int], answer: Any) -> None:
        self.address_family = AF_INET6 if ":" in address[0] else AF_INET
        self.answer, self._refused = answer, False
        self.free = threading.BoundedSemaphore(MOST_AT_ONCE)
        self._connections = threading.BoundedSemaphore(MOST_CONNECTIONS)
        super().__init__(address, _Handler)

    def handled(self) -> bool:
        """Wait for a request and begin with it; whether that could be done, where one came."""
        self._refused = False
        self.handle_request()
        return not self._refused

    def get_request(self) -> tuple[Any, Any]:
        """The connection that waits."""
        self._refused = True
        found = super().get_request()
        self._refused = False
        return found

    def process_request(self, request: Any, client_address: Any) -> None:
        """Begin the thread, where there is one left."""
        if not self._connections.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # the system has no thread: none gives its place back
            self._connections.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """The thread."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._connections.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002  (the library's signature)
        """Said in the journal, not on the terminal."""
        log.debug("a request for metrics broke off", client=str(client_address), exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = REQUEST_SECONDS
    server_version = f"vedette/{__version__}"
    sys_version = ""
    protocol_version = "HTTP/1.0"

    def setup(self) -> None:
        """The whole request has its time, not each byte of it."""
        super().setup()
        self.rfile.close()
        self.rfile = io.BufferedReader(TimedReader(self.connection))

    def do_GET(self) -> None:
        """Answer with a body."""
        self._send(body=True)

    def do_HEAD(self) -> None:
        """Answer without one."""
        self._send(body=False)

    def _send(self, *, body: bool) -> None:
        if not self.server.free.acquire(blocking=False):
            self.send_error(HTTPStatus.SERVICE_UNAVAILABLE, "too many requests at once")
            return
        try:
            path = self.path.partition("?")[0].rstrip("/") or "/"
            status, content_type, answer = self.server.answer(path, self.headers.get("Accept", ""))
        finally:
            self.server.free.release()
        self.connection.settimeout(REQUEST_SECONDS)
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        if body:
            self.wfile.write(answer)

    def log_message(self, format: str, *args: Any) -> None:
        """Scrapes are no news."""


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
