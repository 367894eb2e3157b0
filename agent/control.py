"""The local control socket: commands from the CLI to the running agent, as JSON lines over a Unix socket.

Who may use it is decided by the file's permissions (owner and group). One request a connection:
`{"command": "reload", "args": {}}` is answered by `{"ok": true, ...}` or `{"ok": false, "error": "..."}`.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import structlog

from agent.errors import NoAgent, VedetteError
from agent.parts import Part
from agent.untrusted import BadInput, parse_json, parse_object

log = structlog.get_logger("vedette.control")

Handler = Callable[[Mapping[str, Any]], Mapping[str, Any]]
SOCKET_NAME = "control.sock"
LONGEST_REQUEST = 64 * 1024
LARGEST_REPLY = 16 * LONGEST_REQUEST
RETRY_SECONDS = 10.0


def socket_path(state_directory: Path) -> Path:
    """Where the socket is: systemd's runtime directory, else beside the state."""
    runtime = os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    if runtime:
        return Path(runtime) / SOCKET_NAME
    service = Path("/run/vedette") / SOCKET_NAME
    own = state_directory / SOCKET_NAME
    # os.path: a folder that we may not look into is no error here, but at the connecting
    return service if not os.path.exists(own) and os.path.exists(service) else own  # noqa: PTH110


def call(
    state_directory: Path, command: str, args: Mapping[str, Any] | None = None, *, timeout: float = 30.0
) -> Mapping[str, Any]:
    """Ask the running agent; raises VedetteError where none runs, or what it answered as an error."""
    path = socket_path(state_directory)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
        channel.settimeout(timeout)
        try:
            channel.connect(str(path))
            channel.sendall(json.dumps({"command": command, "args": dict(args or {})}).encode() + b"\n")
            answer = _read_line(channel)
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
    """Carry out one request; never raises for what a caller could have got wrong."""
    if not isinstance(request, dict) or not isinstance(request.get("command"), str):
        return {"ok": False, "error": "a request is an object with a string `command`"}
    command, args = request["command"], request.get("args") or {}
    if command not in handlers:
        return {"ok": False, "error": f"unknown command {command!r}; known: {', '.join(sorted(handlers))}"}
    if not isinstance(args, dict):
        return {"ok": False, "error": "`args` must be an object"}
    try:
        return {"ok": True, **handlers[command](args)}
    except VedetteError as error:
        return {"ok": False, "error": str(error)}
    except (KeyError, TypeError, ValueError) as error:
        return {"ok": False, "error": f"{command}: {type(error).__name__}: {error}"}


class ControlServer(Part):
    """Serves the control socket of a state directory."""

    def __init__(self, state_directory: Path, handlers: Mapping[str, Handler]) -> None:
        super().__init__("control")
        runtime = os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
        self.path = Path(runtime) / SOCKET_NAME if runtime else state_directory / SOCKET_NAME
        self._handlers = handlers

    def run(self, stop: threading.Event) -> None:
        """Answer until stopped, one connection at a time; where the disk has no place for a socket, wait for one."""
        said = ""
        while not stop.is_set():
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
                try:
                    self._bind(listener)
                except OSError as error:  # a read-only or full disk must not end the agent
                    if str(error) != said:
                        said = str(error)
                        log.error("no control socket, trying on", path=str(self.path), reason=said)
                    self._rest(stop)
                    continue
                try:
                    self._answer(listener, stop)
                finally:
                    with suppress(OSError):
                        self.path.unlink(missing_ok=True)

    def _bind(self, listener: socket.socket) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        scratch = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        scratch.unlink(missing_ok=True)
        listener.bind(str(scratch))
        scratch.chmod(0o660)
        listener.listen(8)
        scratch.replace(self.path)  # who sees the socket can connect to it
        listener.settimeout(0.5)

    def _rest(self, stop: threading.Event) -> None:
        until = time.monotonic() + RETRY_SECONDS  # noqa: TID251
        while not stop.is_set() and time.monotonic() < until:  # noqa: TID251
            self.beat()
            stop.wait(0.5)

    def _answer(self, listener: socket.socket, stop: threading.Event) -> None:
        while not stop.is_set():
            self.beat()
            try:
                channel, _ = listener.accept()
            except TimeoutError:
                continue
            with channel:
                self._serve(channel)

    def _serve(self, channel: socket.socket) -> None:
        channel.settimeout(5.0)
        try:
            line = _read_line(channel)
            try:
                request = parse_json(line)
            except BadInput:
                request = None
            channel.sendall(json.dumps(dispatch(self._handlers, request), default=str).encode() + b"\n")
        except OSError as error:  # the caller went away: nothing is left to tell it
            log.debug("control connection broke", error=str(error))


def _read_line(channel: socket.socket) -> bytes:
    data = b""
    while not data.endswith(b"\n"):
        piece = channel.recv(65536)
        if not piece:
            break
        data += piece
        if len(data) > LARGEST_REPLY:
            raise OSError("the line is too long")
    return data
