"""One window for all publishes of a connection: a broker's Receive Maximum is kept, whatever is to be said."""

import importlib.util
from pathlib import Path

import pytest

from agent.core.types import AlertState
from agent.delivery.messages import info_draft

_SPEC = importlib.util.spec_from_file_location(
    "strict_broker", Path(__file__).parents[2] / "servers" / "strict_broker.py"
)
strict_broker = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(strict_broker)


@pytest.fixture
def strict():
    broker = strict_broker.StrictBroker(receive_maximum=10, pause=0.005)
    yield broker
    broker.close()


def test_a_thousand_standing_alerts_are_published_within_the_brokers_receive_maximum(strict, publish, drafts):
    running = publish(strict.url)
    for number in range(1000):
        running.publisher.publish(drafts.alert(f"a{number}"))
    running.until(lambda p: p.statistics().get("delivered_total") == 1000, 60)
    running.stop()
    strict.published.clear()
    again = publish(strict.url)
    again.publisher.announce({f"homeassistant/sensor/box/s{number}/config": b"{}" for number in range(100)})
    again.publisher.publish(info_draft({"version": "1"}))
    for number in range(50):
        again.publisher.publish(drafts.alert(f"a{number}", AlertState.RESOLVED))

    def retained():
        return [topic for topic, _, retained in strict.published if retained]

    def entities():
        return {topic for topic in retained() if topic.startswith("homeassistant/")}

    again.until(lambda p: p.statistics().get("delivered_total") == 50 and len(entities()) == 100, 60)
    again.until(lambda p: p._window.idle)
    topics = retained()
    assert len({topic for topic in topics if "/alert/" in topic}) == 1000
    assert {"vedette/dock/box/status", "vedette/dock/box/info"} <= set(topics)
    assert 1 < strict.most <= 10 and strict.exceeded == 0
    last = {topic: payload for topic, payload, retained in strict.published if retained}
    assert [topic for topic, payload in last.items() if not payload] == [
        f"vedette/dock/box/alert/a{n}" for n in range(50)
    ]


def test_a_broker_that_takes_one_at_a_time_gets_one_at_a_time(publish, drafts):
    broker = strict_broker.StrictBroker(receive_maximum=1, pause=0.0)
    running = publish(broker.url)
    for number in range(20):
        running.publisher.publish(drafts.alert(f"a{number}"))
        running.publisher.publish(drafts.alert(f"a{number}", AlertState.RESOLVED))
    running.until(lambda p: p.statistics().get("delivered_total") == 40, 30)
    running.stop()
    assert (broker.most, broker.exceeded) == (1, 0)
    assert broker.published[-1][0] == "vedette/dock/box/status"
    broker.close()
