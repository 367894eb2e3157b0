"""A reload takes in use what it can, and names by key what it cannot; nothing is half taken."""

import dataclasses

import pytest

from agent.app.kinds import KINDS
from agent.app.live_config import LIVE_KEYS
from agent.config.changes import live
from agent.config.load import parse
from agent.config.schema import Settings


def settings(text):
    return parse(text, KINDS)


CASES = [
    ('[log]\nlevel = "debug"', []),
    ('[log]\nformat = "plain"', ["log.format"]),
    ('[broker]\nurl = "mqtt://other"\nkeepalive = "5s"', ["broker.url", "broker.keepalive"]),
    ('state_directory = "/x"', ["state_directory"]),
    ('[telemetry]\ninterval = "5s"', []),
    ('[[rules]]\nname = "camera_down"\nfor = "3m"', []),
    ('[[cameras]]\nname = "a"\nkind = "synthetic"', []),
    ('[[notifiers]]\nname = "n"\nurl = "http://h/"', []),
    ('[commands]\nallow = ["status"]', []),
    ("[commands]\nenabled = true", ["commands.enabled"]),
    ("[drift]\nfalse_alarms_per_month = 0.1", []),
    ("[drift]\nfeature_fps = 5", ["drift.feature_fps"]),
    ("[model]\nconfidence = 0.5", ["model.confidence"]),
]


@pytest.mark.parametrize(("text", "waiting"), CASES)
def test_what_waits_for_a_restart_is_named_by_its_key(text, waiting):
    assert live(Settings(), settings(text), LIVE_KEYS)[1] == waiting


@pytest.mark.parametrize(("text", "waiting"), CASES)
def test_what_is_in_force_is_the_new_value_or_wholly_the_old_one(text, waiting):
    old, new = Settings(), settings(text)
    taken, _ = live(old, new, LIVE_KEYS)
    for field in dataclasses.fields(Settings):
        if LIVE_KEYS.get(field.name) == ():
            assert getattr(taken, field.name) == getattr(new, field.name)
    if waiting:
        table = waiting[0].partition(".")[0]
        assert getattr(taken, table) == getattr(old, table)
    else:
        assert taken == new


def test_what_waits_is_told_again_at_the_next_reload():
    new = settings('[broker]\nurl = "mqtt://other"')
    first, _ = live(Settings(), new, LIVE_KEYS)
    assert live(first, new, LIVE_KEYS)[1] == ["broker.url"]
    assert live(first, Settings(), LIVE_KEYS)[1] == [], "taken back: nothing waits"


def test_commands_are_switched_off_at_once():
    on = settings('[commands]\nenabled = true\nallow = ["*"]')
    taken, waiting = live(on, settings("[commands]\nenabled = false"), LIVE_KEYS)
    assert not taken.commands.enabled
    assert taken.commands.allow == ()
    assert waiting == []
