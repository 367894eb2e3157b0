"""The demo's incident happens once a round, in order, whatever the pace of looking."""

import shutil
import subprocess
import sys
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from agent.cameras.kinds.synthetic.drawing.disturbances import DISTURBANCES
from agent.demo.incident import INCIDENT, LENGTH_SECONDS, current, due
from agent.demo.show import NEXT, OPENING, next_steps, settings

ROOT = Path(__file__).resolve().parents[2]


@given(st.lists(st.floats(0.01, 40), min_size=1, max_size=60))
def test_every_event_is_due_exactly_once(steps):
    now, happened = 0.0, []
    for step in steps:
        happened += due(now, now + step)
        now += step
    rounds = [n * LENGTH_SECONDS + e.at for n in range(int(now // LENGTH_SECONDS) + 1) for e in INCIDENT]
    assert len(happened) == sum(at <= now for at in rounds)


def test_whatever_begins_also_ends_and_names_real_things(tmp_path):
    cameras = {camera.name for camera in settings("mqtt://127.0.0.1:1", tmp_path).cameras}
    state = {}
    for event in INCIDENT:
        assert event.camera in cameras
        assert event.disturbance in DISTURBANCES
        state[event.camera, event.disturbance] = event.strength
    assert set(state.values()) == {0.0}


def test_the_title_shows_what_goes_on():
    assert current(0) == "learning what is normal; trouble in 66 s (Ctrl-C ends)"
    assert current(INCIDENT[0].at - 1) == "learning what is normal; trouble in 1 s (Ctrl-C ends)"
    assert len(f"vedette demo  {INCIDENT[0].at:.0f} s  {current(0)}") <= 80
    assert current(INCIDENT[0].at + 1) == INCIDENT[0].text
    assert current(LENGTH_SECONDS + 1) == INCIDENT[-1].text


def test_what_is_reported_at_begin_and_end_fits_eighty_columns():
    assert max(len(line) for line in (OPENING + NEXT).splitlines()) <= 80
    assert max(len(event.text) for event in INCIDENT) <= 60


def test_a_shell_that_does_not_find_vedette_is_shown_how_it_would(monkeypatch, tmp_path):
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "activate").touch()
    monkeypatch.setattr(sys, "prefix", str(tmp_path / ".venv"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    output = next_steps()
    assert "\n  . .venv/bin/activate " in output
    assert max(len(line) for line in output.splitlines()) <= 80
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    assert next_steps() == NEXT


def test_without_a_terminal_it_prints_what_happens_in_plain_words_and_where_to_go_next(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "agent", "demo", "--seconds", "3"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == "", "no journal, no broker's library"
    lines = done.stdout.splitlines()
    assert lines[0] == OPENING
    assert "what the broker received" in done.stdout
    assert done.stdout.rstrip("\n").endswith(NEXT.rstrip("\n").split(":\n")[1])
    assert not any("level" in line or "=" in line for line in lines)
