from __future__ import annotations

import json

import pytest

from agent.config.alert_settings import NotifierSettings
from agent.core.errors import ConfigError
from agent.notifiers.routes import MOST_ALERTS, Route, check, make_notice

NOW = 1_700_000_000.0  # 22:13:20 UTC


def route(**keys):
    return Route(settings=NotifierSettings(name="n", **keys))


@pytest.mark.parametrize(
    ("keys", "wanted"),
    [
        ({}, True),
        ({"severity": "critical"}, False),
        ({"severity": "info"}, True),
        ({"rules": ("latency_p99",)}, True),
        ({"rules": ("disk",)}, False),
        ({"cameras": ("front",)}, True),
        ({"cameras": ("yard",)}, False),
    ],
)
def test_filters(make_alert, keys, wanted):
    one = route(**keys)
    one.gather(make_alert("latency_p99", severity="warning"), NOW)
    assert bool(one.batch) is wanted


def test_alerts_of_an_interval_are_sent_together_worst_first(make_alert):
    one = route(group_interval=15.0)
    one.gather(make_alert("slow", severity="warning"), NOW)
    one.gather(make_alert("down"), NOW + 10)
    assert not one.due(NOW + 14)
    assert one.due(NOW + 15)
    alerts, more = one.take()
    assert [alert.rule for alert in alerts] == ["down", "slow"]
    assert more == 0
    assert not one.due(NOW + 100)


def test_an_end_is_sent_only_of_what_was_sent(make_alert):
    one = route()
    one.gather(make_alert(state="resolved"), NOW)
    assert not one.batch
    one.gather(make_alert(), NOW)
    one.take()
    one.gather(make_alert(state="resolved"), NOW)
    assert one.batch
    one.take()
    one.gather(make_alert(state="resolved"), NOW)
    assert not one.batch


def test_ends_can_be_left_out(make_alert):
    one = route(resolved=False)
    one.gather(make_alert(), NOW)
    one.take()
    one.gather(make_alert(state="resolved"), NOW)
    assert not one.batch


def test_quiet_hours_hold_back_all_but_critical(make_alert):
    one = route(quiet_hours="22:00-06:00")
    one.gather(make_alert("slow", severity="warning"), NOW)
    assert not one.due(NOW + 3600)
    assert one.due(NOW + 3600, utc_offset=8 * 3600)  # it is 07:13 there
    assert one.due(NOW + 8 * 3600)
    one.gather(make_alert("down"), NOW + 3600)
    assert one.due(NOW + 3700)


def test_a_flood_becomes_one_notice(make_alert):
    one = route()
    for number in range(10_000):
        one.gather(make_alert(f"rule{number}"), NOW)
    alerts, more = one.take()
    assert (len(alerts), more) == (MOST_ALERTS, 10_000 - MOST_ALERTS)
    notice = make_notice(alerts, device="edge-1", site="s", now=NOW, more=more)
    assert notice.title.startswith("edge-1: 10000 firing, the worst: ")
    assert notice.text.endswith("and 9,980 more alerts")


def test_survives_as_json(make_alert):
    one, two = route(), route()
    one.gather(make_alert("sent"), NOW)
    one.take()
    one.gather(make_alert("waiting"), NOW)
    two.restore(json.loads(json.dumps(one.to_json())))
    assert two == one


def test_what_is_over_is_said_so(make_notice, make_alert):
    notice = make_notice(make_alert(state="resolved"))
    assert notice.resolved
    assert notice.title.startswith("resolved: edge-1: ")
    mixed = make_notice(make_alert(), make_alert("other", state="resolved"))
    assert mixed.title.startswith("edge-1: 1 firing, 1 resolved, the worst: camera front")


def test_senseless_quiet_hours_are_refused():
    with pytest.raises(ConfigError) as caught:
        check(NotifierSettings(name="n", quiet_hours="at night"))
    assert caught.value.key == "notifiers[n].quiet_hours"


def test_a_notice_names_the_command_that_shows_the_page(make_notice, make_alert):
    page = "docs/runbooks/camera_down.md"
    assert f"more: {page}, on the box: vedette rules show " in make_notice(make_alert(runbook=page)).text
    assert "rules show" not in make_notice(make_alert(runbook="")).text
