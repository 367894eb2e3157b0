"""The local control socket: commands from the CLI to the running agent, as JSON lines over a Unix socket.

Who may use it is decided by the file's permissions (owner and group). One request a connection:
`{"command": "reload", "args": {}}` is answered by `{"ok": true, ...}` or `{"ok": false, "error": "..."}`.
"""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import structlog

from agent.core import clock
from agent.core.arguments import Handler
from agent.core.errors import NoAgent, VedetteError
from agent.core.masking import mask
from agent.core.printable import printable
from agent.core.untrusted import BadInput, parse_json, parse_object
from agent.core.worker import Worker

log = structlog.get_logger("vedette.control")

SOCKET_NAME = "control.sock"
LARGEST_REQUEST = 1024 * 1024
"""Bytes of a request: a reference that is imported has a quarter of that."""

LARGEST_REPLY = 4 * LARGEST_REQUEST
REQUEST_SECONDS = 5.0
REPLY_SECONDS = 10.0
MOST_CLIENTS = 16
RETRY_SECONDS = 10.0
REST_SECONDS = 0.5


def socket_path(state_directory: Path) -> Path:
    """The path of the socket: in systemd's runtime directory, else in the state directory."""
    runtime = os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    if runtime:
        return Path(runtime) / SOCKET_NAME
    service = Path("/run/vedette") / SOCKET_NAME
    own = state_directory / SOCKET_NAME
    # A folder that cannot be searched is reported at the connecting: Path.exists would raise here.
    return service if not os.path.exists(own) and os.path.exists(service) else own  # noqa: PTH110  (see above)


def call(
    state_directory: Path, command: str, args: Mapping[str, Any] | None = None, *, timeout: float = 30.0
) -> Mapping[str, Any]:
    """Send a command to the running agent; raises VedetteError where none runs, or for its error answer."""
    path = socket_path(state_directory)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
        channel.settimeout(timeout)
        until = clock.monotonic() + timeout
        try:
            channel.connect(str(path))
            channel.sendall(json.dumps({"command": command, "args": dict(args or {})}).encode() + b"\n")
            answer = _read_line(channel, LARGEST_REPLY, until)
        except PermissionError:
            raise VedetteError(
                f"{path}: permission denied; use sudo or join the group of that file"
            ) from None
        except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
            raise NoAgent(
                f"no agent answers at {path}; is it running? (systemctl status vedette; give its --config here)"
            ) from None
        except OSError as error:
            raise VedetteError(f"the agent at {path} did not answer: {error}") from None
    try:
        reply = parse_object(answer or b"{}", largest=LARGEST_REPLY)
    except BadInput as error:
        raise VedetteError(f"the agent at {path} gave no answer that can be read: {error}") from None
    if not reply.get("ok"):
        raise VedetteError(str(reply.get("error") or "the agent gave no answer"))
    return reply


def dispatch(handlers: Mapping[str, Handler], request: object) -> dict[str, Any]:
    """Execute one request; never raises for a mistake of the caller."""
    if not isinstance(request, dict) or not isinstance(request.get("command"), str):
        return {"ok": False, "error": "a request is an object with a string `command`"}
    command, args = request["command"], request.get("args") or {}
    if command not in handlers:
        return {
            "ok": False,
            "error": f"unknown command {printable(command, 64)!r}; known: {', '.join(sorted(handlers))}",
        }
    if not isinstance(args, dict):
        return {"ok": False, "error": "`args` must be an object"}
    try:
        return {"ok": True, **handlers[command](args)}
    except VedetteError as error:
        return {"ok": False, "error": str(error)}
    except Exception as error:
        log.error("a request failed", command=command, error=repr(error), exc_info=error)
        return {
            "ok": False,
            "error": f"{command}: {type(error).__name__}: {printable(mask(str(error)), 200)}",
        }


class ControlServer(Worker):
    """Serves the control socket of a state directory."""

    def __init__(self, state_directory: Path, handlers: Mapping[str, Handler]) -> None:
        super().__init__("control")
        runtime = os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
        self.path = Path(runtime) / SOCKET_NAME if runtime else state_directory / SOCKET_NAME
        self._handlers = {name: _one_at_a_time(handler) for name, handler in handlers.items()}
        self._clients = Clients()

    def run(self, stop: threading.Event) -> None:
        """Answer until stopped, clients side by side; where the disk has no place for a socket, wait for one."""
        reason = ""
        while not stop.is_set():
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
                try:
                    self._bind(listener)
                except OSError as error:  # a read-only or full disk must not end the agent
                    if str(error) != reason:
                        reason = str(error)
                        log.error("no control socket, retrying", path=str(self.path), reason=reason)
                    self._rest(stop)
                    continue
                try:
                    self._answer(listener, stop)
                finally:
                    self._clients.close()
                    with suppress(OSError):
                        self.path.unlink(missing_ok=True)

    def _bind(self, listener: socket.socket) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        scratch = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        scratch.unlink(missing_ok=True)
        listener.bind(str(scratch))
        scratch.chmod(0o660)
        listener.listen(4 * MOST_CLIENTS)
        scratch.replace(self.path)  # who sees the socket can connect to it
        listener.settimeout(0.5)

    def _rest(self, stop: threading.Event) -> None:
        until = clock.monotonic() + RETRY_SECONDS
        while not stop.is_set() and clock.monotonic() < until:
            self.beat()
            stop.wait(0.5)

    def _answer(self, listener: socket.socket, stop: threading.Event) -> None:
        while not stop.is_set():
            self.beat()
            try:
                channel, _ = listener.accept()
            except TimeoutError:  # nobody came
                continue
            except (
                OSError
            ):  # there are no more files to open: who came waits, and would be looked for again at once
                stop.wait(REST_SECONDS)
                continue
            if self._clients.admit(channel):
                self._begin(channel)

    def _begin(self, channel: socket.socket) -> None:
        try:
            threading.Thread(target=self._serve, args=(channel,), name="control-client", daemon=True).start()
        except RuntimeError:  # the system has no thread for it
            self._clients.end(channel)

    def _serve(self, channel: socket.socket) -> None:
        """Read one request within its time, answer it, hang up; in the client's own thread."""
        try:
            line = _read_line(channel, LARGEST_REQUEST, clock.monotonic() + REQUEST_SECONDS)
            if self._clients.begin(channel):
                channel.settimeout(REPLY_SECONDS)
                channel.sendall(_answer_line(self._reply(line)))
        except OSError as error:  # the caller disconnected, or was too slow: no answer is possible
            log.debug("control connection broke", error=str(error))
        finally:
            self._clients.end(channel)

    def _reply(self, line: bytes) -> dict[str, Any]:
        try:
            request = parse_json(line)
        except BadInput as error:
            return {"ok": False, "error": f"the request cannot be read: {error}"}
        return dispatch(self._handlers, request)


class Clients:
    """The connected clients: a bounded number; those that have sent no request yet make room for others."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asking: dict[socket.socket, None] = {}
        self._asked: set[socket.socket] = set()

    def admit(self, channel: socket.socket) -> bool:
        """Admit a client; where there are too many, the oldest without a request is disconnected, or else this one."""
        with self._lock:
            if len(self._asking) + len(self._asked) >= MOST_CLIENTS:
                if not self._asking:
                    _refuse(channel)
                    return False
                eldest = next(iter(self._asking))
                del self._asking[eldest]
                _hang_up(eldest)
            self._asking[channel] = None
            return True

    def begin(self, channel: socket.socket) -> bool:
        """Its request was read; False if it was disconnected meanwhile."""
        with self._lock:
            if channel not in self._asking:
                return False
            del self._asking[channel]
            self._asked.add(channel)
            return True

    def end(self, channel: socket.socket) -> None:
        """Close a client's connection."""
        with self._lock:
            self._asking.pop(channel, None)
            self._asked.discard(channel)
            channel.close()

    def close(self) -> None:
        """Disconnect all; that ends their threads."""
        with self._lock:
            for channel in [*self._asking, *self._asked]:
                _hang_up(channel)


def _refuse(channel: socket.socket) -> None:
    with channel, suppress(OSError):
        channel.settimeout(0.0)
        channel.sendall(
            _answer_line({"ok": False, "error": f"{MOST_CLIENTS} other clients are being served; try again"})
        )


def _hang_up(channel: socket.socket) -> None:
    with suppress(OSError):
        channel.shutdown(socket.SHUT_RDWR)


def _one_at_a_time(handler: Handler) -> Handler:
    """Run a handler for one client at a time; different commands run side by side."""
    lock = threading.Lock()

    def locked(args: Mapping[str, Any]) -> Mapping[str, Any]:
        if not lock.acquire(timeout=REPLY_SECONDS):
            raise VedetteError("the same command is being executed for another client; try again")
        try:
            return handler(args)
        finally:
            lock.release()

    return locked


def _answer_line(reply: Mapping[str, Any]) -> bytes:
    try:
        line = json.dumps(reply, default=str).encode() + b"\n"
    except (TypeError, ValueError, RecursionError) as error:
        return _answer_line({"ok": False, "error": f"the answer is not JSON: {printable(error, 200)}"})
    if len(line) > LARGEST_REPLY:
        return _answer_line({"ok": False, "error": f"the answer has {len(line)} bytes; ask for less"})
    return line


def _read_line(channel: socket.socket, largest: int, until: float) -> bytes:
    """The data up to the end of a line or of the stream; OSError for over `largest` bytes, or later than `until`."""
    data = bytearray()
    while not data.endswith(b"\n"):
        left = until - clock.monotonic()
        if left <= 0:
            raise TimeoutError("no whole line in time")
        channel.settimeout(left)
        piece = channel.recv(65536)
        if not piece:
            break
        data += piece
        if len(data) > largest:
            raise OSError(f"a line of over {largest} bytes")
    return bytes(data)
