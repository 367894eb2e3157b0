"""Commands over MQTT: off by default, an allow-list, each carried out at most once, and all of it logged.

`<prefix>/command/<name>` carries a JSON object with `id` (of the sender's choice), `time` (RFC 3339) and what
the command takes. Judging (`judge`) is done in the delivery thread, carrying out in this part's own, so a
command that takes long holds nothing up. The answer goes to the MQTT 5 response topic (below `reply/` or
`reply_prefixes`), else to `reply/<id>`. All that is sent counts in the rate limit, refused or not.
"""

from __future__ import annotations

import queue
import re
import threading
from collections import deque
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from typing import Any

import structlog

from agent.config.delivery_settings import CommandSettings
from agent.core.arguments import Handler
from agent.core.errors import DeliveryError, VedetteError
from agent.core.masking import mask
from agent.core.printable import printable
from agent.core.untrusted import BadInput, parse_json, take_object, take_text
from agent.core.worker import Worker
from agent.delivery.messages import reply_draft, unix_time
from agent.delivery.mqtt.events import Received
from agent.delivery.replies import CommandRefused, Reply, check_return

log = structlog.get_logger("vedette.commands")

LARGEST_COMMAND = 16 * 1024
QUEUE_SIZE = 16
_AHEAD_SECONDS = 60.0  # how far a sender's clock may be ahead of ours
_ID = re.compile(r"[\w.-]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A request that may be carried out; `response_topic` and `correlation` are the sender's."""

    name: str
    id: str
    time: object
    args: Mapping[str, Any]
    response_topic: str | None
    correlation: bytes | None


def parse(received: Received) -> Command:
    """The command in a message on `.../command/<name>`; raises CommandRefused."""
    name = received.topic.rpartition("/")[2]
    if len(received.payload) > LARGEST_COMMAND:
        raise CommandRefused(f"over {LARGEST_COMMAND} bytes")
    try:
        body = parse_json(received.payload, largest=LARGEST_COMMAND)
    except BadInput as error:
        raise CommandRefused(str(error)) from None
    if not isinstance(body, dict) or not isinstance(body.get("id"), str) or not _ID.fullmatch(body["id"]):
        raise CommandRefused(
            "a command is an object with an `id` of up to 64 letters, digits, '.', '_' and '-'"
        )
    return Command(
        name=name,
        id=body["id"],
        time=body.get("time"),
        args=_arguments(body),
        response_topic=received.response_topic,
        correlation=received.correlation,
    )


def _arguments(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the command takes: the fields of the body and, for names such as `id` that are the command's own, `args`."""
    try:
        inner: Mapping[str, Any] = take_object(body, "args", {})
    except BadInput as error:
        raise CommandRefused(str(error), command_id=body["id"]) from None
    return {key: value for key, value in body.items() if key not in {"id", "args", "time"}} | dict(inner)


class RateLimit:
    """At most `per_minute` in any minute."""

    def __init__(self, per_minute: int) -> None:
        self._recent: deque[float] = deque(maxlen=per_minute)

    def allows(self, now: float) -> bool:
        """Count one at `now` (monotonic seconds) if it may be."""
        if len(self._recent) == self._recent.maxlen and now - self._recent[0] < 60.0:
            return False
        self._recent.append(now)
        return True


class CommandWorker(Worker):
    """Takes commands in, has them carried out one after the other, and hands the answers to `reply`.

    `by_name` are commands that "*" does not allow: the config has to name them.
    """

    def __init__(
        self, settings: CommandSettings, handlers: Mapping[str, Handler], *, by_name: Set[str] = frozenset()
    ) -> None:
        super().__init__("commands")
        self._settings, self._handlers, self._by_name = settings, handlers, by_name
        self._rate = RateLimit(settings.rate_per_minute)
        self._excess = RateLimit(settings.rate_per_minute)
        self._queue: queue.Queue[Command] = queue.Queue(QUEUE_SIZE)
        self.patience_seconds = 600.0  # a command may record for minutes
        self.reply: Callable[[Reply], None] = lambda _: None

    @property
    def enabled(self) -> bool:
        """Whether to subscribe at all."""
        return self._settings.enabled

    def change(self, settings: CommandSettings) -> None:
        """Judge by other settings from now on; called from any thread."""
        if settings.rate_per_minute != self._settings.rate_per_minute:
            self._rate, self._excess = (
                RateLimit(settings.rate_per_minute),
                RateLimit(settings.rate_per_minute),
            )
        self._settings = settings

    def receive(
        self,
        received: Received,
        *,
        wall: float,
        now: float,
        first_time: Callable[[str], bool],
        synced: bool = True,
    ) -> None:
        """Judge a message and queue the command; runs in the delivery thread and never blocks.

        `first_time` remembers an id on disk and says whether it is new: it is asked last and before the command
        runs, so a command is carried out once or, after a crash at the wrong moment, not at all. `wall` is Unix time,
        `synced` whether it can be trusted.
        """
        within = self._rate.allows(now)
        if not within and not self._excess.allows(now):
            log.warning("too many commands, ignoring them")
            return
        if received.retained:
            log.warning("retained command ignored", topic=printable(received.topic, 200))
            return
        try:
            command = parse(received)
            check_return(received, self._settings.reply_prefixes, command.id)
            self._judge(command, wall=wall, within=within, synced=synced)
            if not _is_new(command, first_time):
                log.info(
                    "command was delivered twice, ignoring the second", command=command.name, id=command.id
                )
                return
            self._queue.put_nowait(command)
        except CommandRefused as error:
            self._refuse(received, error)
        except queue.Full:
            self._refuse(received, CommandRefused("too many commands are waiting"))

    def _judge(self, command: Command, *, wall: float, within: bool, synced: bool) -> None:
        if not self._allows(command.name):
            raise CommandRefused(
                f"command {printable(command.name, 64)!r} is not allowed", command_id=command.id
            )
        if command.name not in self._handlers:
            raise CommandRefused(f"unknown command {printable(command.name, 64)!r}", command_id=command.id)
        try:
            age = wall - unix_time(take_text({"time": command.time}, "time", longest=64))
        except (ValueError, OverflowError):
            raise CommandRefused("`time` must be RFC 3339", command_id=command.id) from None
        if not -_AHEAD_SECONDS <= age <= self._settings.max_age:
            raise CommandRefused(
                f"{age:.0f} s old by this box's clock{'' if synced else ', which is not synchronised'}; "
                f"at most {self._settings.max_age:.0f} s is accepted",
                command_id=command.id,
            )
        if not within:
            raise CommandRefused(
                f"more than {self._settings.rate_per_minute} commands in a minute", command_id=command.id
            )

    def _allows(self, name: str) -> bool:
        allowed = self._settings.allow
        return self._settings.enabled and (name in allowed or ("*" in allowed and name not in self._by_name))

    def _refuse(self, received: Received, error: CommandRefused) -> None:
        reason = printable(error)
        log.warning("command refused", topic=printable(received.topic, 200), id=error.id, reason=reason)
        if not error.id:
            return
        name = printable(received.topic.rpartition("/")[2], 64)
        body = {"command": name, "id": error.id, "ok": False, "error": reason}
        topic, correlation = received.response_topic, received.correlation
        try:
            check_return(received, self._settings.reply_prefixes, error.id)
        except CommandRefused:  # then in its own place, `reply/<id>`
            topic = correlation = None
        self.reply(_reply(error.id, body, topic, correlation))

    def run(self, stop: threading.Event) -> None:
        """Carry out what was accepted, until stopped."""
        while not stop.is_set():
            self.beat()
            try:
                command = self._queue.get(timeout=0.5)
            except queue.Empty:
                continue
            self._carry_out(command)

    def _carry_out(self, command: Command) -> None:
        body: dict[str, Any] = {"command": command.name, "id": command.id}
        try:
            body |= {"ok": True, **self._handlers[command.name](command.args)}
        except VedetteError as error:
            body |= {"ok": False, "error": str(error)}
        except Exception as error:  # noqa: BLE001  (the workers' rule: no item ends the work on the others)
            self.discard(f"carry out the command {command.name}", error)
            body |= {"ok": False, "error": f"{type(error).__name__}: {printable(mask(str(error)), 200)}"}
        log.info("command carried out", command=command.name, id=command.id, ok=body["ok"])
        self.reply(_reply(command.id, body, command.response_topic, command.correlation))


def _is_new(command: Command, first_time: Callable[[str], bool]) -> bool:
    """Whether it was never seen; refused where that cannot be written down: it might be carried out twice."""
    try:
        return first_time(command.id)
    except DeliveryError as error:
        raise CommandRefused(f"its id cannot be remembered: {error}", command_id=command.id) from None


def _reply(command_id: str, body: Mapping[str, Any], topic: str | None, correlation: bytes | None) -> Reply:
    return Reply(draft=reply_draft(command_id, body), topic=topic or None, correlation=correlation)
