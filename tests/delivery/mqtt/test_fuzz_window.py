"""Any broker, in simulated time: it refuses, hangs up, answers late, at random. What was accepted is delivered or counted.

Invariants, checked at each step or at the end, when the broker has become well:

1. Messages accepted = delivered + lost, and only what the broker refused for good, or always hung up on, is lost.
2. On each topic what is delivered for the first time comes in the order in which it was accepted; of summaries, one that
   is refused for now may be overtaken by those that were on their way behind it, of alerts never.
3. Never more is unanswered than the broker's Receive Maximum.
4. Nothing waits for ever: the outbox is empty in the end, and meanwhile no message is sent again and again without a pause.
"""

import json
import math
import random
from collections import Counter

import pytest

from agent.delivery.mqtt.events import Acked, Closed, Opened
from agent.delivery.mqtt.failures import why_ended
from agent.delivery.mqtt.inflight import InflightWindow
from agent.delivery.mqtt.ledger import RetainedLedger
from agent.delivery.mqtt.refusals import BRIEF_SECONDS, FIRST_SECONDS
from tests.delivery.conftest import Drafts, FakeClock

PREFIX = "vedette/dock/box"
REFUSALS = (0x80, 0x83, 0x87, 0x97)
FOR_GOOD = (0x90, 0x99)
STATES = ("status", "info")


class Broker:
    """One connection at a time; `policies` by topic: "ok", "refuse", "refuse and end", "end"."""

    def __init__(self, chance, *, hangs_up_on_topics):
        self.chance, self.hangs_up_on_topics = chance, hangs_up_on_topics
        self.policies, self.poison, self.may_overtake = {}, set(), set()
        self.now = self.opened_at = 0.0
        self.delivered, self.order, self.for_good = {}, {}, set()
        self.sent = Counter()
        self.unanswered, self.mid, self.limit = [], 0, 1
        self.ended, self.code, self.well = False, 0, False

    def connect(self):
        pick = self.chance
        self.unanswered, self.ended, self.code, self.opened_at = [], False, 0, self.now
        self.sent.clear()
        self.limit = pick.choice((1, 2, 10, 20, 65535))
        return Opened(
            receive_maximum=self.limit,
            maximum_packet=None,
            maximum_qos=1,
            retain_available=pick.random() < 0.8,
            session_present=pick.random() < 0.5,
        )

    def publish(self, topic, payload, *, qos, **_options):
        assert qos == 1
        self.mid += 1
        self.unanswered.append((self.mid, topic, payload))
        assert len(self.unanswered) <= self.limit, "Receive Maximum"
        if payload:
            self.sent[topic, payload] += 1
            tries = self.sent[topic, payload]
            seconds = self.now - self.opened_at
            brief = math.log2(1 + seconds / BRIEF_SECONDS)  # pauses that double, for what was only too fast
            assert tries <= 2 + max(seconds / FIRST_SECONDS, brief), "sent again without a pause"
        return self.mid

    def answers(self):
        """Some answers, in order; `ended` is set where the connection ends."""
        found = []
        while self.unanswered and not self.ended and (self.well or self.chance.random() < 0.7):
            mid, topic, payload = self.unanswered.pop(0)
            code = self._judge(topic, payload)
            if code is not None:
                found.append(Acked(mid=mid, code=code, reason=f"code {code:#x}"))
        if not self.well and not self.ended and self.chance.random() < 0.01:
            self.ended, self.code = True, self.chance.choice((0, 0x8B, 0x98))
        if (
            self.ended and self.chance.random() < 0.5 and self._may_cut(found)
        ):  # the last answers never arrive
            found = found[: self.chance.randrange(len(found) + 1)]
        return found

    def _may_cut(self, found):
        """A refusal that never arrives cannot be told from a hang-up."""
        return self.hangs_up_on_topics or not (found and found[-1].refused)

    def _judge(self, topic, payload):
        seq = json.loads(payload)["seq"] if payload else 0
        policy = self.policies.get(topic, "ok")
        if (topic, seq) in self.poison or policy == "end":
            self.ended = True
            named = 0x95 if policy != "end" else 0x87
            self.code = self.chance.choice((0, named))
            return None
        if policy.startswith("refuse"):
            if any(_live(topic) == _live(other) for _, other, _ in self.unanswered):
                self.may_overtake.add(
                    _live(topic)
                )  # it is taken where the broker has changed its mind by then
            self.ended = policy.endswith("end")
            return self.chance.choice(REFUSALS)
        if not self.well and payload and self.chance.random() < 0.005 and _counted(topic):
            self.for_good.add((topic, seq))
            return self.chance.choice(FOR_GOOD)
        if payload and _counted(topic):
            if (topic, seq) not in self.delivered:
                self.order.setdefault(topic, []).append(seq)
            self.delivered[topic, seq] = True
        return 0

    def change_its_mind(self, topics):
        kinds = ("ok",) * 6 + ("refuse", "refuse and end") + ("end",) * self.hangs_up_on_topics
        self.policies = {topic: self.chance.choice(kinds) for topic in topics}


def _counted(topic):
    return topic.removeprefix(f"{PREFIX}/") not in STATES


class World:
    def __init__(self, seed, make_outbox):
        self.chance = random.Random(seed)
        self.clock, self.drafts = FakeClock(), Drafts()
        self.broker = Broker(self.chance, hangs_up_on_topics=bool(seed % 2))
        self.outbox = make_outbox(f"{seed}.db", clock=self.clock, careless=True)
        self.problems = []
        self.window = InflightWindow(
            self.outbox,
            self.clock,
            prefix=PREFIX,
            ledger=RetainedLedger(self.outbox, PREFIX),
            in_flight=20,
            discard=lambda what, error: self.problems.append((what, error)),
        )
        self.accepted, self.connected = 0, False

    def put(self):
        self.drafts.at = self.clock.wall()
        kind = self.chance.randrange(5)
        draft = (
            self.drafts.host(),
            self.drafts.camera("a", features=1, sketches={}),
            self.drafts.camera("b", features=1, sketches={}),
            self.drafts.alert(f"a{self.chance.randrange(3)}"),
            self.drafts.host(),
        )[kind]
        stamp = self.outbox.put_many([draft])[0]
        self.accepted += 1
        if self.chance.random() < 0.01:
            for late in ("", "replay/"):
                self.broker.poison.add((f"{PREFIX}/{late}{draft.topic}", stamp.seq))

    def step(self, seconds):
        self.clock.pass_seconds(seconds)
        now = self.broker.now = self.clock.boottime()
        if not self.connected and (self.broker.well or self.chance.random() < 0.5):
            self.connected = True
            self.window.begin(self.broker.connect(), now)
            self.window.publish_direct(f"{PREFIX}/status", b'{"seq": 1}', retain=True)
            self.window.publish_direct(f"{PREFIX}/info", b'{"seq": 1}', retain=True)
        if self.connected:
            self.window.fill(self.broker, now)
            for answer in self.broker.answers():
                self.window.acked(answer, now)
            if self.broker.ended:
                failure = why_ended(self.broker.code, was_open=True)
                self.window.died(Closed(failure=failure, reason="", code=self.broker.code), now)
                self.window.end()
                self.connected = False
        self.window.settle_when_due(now)

    def topics(self):
        families = ("host", "camera/a", "camera/b", "alert/a0", "alert/a1", "alert/a2", "status", "info")
        return [f"{PREFIX}/{late}{one}" for one in families for late in ("", "replay/")]

    def run(self, steps):
        for _ in range(steps):
            if self.chance.random() < 0.02:
                self.broker.change_its_mind(self.topics())
            for _ in range(self.chance.choice((0, 0, 1, 3))):
                self.put()
            self.step(self.chance.choice((0.05, 0.5, 2.0, 20.0)))

    def recover(self):
        """The broker is well from now on, but for the messages that it always hangs up on."""
        self.broker.well, self.broker.policies = True, {}
        for _ in range(4000):
            self.step(self.chance.choice((1.0, 10.0, 30.0)))
            if not self.waiting and self.window.idle and self.connected:
                return
        raise AssertionError(f"{self.waiting} messages wait for ever: {self.window.refused}")

    @property
    def waiting(self):
        self.outbox.settle()
        return sum(self.outbox.store.query("SELECT coalesce(sum(depth), 0) FROM lane")[0])


def check(world):
    lost = sum(world.outbox.lost_total().values())
    delivered = _ids(world.broker.delivered)
    assert len(delivered) + lost >= world.accepted, "what was accepted is delivered or counted"
    if not world.broker.hangs_up_on_topics:
        refused = _ids(world.broker.poison | world.broker.for_good)
        assert len(delivered | refused) >= world.accepted, "nothing else was lost"
    for topic, order in world.broker.order.items():
        may_overtake = _live(topic) in world.broker.may_overtake and "/alert/" not in topic
        assert order == sorted(order) or may_overtake, topic
    assert not world.problems


def _ids(found):
    return {(_live(topic), seq) for topic, seq in found}


def _live(topic):
    return topic.replace("replay/", "")


@pytest.mark.parametrize(
    "seed", [*range(6), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(6, 200))]
)
def test_any_broker_gets_all_that_it_takes(seed, make_outbox):
    world = World(seed, make_outbox)
    world.run(400)
    world.recover()
    check(world)
