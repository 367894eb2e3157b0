"""The subscriber within limits: a flood is dropped and counted; a bad certificate is reported with its file."""

import pytest
from paho.mqtt import publish
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from agent.config.delivery_settings import BrokerSettings
from agent.core.errors import ConfigError
from agent.dashboard import subscriber as module
from agent.dashboard.fleet import Fleet
from agent.dashboard.subscriber import Subscriber
from tests.waiting import wait_until


@pytest.mark.broker
def test_a_flood_is_kept_within_bounds_and_counted(mosquitto, monkeypatch):
    monkeypatch.setattr(module, "MOST_WAITING_BYTES", 100_000)
    broker = mosquitto()
    with Subscriber(BrokerSettings(url=broker.url)) as subscriber:
        large = ("vedette/n/b/host", b"x" * (module.LONGEST_PAYLOAD + 1), 1, False)
        publish.multiple([large, *[("vedette/n/b/host", b"y" * 10_000, 1, False)] * 30], port=broker.port)
        wait_until(lambda: subscriber.dropped >= 22, 20)
        assert subscriber.dropped == 22, "the large one, and what did not fit"
        fleet = Fleet()
        subscriber.feed(fleet, 0.0)
        assert fleet.devices["n", "b"].bad == 9
        publish.single("vedette/n/b/status", b'{"state": "online"}', qos=1, port=broker.port)
        assert subscriber.take(10) == ("vedette/n/b/status", b'{"state": "online"}'), "room again"


@pytest.mark.parametrize("key", ["ca_file", "cert_file"])
def test_what_is_no_certificate_is_reported_with_its_file(tmp_path, key):
    file = tmp_path / "x.pem"
    file.write_text("no certificate")
    with pytest.raises(ConfigError, match=rf"broker\.{key}: .*x\.pem"):
        Subscriber(BrokerSettings(url="mqtts://127.0.0.1", **{key: str(file)}))


@pytest.mark.parametrize("codes", [(0x80,), (1, 0x87)])
def test_a_subscription_refused_on_a_later_connection_is_shown_until_one_is_granted(codes):
    subscriber = Subscriber(BrokerSettings(url="mqtt://127.0.0.1"))
    reasons = [ReasonCode(PacketTypes.SUBACK, identifier=code) for code in codes]
    subscriber._on_subscribe(None, None, 1, reasons, None)
    assert subscriber.refused.startswith("may not subscribe to vedette/#")
    subscriber._on_subscribe(None, None, 2, [ReasonCode(PacketTypes.SUBACK, identifier=1)], None)
    assert subscriber.refused == ""
