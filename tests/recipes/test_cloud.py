"""The configs for managed brokers, each against a broker that hangs up on whoever breaks the documented limits."""

import dataclasses
import re
from pathlib import Path

import pytest

from agent.app.kinds import KINDS
from agent.config.load import parse
from agent.core.types import AlertState
from agent.delivery.identity import identify
from agent.delivery.messages import info_draft, status_draft
from tests.delivery.conftest import NOW
from tests.servers.cloud_rules import CLOUDS
from tests.servers.strict_broker import StrictBroker

PAGE = (Path(__file__).parents[2] / "docs" / "recipes" / "cloud.md").read_text()
CONFIGS = dict(re.findall(r"## ([^\n]+)\n\n```toml\n(.*?)```", PAGE, re.DOTALL))
CAMERA = '\n[[cameras]]\nname = "front"\nkind = "synthetic"\n'


def test_each_service_has_its_config_and_its_strict_broker():
    assert set(CONFIGS) == set(CLOUDS)


@pytest.fixture
def strict():
    made = []

    def make(name):
        rules, receive_maximum = CLOUDS[name]
        made.append(StrictBroker(receive_maximum=receive_maximum, pause=0.0, rules=rules))
        return made[-1]

    yield make
    for broker in made:
        broker.close()


def at(broker, name, tmp_path, **changes):
    """The settings of the page's config for `broker`, as arguments for `publish`, and the identity."""
    settings = parse(CONFIGS[name] + CAMERA, KINDS, base=tmp_path)
    (tmp_path / "password").write_text("secret\n")
    local = {"ca_file": "", "cert_file": "", "key_file": ""}  # the strict broker speaks plain TCP
    local |= {"password_file": str(tmp_path / "password")} if settings.broker.password_file else {}
    assert str(settings.broker.url).startswith("mqtts://")
    given = dataclasses.replace(settings.broker, url=broker.url, **local, **changes)
    fields = {one.name: getattr(given, one.name) for one in dataclasses.fields(given) if one.name != "url"}
    return fields, identify(settings.device, settings.broker)


@pytest.mark.parametrize("name", CLOUDS)
def test_all_is_delivered_within_the_limits(strict, name, publish, drafts, make_outbox, clock, tmp_path):
    broker = strict(name)
    fields, who = at(broker, name, tmp_path, backlog_rate=0.0)
    (tmp_path / "state").mkdir()
    outbox = make_outbox("state/outbox.db", clock=clock, identity=who)
    outbox.put_many([drafts.camera(), drafts.host(), drafts.feature_sketches(features=8)] * 5)
    outbox.close()
    clock.pass_seconds(3600)
    running = publish(broker.url, directory=tmp_path / "state", identity=who, clock=clock, **fields)
    running.publisher.publish(status_draft("degraded", since=NOW, version="1"))
    running.publisher.publish(info_draft({"cameras": "front"}))
    for draft in (drafts.camera(), drafts.host(), drafts.feature_sketches(), drafts.alert(),
                  drafts.alert(state=AlertState.RESOLVED)):  # fmt: skip
        running.publisher.publish(draft)
    running.until(lambda p: p.statistics().get("delivered_total") == 20, 60)
    assert broker.broken == [] and broker.exceeded == 0
    assert running.publisher.statistics()["outbox_lost_total"] == 0
    assert len(broker.connects) == 1


def test_what_is_not_allowed_at_aws_ends_connections_and_delays_only_itself(
    strict, publish, drafts, tmp_path
):
    broker = strict("AWS IoT Core")
    fields, who = at(broker, "AWS IoT Core", tmp_path)
    running = publish(broker.url, identity=who, **fields)
    running.publisher.announce({"homeassistant/sensor/vedette_box-7/fps/config": b"{}"})
    for _ in range(30):
        running.publisher.publish(drafts.host())
    running.until(lambda p: p.statistics().get("delivered_total") == 30, 60)
    assert any("may not be published" in wrong for wrong in broker.broken)
    running.until(lambda p: "homeassistant/sensor" in p.report()["outbox"]["refused"], 30)
    assert running.publisher.statistics()["outbox_lost_total"] == 0
