"""The alert service: runs the engine, stores its state, logs its alerts, answers people's commands.

`step` belongs to the analyst's thread; the handlers are called by the control socket and by MQTT commands in
theirs. One lock keeps them apart; it is held for milliseconds.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from agent.alerts import memory_pieces
from agent.alerts.alert_json import alert_to_json
from agent.alerts.alert_text import journal_line
from agent.alerts.audiences import Audiences
from agent.alerts.controls import Control, ControlKind
from agent.alerts.engine import ActiveAlert, AlertEngine
from agent.alerts.rules import Rule, series_text
from agent.alerts.runtime.observation_log import ObservationLog
from agent.alerts.runtime.store import AlertStore, changes
from agent.alerts.runtime.time_budget import TimeBudget
from agent.alerts.words import stamp
from agent.core import clock
from agent.core.arguments import Handler, Page, check_names, take_duration, take_moment, take_word
from agent.core.errors import VedetteError
from agent.core.logbook import Note, unnoted
from agent.core.nearest import unknown
from agent.core.types import Alert, AlertEvent, Labels, Observation, Severity
from agent.core.untrusted import take_flag, take_number

log = structlog.get_logger("vedette.alerts")

SAVE_SECONDS = 60.0  # controls and changes are saved at once; this is for holds and the like
SAVE_QUIET_SECONDS = 900.0  # where nothing is pending or fires
SAVE_SAMPLES_SECONDS = 900.0  # rates and burns are judged across a gap of that much
SAVE_MEMORY_SECONDS = 1800.0
SAVE_SHARE = 0.05  # of the time at most is spent saving, however many alerts there are ...
SAVE_BURST_SECONDS = 3.0  # ... but for the first so many seconds: what was published is saved at once
WHOLE_MEMORY = "memory"  # where an earlier version saved it: it stays for whoever goes back to that
UNOBSERVED_SECONDS = 900.0  # then a rule that nothing was observed for is logged
LEAST_SLEEP_SECONDS = 0.5  # the clocks are read one after the other
MOST_LINES = 50  # in the journal for one step
_WHO_AND_UNTIL = ("who", "why", "for", "until")


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """The alerts of one step: `publish` goes to the broker, `notify` to the notifiers."""

    publish: tuple[Alert, ...] = ()
    notify: tuple[Alert, ...] = ()


class AlertService:
    """Owns the engine and its store; records observations in `observations`, for replays.

    `cameras` returns the names of the cameras; empty where they are not known. `note` gets each control.
    """

    def __init__(
        self,
        engine: AlertEngine,
        store: AlertStore,
        observations: ObservationLog | None = None,
        *,
        cameras: Callable[[], Sequence[str]] = tuple,
        note: Note = unnoted,
    ) -> None:
        self._cameras, self._note = cameras, note
        self._engine, self._store, self._observations = engine, store, observations
        self._lock = threading.Lock()
        self._saved_at = self._samples_saved_at = self._memory_saved_at = -math.inf
        self._budget = TimeBudget(SAVE_SHARE, SAVE_BURST_SECONDS)
        self._unsaved: list[Alert] = []
        self._audiences = Audiences()
        self._crowded = False
        self._unobserved_due = math.inf
        self._opened_at, self._slept = -math.inf, 0.0

    def open(self) -> None:
        """Open the store and continue where the last run ended."""
        now, monotonic = clock.now(), clock.monotonic()
        self._opened_at, self._slept = now, clock.boottime() - monotonic
        self._engine.set_offset(clock.offset())
        self._store.open()
        self._unobserved_due = monotonic + UNOBSERVED_SECONDS
        self._saved_at = self._samples_saved_at = self._memory_saved_at = monotonic
        self._take_over("state", lambda kept: self._engine.restore(kept, now))
        self._take_over("audiences", self._audiences.restore)
        self._take_over("samples", lambda kept: self._engine.restore_samples(kept, now))
        self._take_over(memory_pieces.NAME, self._engine.restore_memory)

    def _take_over(self, name: str, restore: Callable[[Any], None]) -> None:
        try:
            if (kept := self._kept(name)) is not None:
                restore(kept)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            log.error(
                "the stored state of the alerts cannot be used, starting without it",
                name=name,
                error=repr(error),
            )

    def _kept(self, name: str) -> Any:
        """What was saved under a name; None where nothing was. Raises KeyError, TypeError or ValueError."""
        kept = self._store.family(name)
        if name != memory_pieces.NAME:
            return kept.get(name)
        return memory_pieces.joined(kept) if kept else self._store.family(WHOLE_MEMORY).get(WHOLE_MEMORY)

    def close(self) -> None:
        """Save everything and close the store; may be called twice."""
        with self._lock:
            self._save(with_samples=True, with_memory=True)
            self._store.close()
        if self._observations is not None:
            self._observations.flush(clock.unix(clock.now()), clock_synced=clock.synced())

    def set_rules(self, rules: Sequence[Rule]) -> None:
        """Replace the rules."""
        with self._lock:
            self._engine.set_rules(rules)
            self._unobserved_due = clock.monotonic() + UNOBSERVED_SECONDS

    def remove_targets(self, labels: Labels) -> None:
        """Discard targets with these labels, such as those of a removed camera; their alerts resolve."""
        with self._lock:
            self._engine.remove_targets(labels, clock.now())

    def step(self, observations: Iterable[Observation], now: float) -> StepResult:
        """Evaluate and record `observations`, log state changes; returns what to publish and whom to notify of what.

        `now` and the observations' times are steady time.
        """
        monotonic, offset = clock.monotonic(), clock.offset()
        observations = list(observations)
        if self._observations is not None:
            self._observations.record(observations, now, unix_offset=offset, clock_synced=clock.synced())
        with self._lock:
            if off := clock.settle():
                self._engine.count_off(off, self._opened_at)
            alerts = self._engine.step(
                observations,
                now,
                asleep=self._take_sleep(monotonic),
                unix_offset=offset,
                utc_offset=clock.local_offset() - offset,
            )
            rules = {rule.name: rule for rule in self._engine.rules}
            gone = [(alert, self._audiences.of(alert, rules.get(alert.rule))) for alert in alerts]
            self._unsaved += alerts
            self._save_when_due(monotonic)
            waiting = self._engine.waiting
            if monotonic >= self._unobserved_due:
                self._unobserved_due = math.inf
                _log_unobserved(self._engine.unobserved())
        _write_journal(alerts)
        if waiting and not self._crowded:
            log.warning(
                "more alerts fire than are published at a time; see `vedette alerts --all`", waiting=waiting
            )
        self._crowded = waiting > 0
        return StepResult(
            publish=tuple(alert for alert, audience in gone if audience == "all"),
            notify=tuple(alert for alert, audience in gone if audience != "journal"),
        )

    def _take_sleep(self, monotonic: float) -> float:
        """Seconds that the box slept since the last call."""
        before, self._slept = self._slept, clock.boottime() - monotonic
        return self._slept - before if self._slept - before > LEAST_SLEEP_SECONDS else 0.0

    def firing_count(self) -> int:
        """How many alerts were published and still fire."""
        with self._lock:
            return self._engine.firing_count()

    def firing(self, now: float) -> list[Alert]:
        """The alerts that were published and still fire, those for the journal alone included."""
        with self._lock:
            return self._engine.firing(now)

    # -- saving -----------------------------------------------------------------------------------------

    def _save_when_due(self, monotonic: float) -> None:
        since = monotonic - self._saved_at
        affordable = self._budget.allows(monotonic)
        with_memory = monotonic - self._memory_saved_at >= SAVE_MEMORY_SECONDS
        with_samples = monotonic - self._samples_saved_at >= SAVE_SAMPLES_SECONDS
        spacing = SAVE_QUIET_SECONDS if self._engine.is_quiet else SAVE_SECONDS
        if with_samples or with_memory or (affordable and (self._unsaved or since >= spacing)):
            self._save(with_samples=with_samples, with_memory=with_memory)

    def _save(self, *, with_samples: bool = False, with_memory: bool = False) -> None:
        began, now = clock.monotonic(), clock.now()
        snapshots: dict[str, Any] = {
            "state": self._engine.to_snapshot(now),
            "audiences": self._audiences.to_json(),
        }
        if with_samples:
            snapshots["samples"] = self._engine.samples_snapshot()
            self._samples_saved_at = began
        if with_memory:
            snapshots |= memory_pieces.split(self._engine.memory_snapshot())
            self._memory_saved_at = began
        self._store.record(self._unsaved, snapshots, family=memory_pieces.NAME if with_memory else "")
        self._unsaved = []
        self._saved_at = clock.monotonic()
        self._budget.spend(self._saved_at - began, self._saved_at)

    # -- commands ----------------------------------------------------------------------------------------

    def handlers(self) -> dict[str, Handler]:
        """The commands, for the control socket and for MQTT; each raises VedetteError for wrong arguments."""
        return {
            "alerts": self._list,
            "acknowledge": self._acknowledge,
            "snooze": self._snooze,
            "mute": self._mute,
            "limit": self._limit,
            "undo": self._undo,
            "controls": self._controls,
            "history": self._history,
        }

    def _list(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        check_names(args, "all", "limit", "offset")
        page, everything = Page.of(args), take_flag(args, "all", False)
        now = clock.now()
        with self._lock:
            active = self._engine.active_alerts(now)
        listed = [item for item in active if item.published or everything]
        shown = page.cut(
            [_active_to_json(item) for item in listed[page.offset :][: page.limit]], skipped=page.offset
        )
        return {"alerts": shown, **page.about(shown, len(listed))}

    def _acknowledge(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        check_names(args, "id", *_WHO_AND_UNTIL)
        with self._lock:
            instance = self._engine.find(take_word(args, "id"))
            return self._apply(ControlKind.ACKNOWLEDGE, args, alert=instance.id)

    def _snooze(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        check_names(args, "id", *_WHO_AND_UNTIL)
        with self._lock:
            instance = self._engine.find(take_word(args, "id"))
            return self._apply(ControlKind.SNOOZE, args, rule=instance.rule, labels=instance.labels)

    def _mute(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        check_names(args, "rule", "camera", "schedule", *_WHO_AND_UNTIL)
        with self._lock:
            return self._apply(
                ControlKind.MUTE,
                args,
                rule=take_word(args, "rule", ""),
                labels=self._camera(args),
                schedule=take_word(args, "schedule", ""),
            )

    def _limit(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        check_names(args, "rule", "camera", "value", *_WHO_AND_UNTIL)
        value = take_number(args, "value")
        with self._lock:
            rule = take_word(args, "rule")
            return self._apply(ControlKind.LIMIT, args, rule=rule, labels=self._camera(args), value=value)

    def _camera(self, args: Mapping[str, Any]) -> dict[str, str]:
        camera, known = take_word(args, "camera", ""), self._cameras()
        if camera and known and camera not in known:
            raise VedetteError(unknown("camera", camera, known))
        return {"camera": camera} if camera else {}

    def _apply(self, kind: ControlKind, args: Mapping[str, Any], **about: Any) -> Mapping[str, Any]:
        now = clock.now()
        who, why = take_word(args, "who", "unknown"), take_word(args, "why", "")
        until, by_wall = _until(args, now)
        control = self._engine.apply(
            Control(kind=kind, who=who, why=why, at=now, until=until, by_wall=by_wall, **about)
        )
        self._save()
        log.info(
            f"control in force: {kind.value}", control=control.id, who=who, why=why, subject=_subject(control)
        )
        self._note(kind.value, _noted(control.labelled(clock.offset())), who=who, why=why)
        return {"control": control.labelled(clock.offset()).to_json()}

    def _undo(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        check_names(args, "id", "who", "why")
        now = clock.now()
        who, why = take_word(args, "who", "unknown"), take_word(args, "why", "")
        with self._lock:
            undone = self._engine.undo(take_word(args, "id"), now, who=who, why=why)
            self._save()
        log.info(f"{undone.kind.value} undone", control=undone.id, who=who, why=why, subject=_subject(undone))
        self._note("undo", f"{undone.kind.value} {_noted(undone.labelled(clock.offset()))}", who=who, why=why)
        return {"control": undone.labelled(clock.offset()).to_json()}

    def _controls(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        check_names(args, "limit", "offset", "who")
        page = Page.of(args)
        with self._lock:
            entries = [entry.labelled(clock.offset()).to_json() for entry in self._engine.controls.entries]
        shown = page.cut(entries)
        return {"controls": shown, **page.about(shown, len(entries))}

    def _history(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        """Pages begin with the newest; within one, the oldest stands first."""
        check_names(args, "since", "limit", "offset")
        page = Page.of(args, limit=200)
        since = take_moment(args, "since", "24h", clock.unix(clock.now()), backwards=True)
        with self._lock:
            unsaved = [alert for alert in self._unsaved if alert.changed_at >= since][::-1]
            saved = self._store.history(since, page.limit, offset=max(0, page.offset - len(unsaved)))
            count = self._store.count(since) + len(unsaved)
        newest = [*unsaved[page.offset :], *changes(saved)]
        shown = page.cut([alert_to_json(alert) for alert in newest], skipped=page.offset)
        return {"alerts": shown[::-1], **page.about(shown, count)}


def _log_unobserved(rules: Sequence[tuple[Rule, str]]) -> None:
    for rule, nearest in rules:
        hint = f"; did you mean {nearest!r}?" if nearest and nearest != rule.condition.metric else ""
        log.warning(
            f"a rule cannot fire: nothing is observed of {series_text(rule.condition)}{hint}", rule=rule.name
        )


def _write_journal(alerts: Sequence[Alert]) -> None:
    for alert in alerts[:MOST_LINES]:
        text = journal_line(alert)
        fields = {**alert.labels, "rule": alert.rule, "alert": alert.id, "severity": alert.severity.value}
        fields |= {"runbook": alert.runbook} if alert.runbook else {}
        if alert.event not in {AlertEvent.FIRED, AlertEvent.REMINDER} or alert.severity is Severity.INFO:
            log.info(text, journal=fields)
        elif alert.severity is Severity.CRITICAL:
            log.critical(text, journal=fields)
        else:
            log.warning(text, journal=fields)
    if len(alerts) > MOST_LINES:
        log.warning(f"and {len(alerts) - MOST_LINES} more alerts; see `vedette alerts`")


def _active_to_json(active: ActiveAlert) -> dict[str, Any]:
    alert = alert_to_json(active.alert)
    return {**alert, "told": active.published, "held_back": active.suppressed_by}


def _noted(control: Control) -> str:
    """A control, with times of the wall clock, as the logbook has it."""
    value = "" if control.value is None else f" = {control.value:g}"
    until = "" if control.until is None else f", until {stamp(control.until)}"
    return f"{_subject(control)}{value}{until}"


def _subject(control: Control) -> str:
    parts = [control.alert, control.rule, *control.labels.values(), control.schedule]
    return " ".join(part for part in parts if part)


def _until(args: Mapping[str, Any], now: float) -> tuple[float | None, bool]:
    """When a control ends, and whether that is by the wall clock ("until") rather than after a time ("for")."""
    if args.get("for") is not None and args.get("until") is not None:
        raise VedetteError("give `for` or `until`, not both")
    if args.get("for") is not None:
        return now + take_duration(args, "for", "2h"), False
    if args.get("until") is not None:
        return take_moment(args, "until", None, clock.unix(now)), True
    return None, False
