"""A mistyped name is answered with the one that was meant."""

import doctest
import subprocess
import time
from pathlib import Path

import pytest

from agent.core import nearest as module
from agent.core.nearest import nearest, unknown

PACKAGE = Path(module.__file__).parent


def test_the_examples_hold():
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize(
    ("name", "known", "meant"),
    [
        ("hal", ["yard", "hall"], "hall"),
        ("HALL", ["yard", "hall"], "hall"),
        ("latency-p99", ["latency_p50", "latency_p99"], "latency_p99"),
        ("camera_fps_in", ["camera.fps_in", "host.cpu_ratio"], "camera.fps_in"),
        ("gate", ["yard", "hall"], None),
        ("hall", [], None),
        ("rtps", ["rtp", "rtsp", "rtsps"], "rtsp"),
    ],
)
def test_the_nearest_is_found_whatever_its_case_and_signs(name, known, meant):
    assert nearest(name, known) == meant


def test_a_name_of_any_length_is_compared_at_once():
    began = time.monotonic()
    assert nearest("h" * 10**6, [f"gate{i}" for i in range(1000)]) is None
    assert time.monotonic() - began < 2.0


def test_what_is_unknown_is_said_with_what_there_is():
    assert unknown("rule", "x", ["disk"], see="`vedette rules list`").endswith("see `vedette rules list`")
    assert unknown("rule", "disc", ["disk"], see="elsewhere").endswith("did you mean 'disk'?")
    assert unknown("camera", "x", []) == "there is no camera 'x'; there is none"


def test_names_from_outside_are_printable_and_long_lists_are_cut():
    told = unknown("camera", "\x1b[2J" * 999, [f"camera{number}" for number in range(99)])
    assert told.isprintable()
    assert len(told) < 500
    assert "and 87 more" in told


def test_there_is_one_place_that_looks_for_names():
    found = subprocess.run(
        ["grep", "-rl", "--include=*.py", "get_close_matches", PACKAGE],
        capture_output=True,
        text=True,
        check=True,
    )
    assert [Path(line).name for line in found.stdout.split()] == ["nearest.py"]
