"""Steady time: what the wall clock does to it (nothing), and what it does over sleep, restarts and reboots."""

from __future__ import annotations

import ast
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import agent
from agent.core.clock import kernel_synced, state_from_json
from tests.clocks import Machine

HOUR, YEAR = 3600.0, 365.25 * 86400
STEPS = [600.0, HOUR, 56 * YEAR, -600.0, -HOUR, -56 * YEAR]


@pytest.fixture
def box():
    return Machine()


@pytest.mark.parametrize("step", STEPS)
def test_a_clock_that_is_set_changes_labels_and_no_duration(box, step):
    clock = box.clock()
    start = clock.now()
    box.run(10)
    box.step(step)
    box.run(5)
    end = clock.now()
    assert end - start == pytest.approx(15, abs=1e-6)
    assert end + clock.offset() == pytest.approx(box.wall(), abs=1e-6)
    assert start + clock.offset() == pytest.approx(box.wall() - 15, abs=1e-6)


def test_many_small_steps_change_no_duration(box):
    clock = box.clock()
    start = clock.now()
    for number in range(1000):
        box.run(1)
        box.step(0.4 if number % 3 else -0.5)
    assert clock.now() - start == pytest.approx(1000, abs=1e-6)
    assert abs(clock.now() + clock.offset() - box.wall()) <= 0.1


def test_sleep_counts(box):
    clock = box.clock()
    start = clock.now()
    box.sleep(8 * HOUR)
    assert clock.now() - start == pytest.approx(8 * HOUR)


@pytest.mark.parametrize("step", [0.0, *STEPS])
def test_it_goes_on_over_a_restart_of_the_agent(box, step):
    first = box.clock()
    at = first.now()
    state = first.state()
    box.step(step)
    box.run(7)
    second = box.clock()
    second.resume(state_from_json(asdict(state)))
    assert second.now() - at == pytest.approx(7, abs=1e-6)
    assert second.now() + second.offset() == pytest.approx(box.wall(), abs=0.1)


@pytest.mark.parametrize("step", [0.0, HOUR, -HOUR])
def test_over_a_reboot_of_a_synchronised_box_the_time_off_counts(box, step):
    first = box.clock()
    box.step(step)
    box.run(10)
    at, state = first.now(), first.state()
    box.reboot(off=3 * HOUR, rtc=True)
    second = box.clock()
    second.resume(state)
    assert second.now() - at == pytest.approx(3 * HOUR, abs=1e-3)
    assert second.settle() == 0.0


def test_over_a_reboot_without_a_real_time_clock_it_goes_on_and_the_time_off_is_settled_later(box):
    first = box.clock()
    at, state = first.now(), first.state()
    box.reboot(off=3 * HOUR, rtc=False)
    second = box.clock()
    second.resume(state)
    assert second.now() - at == pytest.approx(box.up)
    box.run(60)
    assert second.settle() == 0.0
    box.sync()
    box.run(2)
    assert second.settle() == pytest.approx(3 * HOUR - 5, abs=0.2)
    assert second.settle() == 0.0
    assert second.now() - at == pytest.approx(67)
    assert second.now() + second.offset() == pytest.approx(box.true, abs=0.1)


def test_what_expires_is_judged_by_the_last_run_until_the_clock_is_set(box):
    known, state = box.true, box.clock().state()
    box.reboot(off=10 * HOUR, rtc=False)
    clock = box.clock()
    assert clock.latest_unix() == pytest.approx(box.wall()), "nothing else is known yet"
    clock.resume(state)
    box.run(60)
    assert clock.latest_unix() == pytest.approx(known + 65)
    box.sync()
    assert clock.latest_unix() == pytest.approx(box.true, abs=0.1)
    clock.settle()
    assert clock.latest_unix() == pytest.approx(box.true, abs=0.1)


def test_two_reboots_without_a_real_time_clock_are_settled_together(box):
    state = box.clock().state()
    for _ in range(2):
        box.reboot(off=HOUR, rtc=False)
        clock = box.clock()
        clock.resume(state)
        box.run(100)
        state = clock.state()
    box.sync()
    box.run(2)
    assert clock.settle() == pytest.approx(2 * HOUR - 10, abs=0.2)


def test_a_box_that_never_knew_the_time_has_nothing_to_settle():
    box = Machine(error=-1.7e9, synced=False)
    state = box.clock().state()
    box.reboot(off=HOUR, rtc=False)
    clock = box.clock()
    clock.resume(state)
    box.sync()
    box.run(2)
    assert clock.settle() == 0.0


faults = st.lists(
    st.one_of(
        st.tuples(st.just("run"), st.floats(0.5, 1e5)),
        st.tuples(st.just("step"), st.floats(-2e9, 2e9)),
        st.tuples(st.just("sleep"), st.floats(0, 1e6)),
        st.tuples(st.just("restart"), st.just(0.0)),
        st.tuples(st.just("reboot"), st.floats(1, 1e7)),
        st.tuples(st.just("reboot without RTC"), st.floats(1, 1e7)),
        st.tuples(st.just("sync"), st.just(0.0)),
    ),
    max_size=30,
)


@given(faults)
def test_whatever_happens_it_never_goes_back_and_no_more_passes_than_passed(faults):
    box = Machine()
    clock = box.clock()
    for kind, amount in faults:
        before, began = clock.now(), box.true
        if kind in {"run", "step", "sleep"}:
            getattr(box, kind)(amount)
        elif kind == "sync":
            box.sync()
        else:
            state = clock.state()
            if kind != "restart":
                box.is_synced = box.is_synced and abs(box.error) < 1  # what a kernel calls so
                box.reboot(amount, rtc=kind == "reboot")
            clock = box.clock()
            clock.resume(state)
        passed = clock.now() - before
        assert passed >= 0
        if kind in {"run", "sleep"}:
            assert passed == pytest.approx(amount, rel=1e-9, abs=1e-3)
        elif kind in {"step", "sync", "restart"}:
            assert passed == pytest.approx(0, abs=1e-3)
        elif not box.is_synced:
            assert passed <= box.up + 1e-3
        assert clock.now() + clock.offset() == pytest.approx(box.wall(), abs=0.11)
        assert box.true >= began


@pytest.mark.parametrize(
    "entry", [{}, {"boot": "b"}, {"boot": "b", "anchor": 1, "now": "x", "offset": 0, "synced": True},
              {"boot": "b", "anchor": 1e300, "now": 1, "offset": 0, "synced": True},
              {"boot": "b", "anchor": float("nan"), "now": 1, "offset": 0, "synced": True}],
)  # fmt: skip
def test_a_state_that_is_none_is_refused(entry):
    with pytest.raises((KeyError, TypeError, ValueError)):
        state_from_json(entry)


def test_the_kernel_answers():
    assert kernel_synced() in {True, False}


ROOT = Path(agent.__file__).parent
WALL_FOR_PEOPLE = {
    "cli",
    "demo",
    "dashboard",
    "modeltools",
}  # commands beside the agent: they show, and wait for nothing


def uses_of_wall(source):
    """Lines that read the wall clock as a number that may be subtracted from another."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if (isinstance(node, ast.Attribute) and node.attr == "wall" and isinstance(node.value, ast.Name)
            and node.value.id == "clock")
        or (isinstance(node, ast.ImportFrom) and node.module == "agent.core.clock"
            and any(name.name == "wall" for name in node.names))
    ]  # fmt: skip


def test_a_planted_reading_of_the_wall_clock_is_seen():
    assert uses_of_wall("from agent.core import clock\nage = clock.wall() - at")
    assert uses_of_wall("from agent.core.clock import wall")
    assert not uses_of_wall("self._clock.wall()")


def test_nothing_that_runs_in_the_agent_measures_with_the_wall_clock():
    found = {
        str(path.relative_to(ROOT)): lines
        for path in ROOT.rglob("*.py")
        if path.relative_to(ROOT).parts[0] not in WALL_FOR_PEOPLE
        and (lines := uses_of_wall(path.read_text()))
    }
    assert not found, f"use clock.now() for durations, clock.unix() for labels: {found}"
    assert uses_of_wall((ROOT / "cli" / "status.py").read_text())
