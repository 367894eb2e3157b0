import dataclasses
import gzip
import json
import re

import pytest
from structlog.testing import capture_logs

from agent.core.errors import ReferenceMismatch
from agent.references.reference_recording import FIRST_WINDOWS
from agent.references.requests import StoreRequests
from agent.references.store import JUDGE, RECORDING
from tests.references.conftest import NOON, SUBJECT, Room, Source, recorded, sampled


def opened(room, **settings):
    made = room(**settings)
    made.monitor.open(NOON)
    made.settle()
    return made


def with_reference(room, stored, **settings):
    made = room(**{"auto_reference": False, **settings})
    made.store.put("front", stored)
    made.monitor.open(NOON + 3600)
    made.settle()
    return made


def test_without_a_reference_one_is_recorded_by_itself_and_used_before_it_is_done(room, source):
    made = opened(room, reference_length=3600.0)
    told = made.feed(source, FIRST_WINDOWS)
    assert [fields["drift_state"] for fields, _ in told[:-1]] == ["learning"] * (FIRST_WINDOWS - 1)
    assert told[-1][0]["drift_recorded_ratio"] == pytest.approx(FIRST_WINDOWS / 60, abs=0.02)
    fields, observations = made.feed(source, 1)[0]
    assert fields["drift_state"] == "normal"
    assert fields["drift_provisional"] is True
    assert any(each.metric == "drift.ratio" for each in observations)
    made.feed(source, 39)
    (version,) = made.store.versions("front")
    final = made.store.load("front")
    assert final.final, "the beginnings were replaced by the whole"
    assert final.reference.origin.covered == pytest.approx(3600, rel=0.01)
    assert version.current
    assert made.store.read("front", RECORDING) is None
    assert made.feed(source, 1)[0][0]["drift_state"] == "normal"
    assert made.monitor.status()["recording"] is None, "and it does not begin again"


def imported(made, seed=9):
    """What a person puts in force through a command, while the agent runs; its id."""
    text = recorded(source=Source(seed=seed)).make(NOON + 7200 + seed, final=True).to_text()
    return StoreRequests(made.store).take_in({"camera": "front", "text": text})["id"]


def test_a_reference_that_a_person_puts_in_force_is_not_replaced_by_the_automatic_one(room, source):
    """It was within the hour: the recording of a box's first day went on, and was put in force at its next renewal."""
    made = opened(room, reference_length=3600.0)
    made.feed(source, FIRST_WINDOWS + 5)
    assert made.monitor.stored.made_by == "auto"
    chosen = imported(made)
    made.monitor.reload(source.now)
    made.feed(source, 40)
    assert made.store.load("front").id == made.monitor.stored.id == chosen
    assert made.monitor.status()["recording"] is None
    assert made.store.read("front", RECORDING) is None
    made.monitor.save(source.now)
    made.settle()
    made.new().open(source.now)
    made.feed(source, 40)
    assert made.store.load("front").id == chosen


def test_a_recording_of_before_a_restart_ends_where_another_reference_is_in_force(room, source):
    made = opened(room, reference_length=3600.0)
    made.feed(source, FIRST_WINDOWS + 5)
    made.monitor.save(source.now)
    made.settle()
    chosen = imported(made)  # by a command while no agent runs
    made.new().open(source.now)
    made.settle()
    assert made.monitor.status()["recording"] is None
    assert made.store.read("front", RECORDING) is None
    assert made.monitor.stored.id == chosen


@pytest.mark.parametrize("what", ["renewal", "acceptance"])
def test_what_is_being_built_takes_the_place_of_no_reference_that_a_person_puts_in_force_meanwhile(
    room, stored, source, what
):
    if what == "renewal":
        made = opened(room, reference_length=3600.0)
        for _ in range(FIRST_WINDOWS + 1):
            made.monitor.process(sampled(*source.window()), source.now)
    else:
        made = with_reference(room, stored)
        made.feed(later := Source(start=NOON + 3600), 15, brightness=9)
        made.monitor.accept(None, later.now, by="ann", why="new lamp")
    chosen = imported(made)  # the writer has still to build what was asked of it
    made.settle()
    made.monitor.reload(NOON + 9000)  # as the command has it done
    made.settle()
    assert made.store.load("front").id == made.monitor.stored.id == chosen


def test_a_recording_that_is_asked_for_while_the_one_before_is_built_goes_on(room, source):
    made = opened(room, reference_length=3600.0)
    while not made.monitor._recording.building:
        made.monitor.process(sampled(*source.window()), source.now)
    made.monitor.record(7200.0, source.now)
    made.settle()
    assert made.monitor.stored.final
    assert made.monitor.status()["recording"]["made_by"] == "asked"
    made.feed(source, 3)
    assert made.monitor.status()["recording"]["windows"] == 3


@pytest.mark.parametrize("synced", [True, False])
def test_a_clock_that_was_ahead_when_something_was_taken_in_silences_nothing_once_it_is_known_to_be_right(
    room, stored, monkeypatch, synced
):
    """What was accepted is taken in anew as more is seen, here under the date of a wrong clock."""
    made, right = with_reference(room, stored), Source(start=NOON + 3600)
    made.feed(right, 15, brightness=9)
    made.monitor.accept(None, right.now, by="ann", why="new lamp")
    made.settle()
    accepted, ahead = made.monitor.stored.id, Source(start=NOON + 10 * 365 * 86400.0)
    made.feed(ahead, 20, brightness=9)
    assert made.monitor.stored.id != accepted
    monkeypatch.setattr("agent.references.judging.clock.synced", lambda: synced)
    states = {fields["drift_state"] for fields, _ in made.feed(right, 4, brightness=9)}
    assert states == ({"normal"} if synced else {"silent"})


@pytest.mark.parametrize("command", ["cancel", "finish"])
def test_a_recording_that_is_being_built_can_be_neither_cancelled_nor_built_twice(room, source, command):
    """A cancelled one was put in force all the same."""
    made = opened(room, auto_reference=False)
    made.monitor.record(3600.0, NOON)
    made.feed(source, 20)
    made.monitor.finish(source.now)
    with pytest.raises(ReferenceMismatch, match="is being built: it is in force within minutes"):
        made.monitor.cancel() if command == "cancel" else made.monitor.finish(source.now)
    made.settle()
    assert len(made.store.versions("front")) == 1
    with pytest.raises(ReferenceMismatch, match="is being recorded"):
        made.monitor.cancel()


def test_an_acceptance_while_another_is_built_is_refused_and_not_lost_with_a_yes(room, stored):
    made = with_reference(room, stored)
    made.feed(later := Source(start=NOON + 3600), 15, brightness=9)
    made.monitor.accept(None, later.now, by="ann", why="new lamp")
    with pytest.raises(ReferenceMismatch, match="is being renewed; try again"):
        made.monitor.accept(later.now - 600, later.now, by="bob", why="new lamp")
    made.settle()
    assert made.monitor.stored.accepted.by == "ann"
    made.monitor.accept(later.now - 600, later.now, by="bob", why="new lamp")
    made.settle()
    assert made.monitor.stored.accepted.by == "bob"


def test_a_day_of_recording_is_three_lines_in_the_journal(room, source):
    """It begins, judges by a beginning of it, and is complete; the renewals of every hour are no news."""
    with capture_logs() as logs:
        made = opened(room, reference_length=3600.0)
        made.feed(source, 61)
    assert [(line["event"], line.get("provisional")) for line in logs if line["log_level"] != "debug"] == [
        ("recording a reference", None),
        ("reference in force", True),
        ("reference in force", False),
    ]
    assert len(logs) > 3, "there were renewals"


def test_switched_off_nothing_is_recorded(room, source):
    made = opened(room, auto_reference=False)
    assert made.feed(source, 3)[-1][0] == {"drift_state": "none"}


def test_a_drift_raises_an_alarm_that_names_it_and_a_restart_keeps_it(room, stored):
    made = with_reference(room, stored)
    source = Source(start=NOON + 3600, seed=8)
    quiet = made.feed(source, 10)
    assert all(fields["drift_state"] == "normal" for fields, _ in quiet)
    fields, observations = made.feed(source, 4, contrast=-8)[-1]
    assert fields["drift_state"] == "drift"
    assert fields["drift_feature"] == "contrast"
    ratio = next(each for each in observations if each.metric == "drift.ratio")
    assert ratio.value >= 1
    assert "contrast" in ratio.text
    assert "contrast" in ratio.evidence["features"]
    made.monitor.save(source.now)
    made.settle()
    made.new().open(source.now)
    again, _ = made.feed(source, 1, contrast=-8)[0]
    assert again["drift_state"] == "drift"
    assert again["drift_since"] == fields["drift_since"], "no second alarm for the same drift"
    assert len(made.monitor.explanation()["history"]) >= 14


def test_another_budget_moves_the_limits_and_forgets_nothing(room, stored):
    def ratio(fields_and_observations):
        return next(each for each in fields_and_observations[1] if each.metric == "drift.ratio").value

    made = with_reference(room, stored)
    source = Source(start=NOON + 3600, seed=8)
    before = ratio(made.feed(source, 4, contrast=-8)[-1])
    made.monitor.set_budget(dataclasses.replace(made.settings, false_alarms_per_month=0.001))
    after = ratio(made.feed(source, 1, contrast=-8)[-1])
    assert after < before, "fewer false alarms, wider limits"
    assert len(made.monitor.explanation()["history"]) == 5


def test_a_recording_goes_on_after_a_restart(room, source):
    made = opened(room, auto_reference=False)
    made.monitor.record(3600.0, NOON)
    made.feed(source, 20)
    made.monitor.save(source.now)
    made.settle()
    made.new().open(source.now)
    status = made.monitor.status()["recording"]
    assert status["windows"] == 20
    assert status["made_by"] == "asked"
    made.feed(source, 40)
    assert made.store.load("front").reference.origin.covered == pytest.approx(3600, rel=0.01)


def test_a_renewal_waits_while_the_alarm_is_on(room, source):
    made = opened(room, reference_length=86400.0)
    made.feed(source, 61)
    first = made.monitor.status()["reference"]["id"]
    told = made.feed(source, 61, brightness=9)
    assert told[-1][0]["drift_state"] == "drift"
    assert made.monitor.status()["reference"]["id"] == first, "what alarms must not become what is normal"


def test_asking_twice_or_for_too_little_is_refused_with_the_numbers(room, source):
    made = opened(room, auto_reference=False)
    with pytest.raises(ReferenceMismatch, match=r"300 s are too short .* at least 600 s"):
        made.monitor.record(300.0, NOON)
    made.monitor.record(3600.0, NOON)
    with pytest.raises(ReferenceMismatch, match="is being recorded already"):
        made.monitor.record(3600.0, NOON)
    made.feed(source, 3)
    with pytest.raises(ReferenceMismatch, match=r"3 windows are recorded; expected at least 10"):
        made.monitor.finish(source.now)
    made.feed(source, 7)
    made.monitor.finish(source.now)
    made.settle()
    assert made.monitor.status()["reference"]["covered"] == 600.0
    with pytest.raises(ReferenceMismatch, match="no reference of camera 'front' is being recorded"):
        made.monitor.cancel()


def test_cancelling_leaves_the_reference_there_was(room, stored, source):
    made = with_reference(room, stored)
    made.monitor.record(3600.0, NOON)
    made.feed(source, 3)
    made.monitor.cancel()
    made.settle()
    assert made.store.read("front", RECORDING) is None
    assert made.monitor.status()["reference"]["id"] == stored.id


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model_sha256": "b" * 64}, "another model"),
        ({"feature_version": "0" * 12}, "another version of the features"),
        ({"window_seconds": 30.0}, r"windows of 60 s, now they are 30 s"),
    ],
)
def test_a_reference_of_another_model_or_version_is_said_and_never_judged_by(
    room, stored, change, said, capsys
):
    made = with_reference(room, stored)
    made.subject = dataclasses.replace(SUBJECT, **change)
    made.new().open(NOON + 3600)
    fields, observations = made.feed(Source(start=NOON + 3600), 2, brightness=9)[-1]
    assert fields["drift_state"] == "unusable"
    assert re.search(said, fields["drift_reason"])
    assert observations == []
    assert capsys.readouterr().out.count("this reference cannot be judged by") == 1, "once, not every window"


def test_whoever_goes_back_to_the_old_model_finds_its_reference_again(room, stored):
    made = with_reference(room, stored)
    other = recorded(windows=12, model_sha256="b" * 64).make(NOON + 7200, final=True)
    made.store.put("front", other)
    made.monitor.reload(NOON + 7200)
    assert made.monitor.status()["reference"]["id"] == stored.id


def test_after_a_change_of_model_a_new_one_is_recorded_by_itself(room, stored, source):
    made = with_reference(room, stored, auto_reference=True)
    made.subject = dataclasses.replace(SUBJECT, model_sha256="b" * 64)
    made.new().open(NOON + 3600)
    fields, _ = made.feed(source, 1)[0]
    assert fields["drift_state"] == "learning"
    assert "another model" in fields["drift_reason"]
    assert [version.id for version in made.store.versions("front")] == [stored.id], "the old one is kept"


def test_a_damaged_reference_recording_or_judge_never_stops_the_camera(room, stored, source, tmp_path):
    made = with_reference(room, stored)
    made.feed(source, 2)
    made.monitor.save(source.now)
    made.settle()
    folder = tmp_path / "references" / "front"
    (folder / f"{JUDGE}.gz").write_bytes(gzip.compress(b'{"judge": {"reference": "else"}'))
    (folder / f"{RECORDING}.gz").write_bytes(b"\xff\x00 torn")
    made.new().open(source.now)
    assert made.feed(source, 1)[0][0]["drift_state"] == "normal"
    version = made.store.versions("front")[0]
    (folder / version.name).write_text("{")
    made.new().open(source.now)
    fields, observations = made.feed(source, 1)[0]
    assert fields["drift_state"] == "unusable"
    assert version.name in fields["drift_reason"]
    assert observations == []


def test_windows_without_frames_and_with_undefined_features_raise_nothing(room, stored):
    made = with_reference(room, stored)
    source = Source(start=NOON + 3600, seed=2)
    assert made.feed(source, 3)[-1][0]["drift_state"] == "normal"
    for _ in range(5):
        window, vectors = source.window(samples=0)
        fields, observations = made.monitor.process(sampled(window, vectors), window.end)
        assert fields["drift_state"] == "silent"
        assert observations == []
    told = made.feed(source, 20, box_x=float("nan"), contrast=float("inf"))
    assert {fields["drift_state"] for fields, _ in told} == {"normal"}


def test_an_alarm_stays_as_it_was_while_the_camera_shows_nothing_and_over_a_restart(room, stored):
    def scores(judged):
        return [each.value for _, seen in judged for each in seen if each.metric == "drift.ratio"]

    made = with_reference(room, stored)
    source = Source(start=NOON + 3600, seed=8)
    fields, observations = made.feed(source, 6, contrast=-8)[-1]
    [before] = scores([(fields, observations)])
    assert before > 1.2
    for _ in range(2):
        silent = made.feed(source, 10, samples=0)
        assert scores(silent) == [before] * 10, "a rule with a limit of its own is not ended by it"
        assert {each["drift_since"] for each, _ in silent} == {fields["drift_since"]}
        made.monitor.save(source.now)
        made.settle()
        made.new().open(source.now)
    assert made.feed(source, 1, contrast=-8)[0][0]["drift_since"] == fields["drift_since"]


@pytest.mark.parametrize("step", [-7200.0, 86400.0, -40 * 365 * 86400.0])
def test_a_clock_that_jumps_is_said_and_raises_nothing(room, stored, step):
    made = with_reference(room, stored)
    source = Source(start=NOON + 3600, seed=2)
    made.feed(source, 5)
    window, vectors = source.window()
    fields, observations = made.monitor.process(sampled(window, vectors), window.end + step, clock_step=step)
    assert fields["drift_state"] == "silent"
    assert "the clock was set by" in fields["drift_reason"]
    assert not [each for each in observations if each.metric == "drift.ratio"]
    source.now += step
    told = made.feed(source, 5)
    assert all(fields["drift_state"] in {"normal", "silent"} for fields, _ in told)


def test_a_recording_survives_a_clock_that_jumps(room, source):
    made = opened(room, auto_reference=False)
    made.monitor.record(1200.0, NOON)
    made.feed(source, 10)
    source.now -= 30 * 86400
    made.feed(source, 10)
    assert made.store.load("front").reference.origin.covered == pytest.approx(1200, rel=0.01)
    assert made.feed(source, 1)[0][0]["drift_state"] in {"normal", "silent"}


def test_outliers_are_counted_and_told_to_the_rules(room, stored):
    made = with_reference(room, stored)
    source = Source(start=NOON + 3600, seed=2)
    fields, observations = made.feed(source, 1)[0]
    assert fields["frames_outlying"] == 0
    fields, observations = made.feed(source, 1, brightness=9, contrast=9, entropy=9)[0]
    assert fields["drift_outlier_ratio"] == 1.0
    assert fields["frames_outlying"] == source.samples
    outliers = next(each for each in observations if each.metric == "drift.outlier_ratio")
    assert "100 % of frames are unlike all that the reference knows (by" in outliers.text


def test_a_disk_that_is_full_loses_nothing_that_is_recorded(room, source, monkeypatch):
    made = opened(room, auto_reference=False)
    made.monitor.record(600.0, NOON)
    made.feed(source, 9)

    def full(*_args, **_more):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(made.store, "put", full)
        made.feed(source, 3)
        assert made.store.versions("front") == []
    made.feed(source, 1)
    assert made.monitor.status()["reference"] is not None


def test_what_it_tells_people_is_plain_json(room, stored):
    made = with_reference(room, stored)
    made.feed(Source(start=NOON + 3600), 3)
    json.dumps([made.monitor.status(), made.monitor.explanation()])


def test_a_monitor_can_be_made_of_nothing(tmp_path):
    assert Room(tmp_path).monitor.explanation()["recent"] is None


def test_a_recording_resumed_early_waits_for_as_many_windows_as_one_that_was_not(room, source, capsys):
    made = opened(room, reference_length=3600.0)
    made.feed(source, 2)
    made.monitor.save(source.now)
    made.settle()
    made.new().open(source.now)
    told = made.feed(source, FIRST_WINDOWS - 2)
    assert {fields["drift_state"] for fields, _ in told[:-1]} == {"learning"}
    assert made.feed(source, 1)[0][0]["drift_state"] == "normal"
    assert "cannot build" not in capsys.readouterr().out


def test_a_recording_is_written_by_the_hour_and_whole_at_the_end(room, source, monkeypatch):
    """It grows to megabytes and is written as a whole: flash would wear out."""
    made = opened(room, reference_length=86400.0)
    written = []
    write = made.store.write

    def noting(camera, name, text):
        written.append(name)
        write(camera, name, text)

    monkeypatch.setattr(made.store, "write", noting)
    made.feed(source, FIRST_WINDOWS - 1)
    assert written.count(RECORDING) == 1
    made.monitor.save(source.now)
    made.settle()
    kept = made.store.read("front", RECORDING)
    assert made.monitor.status()["recording"] is not None
    again = Room(made.store.folder("front").parents[1], reference_length=86400.0)
    again.monitor.open(source.now)
    assert again.monitor.status()["recording"] == made.monitor.status()["recording"]
    assert written.count(RECORDING) == 2
    assert kept
