"""Staying connected: which broker, which MQTT version, and how long to wait after which failure.

Laws:

1. Brokers are tried in order of preference; after all have failed, wait, and begin with the first.
2. How long to wait depends on the worst failure of the round and doubles up to that failure's limit, with
   jitter: a wrong password must not lock the account, a second box with our client id must not be fought.
3. The wait starts anew only after a connection has held for a while. One that breaks without a word seconds after each
   login may be a fight over the client id (mosquitto 2.0 does not name it), or a message that the broker hangs up
   on: both are named, neither is sure. Where the broker gives its reason, that is said, and nothing else is guessed.
4. Connected to a fallback, the first broker is tried again now and then, beside the running connection.
5. A change is logged once; the same failure again is not.
6. A token that ends (JWT, SAS) is replaced before it does (renewal.py): a new connection, without a wait.
7. A broker that lacks retained messages or QoS 1 is asked for less (fallback.py), and what is lost is logged once.
8. A broker that does not answer MQTT 5, or hangs up on it twice, is asked in 3.1.1 at once; where that fails too, 5 is
   next: it was the line, or what stands before the broker. One that has spoken 5 is seldom asked, unless it says so.
   After a connection in 3.1.1 that held for AGAIN_SECONDS, 5 is next: the broker may just have been slow.
9. A connection that a guess made poorer (3.1.1, nothing retained, no will) is replaced once by one that asks for all
   (guesses.py): it was the line, or it is the broker, and then what has worked is next at once.
"""

from __future__ import annotations

import random
import select
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import structlog

from agent.core import clock
from agent.delivery.mqtt.address import BrokerAddress
from agent.delivery.mqtt.backoff import BACKOFF, backoff_seconds
from agent.delivery.mqtt.certificate_watch import CertificateWatch
from agent.delivery.mqtt.connection import Connection, ConnectionOptions, ProtocolVersion, Will
from agent.delivery.mqtt.connection_state import ConnectionState
from agent.delivery.mqtt.events import Closed, Event, Opened
from agent.delivery.mqtt.failures import MEND, OTHER_VERSION, REFUSALS, ConnectionFailure
from agent.delivery.mqtt.fallback import ALL, Demands, after_silence, ask_less, lost_at
from agent.delivery.mqtt.guesses import Asked, Guesses
from agent.delivery.mqtt.login import Credentials
from agent.delivery.mqtt.renewal import LoginRenewal

log = structlog.get_logger("vedette.delivery")

PROVEN_SECONDS = 10.0
SHORT_LIVES = 3  # in a row: no accident
AGAIN_SECONDS = 600.0
SELDOM = 20  # failed starts of a broker that has spoken MQTT 5: it may have been replaced by an older one


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionTiming:
    """How patient delivery is, in seconds; tests are less so. `scale` shortens every backoff."""

    connect: float = 10.0
    acknowledge: float = 30.0
    preferred: float = 300.0
    stop: float = 5.0
    disk: float = 5.0
    disk_retry: float = 30.0
    scale: float = 1.0


_ORDER = list(BACKOFF)
_BY_CLOCK = {ConnectionFailure.CLOCK.value, ConnectionFailure.CERTIFICATE.value}


class Session:
    """Keeps one connection alive; driven by the delivery thread. `now` is boot time, `wall` steady time for `since`."""

    def __init__(
        self,
        addresses: Sequence[BrokerAddress],
        options: ConnectionOptions,
        timing: SessionTiming,
        wake: Callable[[], None],
    ) -> None:
        self._addresses, self._options, self._timing, self._wake = list(addresses), options, timing, wake
        protocols = options.broker.protocols
        self._fixed = len(protocols) == 1
        self._versions = dict.fromkeys(range(len(self._addresses)), ProtocolVersion(protocols[0]))
        self._broken_starts: dict[int, int] = {}
        self._spoke_newest: set[int] = set()
        self._demands: dict[int, Demands] = {}
        self._took_all: set[int] = set()  # brokers that let us in without asking less
        self._guessed: set[int] = set()  # brokers that are asked for less though they did not say why
        self._old: set[int] = set()  # brokers that said that they do not speak MQTT 5
        self._guesses = Guesses()
        self._lost = ""
        self._index = 0
        self._round = 0
        self._worst: ConnectionFailure | None = None
        self._wait_until = 0.0
        self._opened_at = 0.0
        self._short_lives = 0
        self._retry_preferred_at = 0.0
        self._candidate: Connection | None = None
        self._said = ""
        self._renewal = LoginRenewal(options.broker, wake)
        self._replaced: list[Event] = []
        self.certificate = CertificateWatch(options.broker)
        self.connection: Connection | None = None
        self.state = ConnectionState(state="connecting", since=0.0)

    @property
    def connected(self) -> bool:
        """Whether a broker has let us in."""
        return self.admitted is not None

    @property
    def admitted(self) -> Connection | None:
        """The connection to the broker that has let us in, if there is one."""
        current = self.connection
        return current if current is not None and current.opened is not None and not current.closed else None

    def report(self) -> dict[str, Any]:
        """How it stands, for `vedette status`: plain values, `since` in Unix time."""
        state = self.state
        more = {"since": clock.unix(state.since), "mend": state.mend, "certificate": self.certificate.notice}
        return {**asdict(state), **more}

    def tick(self, now: float, wall: float, will: Callable[[str], Will]) -> None:
        """Connect if it is time to; `will` gets the broker's `BrokerAddress.server`."""
        self.certificate.look(now)
        if self.connection is None and now >= self._wait_until:
            self.connection = self._open(self._index, now, will(self._addresses[self._index].server))
            self._show("connecting", wall, reason=self.state.reason, failure=self.state.failure)
        elif self._replace(now, will) or self._ask_for_all(now, will):
            self._show("connecting", wall)
        elif self.connected and self._index and self._candidate is None and now >= self._retry_preferred_at:
            self._candidate = self._open(0, now, will(self._addresses[0].server))

    def _replace(self, now: float, will: Callable[[str], Will]) -> bool:
        """Law 6: whether the connection was replaced by one with another login."""
        connection = self.connection
        if connection is None or not self.connected:
            return False
        credentials = self._renewal.step(connection.address, now)
        if credentials is None:
            return False
        log.debug("connecting with a new login: the one in use expires soon", broker=connection.address.shown)
        self._reopen(connection, "replaced by a connection with a new login", now, will, credentials)
        return True

    def _ask_for_all(self, now: float, will: Callable[[str], Will]) -> bool:
        """Law 9: whether the connection was replaced by one that asks for all."""
        connection = self.connection
        if connection is None or not self.connected or not self._guesses.due(now):
            return False
        self._guesses.ask_for_all(self._index, self._asked())
        self._demand(Asked(ALL, ProtocolVersion(self._options.broker.protocols[0])))
        self._reopen(connection, "asking the broker again for all that delivery relies on", now, will)
        return True

    def _asked(self) -> Asked:
        return Asked(self._demands.get(self._index, ALL), self._versions[self._index])

    def _demand(self, asked: Asked) -> None:
        self._demands[self._index], self._versions[self._index] = asked
        (self._guessed.discard if asked.demands == ALL else self._guessed.add)(self._index)

    def _reopen(
        self,
        connection: Connection,
        reason: str,
        now: float,
        will: Callable[[str], Will],
        credentials: Credentials | None = None,
    ) -> None:
        connection.close()
        self._replaced.append(Closed(failure=ConnectionFailure.LOST, reason=reason, ours=True))
        self._renewal.end()
        self.connection = self._open(self._index, now, will(connection.address.server), credentials)

    def clock_changed(self, now: float) -> None:
        """The wall clock was set or synchronised: a certificate that was refused may be valid now."""
        self._renewal.clock_changed(now)
        if self.connection is None and self.state.failure in _BY_CLOCK:
            self._wait_until, self._round = 0.0, 0

    def _open(self, index: int, now: float, will: Will, credentials: Credentials | None = None) -> Connection:
        demands = self._demands.get(index, ALL)
        options = replace(self._options, version=self._versions[index], will=will, demands=demands)
        connection = Connection(self._addresses[index], options, self._wake, now, credentials)
        connection.start()
        return connection

    def drive(self, timeout: float, wake_fd: int, now: float) -> None:
        """Wait for network or wake-up."""
        if self._candidate is not None:
            self._candidate.drive(0.0, wake_fd, now)
            timeout = min(timeout, 0.1)
        if self.connection is not None:
            self.connection.drive(timeout, wake_fd, now)
            return
        poll = select.poll()
        poll.register(wake_fd, select.POLLIN)
        poll.poll(max(min(timeout, self._wait_until - now), 0.0) * 1000)

    def events(self, now: float, wall: float) -> list[Event]:
        """What happened since the last call; `Opened` begins and `Closed` ends the time of one connection."""
        happened = [*self._replaced, *self._weigh_candidate(now)]
        self._replaced.clear()
        connection = self.connection
        while connection is not None and connection.events:
            event = connection.events.popleft()
            happened.append(event)
            if isinstance(event, Opened):
                self._on_opened(connection, now, wall)
            elif isinstance(event, Closed):
                self._on_closed(connection, self._suspect(connection, event), now, wall)
                break
        if self.connected and now - self._opened_at > PROVEN_SECONDS:
            self._round = self._short_lives = 0
        return happened

    def _suspect(self, connection: Connection, event: Closed) -> Closed:
        """Law 3: what the third short life in a row means."""
        if connection.opened is None or event.failure is not ConnectionFailure.LOST or event.code:
            return event
        self._short_lives += 1
        if self._short_lives < SHORT_LIVES:
            return event
        reason = f"the connection breaks right after login, {self._short_lives} times in a row"
        return Closed(failure=ConnectionFailure.SHORT_LIVED, reason=reason)

    def _weigh_candidate(self, now: float) -> list[Event]:
        """Move to the preferred broker when it answers."""
        candidate = self._candidate
        if candidate is None or not candidate.events:
            return []
        self._candidate = None
        if candidate.opened is None or candidate.closed:
            candidate.abort()
            self._retry_preferred_at = now + self._timing.preferred
            return []
        self._renewal.end()
        if self.connection is not None:
            self.connection.close()
        self.connection, self._index = candidate, 0
        reason = "going back to the preferred broker"
        return [Closed(failure=ConnectionFailure.LOST, reason=reason, ours=True)]

    def fail(self, failure: ConnectionFailure, reason: str) -> None:
        """Give the connection up: it is open, but good for nothing."""
        if self.connection is not None and not self.connection.closed:
            self.connection.events.append(Closed(failure=failure, reason=reason))
            self.connection.abort()

    def close(self, wall: float) -> None:
        """Hang up in good order; may be called twice."""
        for connection in (self._candidate, self.connection):
            if connection is not None:
                connection.close()
        self._candidate = self.connection = None
        self._show("stopped", wall)

    def _on_opened(self, connection: Connection, now: float, wall: float) -> None:
        version = connection.options.version
        self._opened_at, self._worst = now, None
        self._renewal.begin(connection.credentials, now)
        self.certificate.presented(connection.address, connection.certificate)
        self._broken_starts.pop(self._index, None)
        if version is ProtocolVersion.V5:
            self._spoke_newest.add(self._index)
        self._retry_preferred_at = now + self._timing.preferred
        self._show("connected", wall)
        if connection.options.demands == ALL:
            self._took_all.add(self._index)
        poorer = version is ProtocolVersion.V311 and not self._fixed and self._index not in self._old
        self._guesses.opened(self._index, now, by_guess=poorer or self._index in self._guessed)
        self._log_lost(connection)
        if self._said != f"connected {self.state.broker}":
            self._said = f"connected {self.state.broker}"
            log.info("connected to the broker", broker=self.state.broker, mqtt=version.value)
            if version is ProtocolVersion.V311:
                log.warning(
                    "MQTT 3.1.1: messages that the broker's access rules refuse are lost without a report",
                    broker=self.state.broker,
                )

    def _log_lost(self, connection: Connection) -> None:
        """Law 7."""
        lost = lost_at(connection.opened, connection.options.demands) if connection.opened else ""
        if lost and lost != self._lost:
            log.warning(
                "the broker lacks features that delivery relies on", broker=self.state.broker, lost=lost
            )
        elif self._lost and not lost:
            log.info("the broker has all features that delivery relies on", broker=self.state.broker)
        self._lost = lost

    def _on_closed(self, connection: Connection, event: Closed, now: float, wall: float) -> None:
        connection.abort()
        self.connection = None
        self._renewal.end()
        self._say(connection, event)
        if (
            self._less(event.failure)
            or self._back(connection, event)
            or self._other_version(connection, event.failure)
        ):
            self._show("waiting", wall, reason=event.reason, failure=event.failure.value)
            return
        if self._worst is None or _ORDER.index(event.failure) > _ORDER.index(self._worst):
            self._worst = event.failure
        was_open = connection.opened is not None
        if was_open:
            self._guesses.closed()
        if was_open and not self._fixed and now - self._opened_at >= AGAIN_SECONDS:
            self._versions[self._index] = ProtocolVersion.V5
        if was_open and self._index in self._guessed:  # what was missing may have been the broker itself
            self._guessed.discard(self._index)
            self._demands.pop(self._index, None)
        self._index = 0 if was_open else (self._index + 1) % len(self._addresses)
        if was_open or self._index == 0:
            wait = backoff_seconds(self._worst, self._round, random.random()) * self._timing.scale
            self._wait_until = now + wait
            self._round += 1
            self._worst = None
        self._show("waiting", wall, reason=event.reason, failure=event.failure.value)

    def _less(self, failure: ConnectionFailure) -> bool:
        """Whether to try at once with fewer demands: the broker has named what it lacks."""
        less = ask_less(self._demands.get(self._index, ALL), failure)
        if less is not None:
            self._demands[self._index] = less
        return less is not None

    def _back(self, connection: Connection, event: Closed) -> bool:
        """Law 9: whether to go back at once to what has worked, since the broker hung up on more."""
        worked = self._guesses.worked(self._index)
        if (
            connection.opened is not None
            or event.failure not in OTHER_VERSION
            or worked in (None, self._asked())
        ):
            return False
        self._demand(worked)
        return True

    def _other_version(self, connection: Connection, failure: ConnectionFailure) -> bool:
        """Law 8: whether to try at once with the other version."""
        if connection.opened is not None or failure not in OTHER_VERSION:
            return False
        starts = self._broken_starts[self._index] = self._broken_starts.get(self._index, 0) + 1
        if not self._fixed and connection.options.version is ProtocolVersion.V5:
            other = failure is ConnectionFailure.VERSION or self._is_asked_again(failure, starts)
            (self._old.add if failure is ConnectionFailure.VERSION else self._old.discard)(self._index)
            self._versions[self._index] = ProtocolVersion.V311 if other else ProtocolVersion.V5
            return other
        if not self._fixed:
            self._versions[self._index] = ProtocolVersion.V5
        if failure is ConnectionFailure.LOST and starts >= 2:
            self._demand_less_silently()
        return False

    def _is_asked_again(self, failure: ConnectionFailure, starts: int) -> bool:
        """Whether a broker that failed `starts` times in a row is asked in the older version."""
        if self._index in self._spoke_newest:
            return starts % SELDOM == 0
        return failure is ConnectionFailure.SILENT or starts >= 2  # amqtt does not even answer

    def _demand_less_silently(self) -> None:
        """All versions were hung up on: the will may be the reason, but not at a broker that has taken it before."""
        self._broken_starts.pop(self._index)
        if self._index in self._took_all:
            return
        self._guessed.add(self._index)
        self._demands[self._index] = after_silence(self._demands.get(self._index, ALL))

    def _say(self, connection: Connection, event: Closed) -> None:
        said = f"{connection.address.shown} {event.failure.value}"
        if said == self._said:
            log.debug("broker still unavailable", broker=connection.address.shown, reason=event.reason)
            return
        self._said = said
        mend = MEND.get(event.failure)
        speak = log.error if mend else log.warning
        more = {"mend": mend} if mend else {}
        text = (
            "the broker refused us" if event.failure in REFUSALS else "no connection to the broker, retrying"
        )
        speak(text, broker=connection.address.shown, failure=event.failure.value, reason=event.reason, **more)

    def _show(self, state: str, wall: float, *, reason: str = "", failure: str = "") -> None:
        version = self.connection.options.version.value if self.connection is not None else ""
        same = (self.state.state == "connected") == (state == "connected") and self.state.since > 0
        self.state = ConnectionState(
            state=state,
            since=self.state.since if same else wall,
            broker=self._addresses[self._index].shown,
            version=version,
            failure=failure,
            reason=reason,
        )
