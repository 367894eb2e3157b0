"""Each broker that can be had, and what an agent, its messages and its subscribers can expect of it.

What the agent owes is asserted for each; what a broker lacks is declared in its kind, and found out here to be so.
"""

import json
import time

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from agent.delivery.identity import Identity
from agent.delivery.messages import rfc3339
from agent.delivery.mqtt.failures import ConnectionFailure
from tests.brokers.conftest import note
from tests.brokers.kinds import KINDS
from tests.brokers.kinds import load as load_kind
from tests.faults.conftest import drained
from tests.waiting import accepts

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
LIFE, RESTART = "an agent's life", "100 messages for a subscriber that is away, and the retained status"


@pytest.fixture(scope="module", params=KINDS)
def process(request, tmp_path_factory):
    kind = load_kind(request.param)
    if kind.missing():
        pytest.skip(kind.missing())
    made = kind(tmp_path_factory.mktemp(request.param))
    made.title = f"{kind.name} {kind.version()}"
    made.start()
    yield made
    made.stop()


@pytest.fixture
def broker(process):
    """The running broker; a test that failed may have left it dead."""
    if not accepts(process.port):
        process.start()
    return process


def identity(device):
    return Identity(
        device=device, site="dock", boot="b00t0001", client_id=f"vedette-{device}", topic_prefix="vedette"
    )


def states(heard):
    return [m.body["state"] for m in heard if m.topic.split("/")[3:] == ["status"] and m.payload]


def holds(broker, what):
    return what not in broker.lacks


def test_an_agent_connects_publishes_answers_and_dies(broker, run_agent, observe):
    ears = observe(broker, "vedette/dock/life/#")
    discovered = observe(broker, "homeassistant/#")
    agent = run_agent("life", f'url = "{broker.url}"\nhome_assistant = true')
    ears.wait(lambda heard: "online" in states(heard))
    for family in ("info", "host", "camera/front"):
        ears.wait(lambda heard, family=family: any(m.topic.endswith(f"/{family}") for m in heard))
    status = agent.status()["broker"]
    assert status["state"] == "connected"
    assert (status["version"] == "5") == holds(broker, "mqtt 5")
    note(LIFE, broker.title, "connects with", f"MQTT {status['version']}")

    ends = "vedette_life/camera_front_state/config"
    discovered.wait(lambda heard: any(m.topic.endswith(ends) for m in heard))
    exact = observe(broker, "vedette/dock/life/status")
    assert exact.hears(lambda heard: any(m.retain for m in heard)) == holds(broker, "retained")
    wildcard = observe(broker, "vedette/+/life/status")
    kept = wildcard.hears(lambda heard: any(m.retain for m in heard))
    assert kept == (holds(broker, "retained") and holds(broker, "retained wildcard"))
    note(LIFE, broker.title, "retained, by exact topic / by wildcard", f"yes / {'yes' if kept else 'no'}")
    home = observe(broker, "homeassistant/+/+/+/config")  # as Home Assistant does when it starts
    home.publish("homeassistant/status", b"online")
    home.wait(lambda heard: any(m.topic.endswith(ends) for m in heard))
    note(LIFE, broker.title, "a Home Assistant that starts later", "finds the device")

    reply = ask(broker, ears, observe)
    assert reply["ok"] and reply["command"] == "status"
    note(LIFE, broker.title, "command", "answered")

    beside = agent.command("check", agent.config)
    assert beside.returncode == 0, beside.stdout
    alone = agent.folder / "alone.toml"
    alone.write_text(agent.config.read_text().replace("/state", "/other").replace('"life"', '"alone"'))
    checked = agent.command("check", alone)
    assert checked.returncode == 0, checked.stdout
    said = "may publish below" if holds(broker, "mqtt 5") else "this broker does not report"
    assert said in " ".join(checked.stdout.split()), checked.stdout
    note(LIFE, broker.title, "`vedette check`", "may publish" if holds(broker, "mqtt 5") else "connects")

    verified = agent.command("verify", "--config", agent.config, "--for", "8s", "--json")
    report = json.loads(verified.stdout)
    assert verified.returncode == 0, verified.stdout
    assert {stream["gaps"] for stream in report["devices"]["dock/life"]["streams"]} == {0}
    note(LIFE, broker.title, "`vedette verify`", "no gap")

    agent.kill()
    ears.wait(lambda heard: states(heard)[-1] == "offline")
    late = observe(broker, "vedette/dock/life/status")
    left = late.hears(lambda heard: states(heard) == ["offline"])
    assert left == (holds(broker, "retained") and holds(broker, "retained will"))
    note(LIFE, broker.title, "will of a killed agent", "published and retained" if left else "published")


def ask(broker, ears, observe):
    """Send the command `status` as a client of the broker's version does; the body of the answer."""
    body = json.dumps({"id": "ask-1", "time": rfc3339(time.time())})
    where, properties = "vedette/dock/life/reply/ask-1", None
    if holds(broker, "mqtt 5"):
        where, properties = "vedette/dock/life/reply/mine", Properties(PacketTypes.PUBLISH)
        properties.ResponseTopic, properties.CorrelationData = where, b"42"
    ears.publish("vedette/dock/life/command/status", body, properties)
    return ears.wait(lambda heard: [m for m in heard if m.topic == where])[0].body


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_backlog_is_drained_when_the_broker_is_back(broker, observe, proxy, load, account, how, request):
    """What the broker had acknowledged it passed on before it ended: whatever else were missing, the agent lost."""
    ears, between = observe(broker, "vedette/dock/drain/#"), proxy(broker.port)
    running = load(between.url.replace("mqtt://", login(broker)), identity=identity("drain"))
    running.until(lambda p: p.statistics().get("delivered_total", 0) > 200, 60)
    between.mode = "refuse"
    between.reset()
    running.until(lambda p: p.connection.state != "connected", 60)  # then no answer is on its way any more
    passed_on = running.publisher.statistics()["delivered_total"]
    ears.wait(lambda heard: len([m for m in heard if "/host" in m.topic]) >= passed_on)
    getattr(broker, how)()
    running.until(lambda p: p.statistics()["outbox_messages"] > 1000, 60)
    assert running.publisher.connection.failure in {
        ConnectionFailure.LOST.value,
        ConnectionFailure.UNREACHABLE.value,
    }
    broker.start()
    ears.wait_subscribed()
    between.mode, began = "pass", time.monotonic()
    running.quiet()
    running.drain(60)
    took = time.monotonic() - began
    drained(ears, running.accepted, 60)
    outcome = account(running.accepted, ears.messages)
    assert outcome.lost == []
    assert [(s["gaps"], s["disorder"]) for s in outcome.streams()] == [(0, 0)]
    note(
        "a backlog after the broker",
        broker.title,
        {"stop": "was stopped", "kill": "was killed"}[how],
        f"{len(running.accepted)} accepted, {len(outcome.lost)} lost, {outcome.twice} twice, {took:.1f} s",
    )


def login(broker):
    return "mqtt://guest:guest@" if "guest" in broker.url else "mqtt://"


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_what_a_broker_keeps_for_a_subscriber_that_is_away(broker, observe, load, how):
    device = f"away-{how}"
    topic, session = f"vedette/dock/{device}/#", f"keeps-{device}"
    observe(broker, topic, session=session).close()
    running = load(broker.url, identity=identity(device))
    running.until(lambda p: p.statistics().get("delivered_total", 0) > 100, 60)
    running.drain(60)
    running.stop()  # says offline, retained
    exact = observe(broker, f"vedette/dock/{device}/status")
    exact.wait(lambda heard: states(heard) == ["offline"])
    exact.close()
    getattr(broker, how)()
    broker.start()
    exact = observe(broker, f"vedette/dock/{device}/status")
    retained = exact.hears(lambda heard: states(heard) == ["offline"])
    back = observe(broker, topic, session=session)
    wanted = set(running.accepted)
    back.hears(lambda heard: wanted <= ids(heard), 10.0)
    missing = len(wanted - ids(back.messages))
    column = {"stop": "broker stopped", "kill": "broker killed"}[how]
    note(
        RESTART,
        broker.title,
        column,
        f"{missing} of {len(wanted)} lost, status {'kept' if retained else 'lost'}",
    )
    assert (missing == 0) == holds(broker, f"session {how}")
    assert retained == holds(broker, f"retained {how}")


def ids(heard):
    return {(m.body["boot"], m.body["seq"]) for m in heard if m.payload and "/host" in m.topic}


def test_a_dot_in_a_name(broker, observe, run_agent):
    ears = observe(broker, "vedette/#")
    run_agent("box.7", f'url = "{broker.url}"')
    wanted = "vedette/dock/box.7/status" if holds(broker, "dots") else "vedette/dock/box/7/status"
    ears.wait(lambda heard: any(m.topic == wanted for m in heard))
    note(LIFE, broker.title, "`.` in a name", "kept" if holds(broker, "dots") else "becomes `/`")
