"""Device-hours of simulated clock faults over the parts that measure time: steady time, alert engine, notices, backlog.

    python -m tests.clock_faults --hours 10000 --seed 1

Each device lives through incidents (heat, slow frames, a silent camera), people who acknowledge and snooze, outages of
its notifier, and one kind of clock fault. A model that knows the true time counts what went wrong; all counts must be 0.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import tempfile
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from agent.alerts.controls import Control, ControlKind
from agent.alerts.engine import AlertEngine
from agent.alerts.rules import compile_rules
from agent.alerts.state_machine import FLAP_FIRES, FLAP_HOLD_SECONDS
from agent.config.alert_settings import AlertSettings, NotifierSettings, RuleSettings
from agent.core import clock
from agent.core.errors import RetryableDelivery
from agent.core.types import AlertEvent, Observation, Priority
from agent.delivery.mqtt.routing import is_late
from agent.delivery.outbox.rows import OutboxRow
from agent.notifiers.runner import LONGEST_PAUSE_SECONDS, NotifierWorker
from tests.clocks import Machine

TICK, MINUTE, HOUR, YEAR = 30.0, 60.0, 3600.0, 365.25 * 86400
SLACK = 3 * TICK
GROUP = 30.0
SNOOZE = HOUR
CAMERA = {"camera": "front"}
RULES = compile_rules(
    [
        RuleSettings(name="hot", when="host.temperature_celsius > 80 for 5m", severity="critical"),
        RuleSettings(name="slow", when="camera.latency_p99_seconds > 0.5 for 2m"),
        RuleSettings(name="silent", when="absent(camera.frames_seen) for 1h", severity="critical"),
        RuleSettings(name="lossy", when="rate(host.outbox_lost_total, 10m) > 0"),
    ],
    AlertSettings(default_rules=False, repeat_critical=HOUR, repeat_warning=0.0),
)
HOLDS = {"hot": 5 * MINUTE, "slow": 2 * MINUTE, "silent": HOUR}
WRONG = (
    "false alert", "missed or late", "fired anew", "false end", "late end", "lost acknowledgement", "reminder early or late",
    "snooze broken", "notice lost", "notice late", "wrong label", "old backlog live", "fresh summary late",
)  # fmt: skip


def steps(*sizes):
    def step(device):
        device.machine.step(device.random.choice(sizes) * device.random.uniform(0.8, 1.2))
        device.machine.is_synced = False  # as the kernel has it, until NTP has answered again
        device.sync_at = device.machine.true + device.random.uniform(0, 4 * HOUR)

    return step


def sleeps(device):
    device.sleep(device.random.choice((5 * MINUTE, HOUR, 8 * HOUR)) * device.random.uniform(0.5, 1.0))


def reboots(*, rtc, syncs=True):
    def reboot(device):
        device.reboot(
            device.random.choice((20.0, 10 * MINUTE, 8 * HOUR)) * device.random.uniform(0.5, 1.0), rtc=rtc
        )
        device.sync_at = device.machine.true + device.random.uniform(0, HOUR) if syncs else None

    return reboot


def everything(device):
    device.random.choice(
        [fault for name, (fault, _) in FAULTS.items() if name not in {"none", "everything"}]
    )(device)


# The fault, and seconds between two on average.
FAULTS = {
    "none": (lambda _: None, HOUR),
    "step forward, 10 min to 1 day": (steps(600.0, HOUR, 86400.0), 2 * HOUR),
    "step forward, 56 years (1970 to now) and back": (steps(56 * YEAR, -56 * YEAR), 6 * HOUR),
    "step back, 10 min to 1 year": (steps(-600.0, -HOUR, -YEAR), 2 * HOUR),
    "many small steps": (steps(0.3, -0.3, 5.0, -5.0, 40.0, -40.0), 90.0),
    "slewing, 500 ppm": (lambda device: setattr(device, "slew", device.random.choice((5e-4, -5e-4))), HOUR),
    "suspend, 2 min to 8 h": (sleeps, 3 * HOUR),
    "restart of the agent": (lambda device: device.restart(), HOUR),
    "reboot with a real-time clock": (reboots(rtc=True), 4 * HOUR),
    "reboot without one, synchronised within 1 h": (reboots(rtc=False), 4 * HOUR),
    "reboot without one, not synchronised again": (reboots(rtc=False, syncs=False), 4 * HOUR),
    "everything": (everything, HOUR),
}  # fmt: skip


@dataclass
class Watched:
    """One rule on its target, by the true time."""

    hold: float
    on_since: float | None = None  # true time of the first tick that observed it
    awake_since: float = 0.0  # seconds awake then, or at the start after
    off_since: float = 0.0  # seconds awake when it ended
    fired: str = ""
    held: list = field(
        default_factory=list
    )  # seconds awake when it had held, lately: many of them are damped
    counted: bool = False
    published_true: float = 0.0
    published_awake: float = 0.0
    acknowledged: bool = False
    snoozed_true: float | None = None
    snoozed_awake: float = 0.0
    next_change: float = 0.0
    active: bool = False


class Phone:
    """A notifier that is out of reach at times."""

    refresh_seconds, timeout_seconds = 0.0, 60.0

    def __init__(self):
        self.reachable, self.ids = True, set()

    def send(self, notice):
        if not self.reachable:
            raise RetryableDelivery("no network")
        self.ids |= {alert.id for alert in notice.alerts}


@dataclass
class Device:
    seed: int
    fault: str
    folder: Path
    wrong: Counter = field(default_factory=Counter)
    counts: Counter = field(default_factory=Counter)

    def __post_init__(self):
        self.random = random.Random(f"{self.seed} {self.fault}")
        self.machine = Machine(true=1_790_000_000.0 + self.random.uniform(0, YEAR))
        self.begun, self.awake, self.slew, self.sync_at = self.machine.true, 0.0, 0.0, None
        self.watched = {name: Watched(hold=hold) for name, hold in HOLDS.items()}
        for watched in self.watched.values():
            watched.next_change = self.machine.true + self.random.uniform(0, 3 * HOUR)
        self.next_fault = self.machine.true + self.random.expovariate(1 / FAULTS[self.fault][1])
        self.phone, self.phone_change = Phone(), self.machine.true + 5 * HOUR
        self.unsent = {}  # alert id: seconds awake since which it could have been sent
        self.state = None
        self.clock_state, self.clock_saved = None, -1e9
        self.start()

    # -- the agent -----------------------------------------------------------------------------------------

    def start(self):
        self.clock = clock.shared = self.machine.clock()
        clock.boottime = self.machine.boottime
        if self.clock_state:
            self.clock.resume(clock.state_from_json(json.loads(self.clock_state)))
        self.engine, now = AlertEngine(RULES), self.clock.now()
        self.started, self.slept = now, self.machine.boottime() - self.machine.monotonic()
        self.engine.set_offset(self.clock.offset())
        if self.state:
            self.engine.restore(json.loads(self.state), now)
        settings = NotifierSettings(name="phone", kind="webhook", group_interval=GROUP)
        self.worker = NotifierWorker([(settings, self.phone)], self.folder, device="box", site="site")
        stopped = threading.Event()
        stopped.set()
        self.worker.run(stopped)
        for watched in self.watched.values():
            watched.awake_since = watched.off_since = self.awake
            watched.published_awake = max(watched.published_awake, self.awake - HOUR)
        self.unsent = dict.fromkeys(self.unsent, self.awake)
        self.save_clock()

    def save_clock(self):
        self.clock_state, self.clock_saved = json.dumps(vars_of(self.clock.state())), self.awake

    def restart(self):
        self.state = json.dumps(self.engine.to_snapshot(self.clock.now()), default=str)
        self.save_clock()
        self.start()

    def reboot(self, off, *, rtc):
        self.state = json.dumps(self.engine.to_snapshot(self.clock.now()), default=str)
        row = self.row()
        for (
            watched
        ) in self.watched.values():  # what passed since the last save is not known where no clock is
            watched.snoozed_awake += self.awake - self.clock_saved
        self.machine.reboot(off, rtc=rtc)
        self.start()
        age = self.age(row)
        if off > 200 and not is_late(row, age):
            self.wrong["old backlog live"] += 1

    def sleep(self, seconds):
        self.machine.sleep(seconds)

    def row(self):
        return OutboxRow(
            priority=Priority.SUMMARY, id=1, topic="host", seq=1, retain=False, expiry=None, created=self.machine.wall(),
            boottime=self.machine.boottime(), boot=f"{self.clock.boot}-e", start=0.0, window=60.0, span=0, weight=1,
            payload=json.dumps({"clock_synced": self.clock.synced()}).encode(), sketches=b"",
        )  # fmt: skip

    def age(self, row):
        machine = self.machine
        boot = f"{self.clock.boot}-e"
        return row.age(
            wall=machine.wall(), boottime=machine.boottime(), boot=boot, synced=self.clock.synced()
        )

    def tick(self):
        machine, row = self.machine, self.row()
        machine.run(TICK)
        machine.error += self.slew * TICK
        self.awake += TICK
        if is_late(row, self.age(row)):
            self.wrong["fresh summary late"] += 1
        if self.sync_at is not None and machine.true >= self.sync_at:
            self.sync_at = None
            machine.sync()
        if machine.true >= self.next_fault:
            self.next_fault = machine.true + self.random.expovariate(1 / FAULTS[self.fault][1])
            FAULTS[self.fault][0](self)
            self.counts["faults"] += self.fault != "none"
        self.world()
        now, offset = self.clock.now(), self.clock.offset()
        before, self.slept = self.slept, machine.boottime() - machine.monotonic()
        if off := self.clock.settle():
            self.engine.count_off(off, self.started)
        alerts = self.engine.step(
            self.observations(now), now, asleep=self.slept - before, unix_offset=offset, utc_offset=7200.0
        )
        self.worker.offer(alerts)
        self.notify(now)
        if self.awake - self.clock_saved >= 300:
            self.save_clock()
        self.judge(alerts, now)

    def notify(self, now):
        """Round after round while notices are sent: the end of each wakes the worker."""
        sent = -1
        while self.worker.sent > sent:
            sent = self.worker.sent
            self.worker.work(now, self.machine.boottime())
            self.worker.settle(60.0)

    # -- the world -----------------------------------------------------------------------------------------

    def world(self):
        true, draw = self.machine.true, self.random
        for name, watched in self.watched.items():
            if true >= watched.next_change:
                watched.active = not watched.active
                mean = {"hot": 40 * MINUTE, "slow": 15 * MINUTE, "silent": 3 * HOUR}[name]
                watched.next_change = true + draw.expovariate(1 / (mean if watched.active else 2 * HOUR))
        if true >= self.phone_change:
            self.phone.reachable = not self.phone.reachable
            self.phone_change = true + draw.uniform(0, 3 * HOUR if not self.phone.reachable else 10 * HOUR)
            self.unsent = dict.fromkeys(self.unsent, self.awake)

    def observations(self, now):
        hot, slow, silent = (self.watched[name].active for name in HOLDS)
        seen = [
            ("host.temperature_celsius", 95.0 if hot else 50.0, {}),
            ("camera.latency_p99_seconds", 0.9 if slow else 0.1, CAMERA),
            ("host.outbox_lost_total", 7.0, {}),
            *([] if silent and self.awake > TICK else [("camera.frames_seen", 100.0, {"camera": "back"})]),
        ]
        return [
            Observation(metric=metric, value=value, at=now, labels=labels) for metric, value, labels in seen
        ]

    # -- the judge -----------------------------------------------------------------------------------------

    def judge(self, alerts, now):
        for watched in self.watched.values():
            self.follow(watched)
        for alert in alerts:
            self.published(alert, now)
        for name, watched in self.watched.items():
            self.overdue(name, watched)
        for alert_id in self.phone.ids & self.unsent.keys():
            del self.unsent[alert_id]
        longest = GROUP + LONGEST_PAUSE_SECONDS + SLACK
        for alert_id, since in list(self.unsent.items()):
            if self.phone.reachable and self.awake - since > longest:
                self.wrong["notice late"] += 1
                del self.unsent[alert_id]

    def follow(self, watched):
        if watched.active and watched.on_since is None:
            watched.on_since, watched.awake_since = self.machine.true - TICK, self.awake - TICK
        elif not watched.active and watched.on_since is not None:
            watched.on_since, watched.off_since, watched.counted = None, self.awake, False
        watched.held = [at for at in watched.held if self.awake - at < HOUR + 10 * MINUTE]
        begun = watched.on_since if watched.on_since is not None else self.machine.true
        if not watched.counted and self.machine.true - begun >= watched.hold - TICK:
            watched.counted = True
            watched.held.append(self.awake)

    def published(self, alert, now):
        watched = self.watched.get(alert.rule, Watched(hold=0.0))
        true = self.machine.true
        self.counts[alert.event.value] += 1
        self.check_labels(alert, watched)
        if alert.rule not in self.watched:
            self.wrong["false alert"] += 1
        elif alert.event is AlertEvent.RESOLVED:
            if watched.active:
                self.wrong["false end"] += 1
            watched.fired, watched.acknowledged = "", False
        elif alert.event in {AlertEvent.FIRED, AlertEvent.REMINDER}:
            self.unsent.setdefault(alert.id, self.awake)
            if alert.event is AlertEvent.FIRED:
                self.fired(alert, watched, true)
            else:
                self.reminded(alert, watched, true)
            watched.published_true, watched.published_awake = true, self.awake
            self.people(alert, watched, now)

    def fired(self, alert, watched, true):
        held = watched.on_since is not None and true - watched.on_since >= watched.hold - 1
        if not held and not self.damped(watched):
            self.wrong["false alert"] += 1
        if watched.fired:
            self.wrong["fired anew"] += 1
        self.after_snooze(watched, true)
        watched.fired = alert.id

    def reminded(self, alert, watched, true):
        if alert.id != watched.fired:
            self.wrong["fired anew"] += 1
        if watched.acknowledged:
            self.wrong["lost acknowledgement"] += 1
        if watched.snoozed_true is not None:
            self.after_snooze(watched, true)
        elif true - watched.published_true < HOUR - 1:
            self.wrong["reminder early or late"] += 1

    @staticmethod
    def damped(watched):
        """Whether it may go on firing for a quarter of an hour after its end, as what flaps does."""
        return len(watched.held) >= FLAP_FIRES - 1

    def after_snooze(self, watched, true):
        if watched.snoozed_true is not None and true - watched.snoozed_true < SNOOZE - 1:
            self.wrong["snooze broken"] += 1
        watched.snoozed_true = None

    def people(self, alert, watched, now):
        kind = None
        if alert.rule == "hot" and self.random.random() < 0.3:
            kind, about = ControlKind.ACKNOWLEDGE, {"alert": alert.id}
            watched.acknowledged = True
        elif alert.rule == "slow" and self.random.random() < 0.5:
            kind, about = ControlKind.SNOOZE, {"rule": "slow", "labels": CAMERA, "until": now + SNOOZE}
            watched.snoozed_true, watched.snoozed_awake = self.machine.true, self.awake
        if kind is not None:
            self.engine.apply(Control(kind=kind, who="ada", at=now, **about))
            self.counts[kind.value] += 1

    def overdue(self, name, watched):
        awake = self.awake
        snoozed = watched.snoozed_true is not None and awake - watched.snoozed_awake <= SNOOZE + SLACK
        due = watched.active and awake - watched.awake_since > watched.hold + SLACK
        if due and not watched.fired and not snoozed:
            self.wrong["missed or late"] += 1
            watched.awake_since = awake
        longest = SLACK + (FLAP_HOLD_SECONDS if self.damped(watched) else 0.0)
        if not watched.active and watched.fired and awake - watched.off_since > longest:
            self.wrong["late end"] += 1
            watched.off_since = awake
        reminded = name == "hot" and watched.active and watched.fired and not watched.acknowledged
        if reminded and awake - watched.published_awake > HOUR + SLACK:
            self.wrong["reminder early or late"] += 1
            watched.published_awake = awake
        if due and watched.snoozed_true is not None and not snoozed:
            self.wrong["snooze broken"] += 1
            watched.snoozed_true = None

    def check_labels(self, alert, watched):
        lasted = alert.changed_at - alert.first_seen
        known = self.machine.true - self.begun
        if alert.event not in {AlertEvent.FIRED, AlertEvent.REMINDER, AlertEvent.RESOLVED}:
            return  # asked for between two ticks, and published at the next
        if abs(alert.changed_at - self.machine.wall()) > 0.2 or not 0 <= lasted <= known:
            self.wrong["wrong label"] += 1
        begun = watched.on_since if watched.on_since is not None else self.machine.true
        if (
            alert.event is AlertEvent.FIRED
            and not self.damped(watched)
            and lasted > self.machine.true - begun + TICK
        ):
            self.wrong["wrong label"] += 1


def vars_of(state):
    return {name: getattr(state, name) for name in state.__slots__}


def simulate(fault, hours, seed=1, device_hours=100.0):
    """What went wrong in so many device-hours with one kind of fault, and what happened, as two counters."""
    wrong, counts, before = Counter(), Counter(), (clock.shared, clock.boottime)
    with tempfile.TemporaryDirectory() as folder:
        try:
            for number in range(max(1, round(hours / device_hours))):
                (Path(folder) / str(number)).mkdir()
                device = Device(seed * 1000 + number, fault, Path(folder) / str(number), wrong, counts)
                while device.awake < min(hours, device_hours) * HOUR:
                    device.tick()
                wrong["notice lost"] += device.worker.lost
                counts["hours"] += round(device.awake / HOUR)
        finally:
            clock.shared, clock.boottime = before
    return wrong, counts


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=120.0)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    print("| fault | device-hours | faults | alerts | reminders | acknowledged, snoozed | wrong |")
    print("|---|---|---|---|---|---|---|")
    for fault in FAULTS:
        wrong, counts = simulate(fault, args.hours / len(FAULTS), args.seed)
        found = ", ".join(f"{name}: {wrong[name]}" for name in WRONG if wrong[name]) or "0"
        people = f"{counts['acknowledge']}, {counts['snooze']}"
        print(
            f"| {fault} | {counts['hours']} | {counts['faults']} | {counts['fired']} | {counts['reminder']} | {people} | {found} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
