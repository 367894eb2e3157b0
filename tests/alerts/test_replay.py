"""Twin of agent/alerts/runtime/observation_log.py, agent/alerts/replay.py and `vedette rules`."""

from __future__ import annotations

import argparse
import gzip
import time

import pytest

from agent.alerts.replay import replay
from agent.alerts.rules import compile_rules
from agent.alerts.runtime.observation_log import KEEP_DAYS, ObservationLog, day_of, days, read
from agent.cli import rules as rules_command
from agent.config.alert_settings import AlertSettings, RuleSettings
from agent.core.errors import ConfigError, VedetteError
from agent.core.types import Observation

NOON = 1_700_049_600.0  # 2023-11-15 12:00 UTC
CAMERA = {"camera": "front"}


def second(at, latency, down=0.0):
    return [
        Observation(metric="camera.latency_p99_seconds", value=latency, at=at, labels=CAMERA),
        Observation(metric="camera.down", value=down, at=at, labels=CAMERA),
    ]


def record(folder, start=NOON, minutes=60):
    """An hour, second by second: slow from minute 20 to 30, down for the seconds 2400-2430."""
    log = ObservationLog(folder)
    for step in range(minutes * 60):
        slow = 1200 <= step < 1800
        log.record(second(start + step, 2.0 if slow else 0.1, float(2400 <= step < 2430)), start + step)
    log.flush(start + minutes * 60)


def rules(*words):
    parser = argparse.ArgumentParser()
    rules_command.add_arguments(parser)
    return rules_command.run(parser.parse_args([str(word) for word in words]))


def test_one_value_a_minute_and_every_change_of_a_state(tmp_path):
    record(tmp_path)
    (path,) = days(tmp_path).values()
    assert path.name == "2023-11-15.jsonl.gz"
    kept = list(read(path))
    latencies = [item for item in kept if item.metric == "camera.latency_p99_seconds"]
    assert len(latencies) == 60
    assert [(item.at - NOON, item.value) for item in kept if item.metric == "camera.down"] == [
        (2400, 1),
        (2430, 0),
    ]


def test_a_torn_line_is_passed_over(tmp_path):
    record(tmp_path, minutes=3)
    (path,) = days(tmp_path).values()
    whole = len(list(read(path)))
    plain = path.with_suffix("")
    plain.write_bytes(gzip.decompress(path.read_bytes())[:-20] + b"\n\xff{}\n")
    path.unlink()
    assert len(list(read(plain))) == whole - 1


@pytest.mark.parametrize("left", [b"", b"\0" * 4096], ids=["cut off", "zeros"])
def test_a_piece_torn_by_a_crash_costs_no_later_one(tmp_path, left):
    record(tmp_path, minutes=30)
    (path,) = days(tmp_path).values()
    before = path.read_bytes()
    first = len(list(read(path)))
    record(tmp_path, start=NOON + 3600, minutes=30)
    torn = path.read_bytes()[len(before) :]
    path.write_bytes(before + torn[: len(torn) // 5] + left)
    record(tmp_path, start=NOON + 7200, minutes=30)
    found = [item.at for item in read(path)]
    assert first <= len([at for at in found if at < NOON + 3600])
    assert len([at for at in found if at >= NOON + 7200]) == len([at for at in found if at < NOON + 1800])


def test_a_day_begun_by_an_earlier_version_is_read_whole(tmp_path):
    record(tmp_path, minutes=3)
    (path,) = days(tmp_path).values()
    path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
    path.unlink()
    record(tmp_path, start=NOON + 3600, minutes=3)
    (both,) = days(tmp_path).values()
    assert {round(item.at - NOON) // 3600 for item in read(both)} == {0, 1}


def test_old_days_and_too_many_bytes_are_dropped(tmp_path):
    log = ObservationLog(tmp_path, most_bytes=100_000)
    for day in range(KEEP_DAYS + 4):
        log.record(second(NOON + 86400 * day, 0.1), NOON + 86400 * day)
        log.flush(0.0)
    assert len(days(tmp_path)) == KEEP_DAYS
    small = ObservationLog(tmp_path, most_bytes=300)
    small.record(second(NOON + 86400 * 20, 0.1), 0.0)
    small.flush(0.0)
    assert sum(path.stat().st_size for path in days(tmp_path).values()) <= 300


def test_a_full_disk_is_logged_once(tmp_path):
    (tmp_path / "observations").write_text("in the way")
    log = ObservationLog(tmp_path)
    for step in range(3):
        log.record(second(NOON + 100 * step, 0.1), NOON + 100 * step)


def config(tmp_path, text):
    file = tmp_path / "vedette.toml"
    file.write_text(f'state_directory = "{tmp_path}"\n{text}')
    return file


def test_a_rule_is_tried_on_a_recorded_day(tmp_path, capsys):
    record(tmp_path)
    file = config(tmp_path, '[[rules]]\nname = "slow"\nwhen = "camera.latency_p99_seconds > 0.5 for 5m"\n')
    assert rules("test", file, "--replay", "2023-11-15", "--rule", "slow") == 0
    fired, over, verdict = capsys.readouterr().out.splitlines()
    assert fired.startswith("2023-11-15 12:25:")
    assert "WARNING: camera front: latency p99 2 s (expected at most 0.5 s" in fired
    assert over.startswith("2023-11-15 12:30:")
    assert verdict.startswith("1 rule on 62 observations, the last of 2023-11-15 12:")
    assert verdict.endswith(": slow once")
    rules("test", file, "--replay", "2023-11-15", "--rule", "camera_down")
    assert "camera_down once" in capsys.readouterr().out
    (path,) = days(tmp_path).values()
    rules("test", file, "--replay", path, "--rule", "camera_black")
    assert capsys.readouterr().out.endswith("none would have fired\n")


def test_a_rule_on_what_was_not_recorded_is_reported(tmp_path, capsys):
    record(tmp_path, minutes=5)
    file = config(
        tmp_path,
        """
        [[rules]]
        name = "slo"
        when = "burn(camera.latency_seconds > 0.3, 99%) > 10"
        [[rules]]
        name = "dark"
        when = "camera.black"
        """,
    )
    rules("test", file, "--replay", "2023-11-15")
    assert capsys.readouterr().out.splitlines()[0] == (
        'slo: nothing was recorded of camera.latency_over_ratio{target="0.3"}, so it could not fire'
    )


def test_today_and_yesterday(tmp_path, capsys):
    now = time.time()
    record(tmp_path, start=now - 86400, minutes=1)
    file = config(tmp_path, "")
    assert day_of(now - 86400) in days(tmp_path)
    rules("test", file, "--replay", "yesterday")
    with pytest.raises(VedetteError, match="no observations of 1999-01-01"):
        rules("test", file, "--replay", "1999-01-01")


def test_mistakes_are_reported_with_a_correction(tmp_path):
    file = config(tmp_path, '[[rules]]\nname = "slow"\nwhen = "camera.latency.p99 > 0.5"\n')
    with pytest.raises(
        ConfigError, match=r"toml:4: rules\[slow\].when: unknown metric .*latency_p99_seconds"
    ):
        rules("test", file)
    with pytest.raises(VedetteError, match="there is no rule 'nothing'; see `vedette rules list`"):
        rules("test", config(tmp_path, ""), "--rule", "nothing")
    with pytest.raises(VedetteError, match="there is no rule 'disc'; did you mean 'disk'"):
        rules("show", "disc", "--config", config(tmp_path, ""))


def test_a_rule_with_its_page(capsys):
    rules("show", "drift")
    shown = capsys.readouterr().out
    assert shown.startswith("drift                warning   drift.ratio >= 1")
    assert "## What to check" in shown


def test_listing(capsys):
    rules("list", "--metrics")
    assert "camera.latency_p99_seconds" in capsys.readouterr().out


def test_a_clock_that_was_set_by_years_does_not_hold_up_a_replay():
    """A box without a battery records its first minutes under 1970: 56 years of steps of ten seconds took hours."""
    rule = compile_rules(
        [RuleSettings(name="silent", when="absent(camera.latency_p99_seconds) for 10m")],
        AlertSettings(default_rules=False),
    )
    recorded = [*second(100.0, 0.1), *second(NOON, 0.1), *second(NOON + 60.0, 0.1)]
    found = replay(rule, recorded)
    assert [(alert.event.value, alert.changed_at >= NOON) for alert in found] == [
        ("fired", False),
        ("resolved", True),
    ]


def test_a_line_of_no_moment_is_passed_over(tmp_path):
    path = tmp_path / "2023-11-15.jsonl"
    path.write_text('{"at": NaN, "labels": {}, "values": {"host.cpu_ratio": 1}}\n')
    assert list(read(path)) == []
