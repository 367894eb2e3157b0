"""`vedette snapshot`: the frame with boxes, of the running agent or of a source."""

import json
import re
import shutil
import socket
import subprocess
import sys

import cv2
import numpy as np
import pytest

from agent.app.control_socket import call, socket_path
from agent.cli.blocks import HALF, blocks
from agent.core.errors import VedetteError
from tests.app.test_agent import ROOT, vedette
from tests.waiting import wait_until


def wait_for_snapshot(state, agent, seconds=60):
    wait_until(
        lambda: call(state, "snapshot")["cameras"],
        seconds,
        agent.journal,
        alive=lambda: agent.process.poll() is None,
        passing=VedetteError,
        every=0.1,
    )


def test_the_running_agent_hands_over_what_it_saw_last(tmp_path, run_agent):
    state = tmp_path / "state"
    agent = run_agent("--source", "synthetic", "--state", state)
    wait_for_snapshot(state, agent)

    done = vedette("snapshot", "--state", state, "--out", tmp_path / "x.jpg")
    assert done.returncode == 0, done.stderr
    assert cv2.imread(str(tmp_path / "x.jpg")).shape == (360, 640, 3)
    assert re.search(r"x\.jpg: synthetic, .*, 640x360, (\d+ box|no box)", done.stdout)
    assert "\x1b" not in done.stdout, "nothing is drawn where stdout is no terminal"

    done = vedette("snapshot", "synthetc", "--state", state)
    assert done.returncode == 1
    assert "there is no snapshot of 'synthetc'; did you mean 'synthetic'?" in done.stderr

    with socket.socket(socket.AF_UNIX) as channel:  # a stranger's words at the socket
        channel.connect(str(socket_path(state)))
        channel.sendall(json.dumps({"command": "snapshot", "args": {"camera": [1]}}).encode() + b"\n")
        assert b'"ok": false' in channel.makefile("rb").readline()
    assert agent.stop() == 0


def test_a_source_needs_no_agent(tmp_path):
    done = vedette("snapshot", "--source", "synthetic", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    [file] = tmp_path.iterdir()
    assert file.name in done.stdout
    assert re.search(r"^(bicycle|person|truck|car) +0\.\d\d( +\d+){4}$", done.stdout, re.MULTILINE)


def test_a_file_is_read_at_the_second_asked_for_and_never_overwritten(tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in range(4):
        cv2.imwrite(str(folder / f"{number}.jpg"), np.full((96, 128, 3), 60 * number, np.uint8))
    done = vedette("snapshot", "--source", folder, "--at", "2", "--out", tmp_path / "x.jpg")
    assert done.returncode == 0, done.stderr
    assert "no boxes" in done.stdout
    assert "knows only drawn scenes" in done.stderr, (
        "which would puzzle whoever begins with a picture of their own"
    )
    assert cv2.imread(str(tmp_path / "x.jpg")).mean() == pytest.approx(120, abs=25)

    one = shutil.copy(folder / "3.jpg", tmp_path / "one.jpg")
    before = (tmp_path / "one.jpg").read_bytes()
    done = vedette("snapshot", "--source", one, "--out", one)
    assert done.returncode == 1
    assert "is the source itself" in done.stderr
    assert (tmp_path / "one.jpg").read_bytes() == before


@pytest.mark.parametrize(
    ("words", "expected", "code"),
    [
        (("--source", "nosuch.mp4"), "nosuch.mp4", 78),
        (("--source", "synthetic", "--out", "x.gif"), ".jpg", 1),
        (("--source", "synthetic", "--out", "/nosuch/x.jpg"), "/nosuch/x.jpg", 1),
        (("--source", "synthetic", "--model", "nosuch.onnx"), "nosuch.onnx", 1),
        (("--state", "nosuch"), "no agent answers", 1),
    ],
)
def test_what_cannot_be_done_is_one_line(words, expected, code):
    done = vedette("snapshot", *words)
    assert done.returncode == code
    assert expected in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_damaged_image_is_named_in_our_words_alone(tmp_path):
    (tmp_path / "x.tif").write_bytes(b"II*\0" + b"\xff" * 14)  # OpenCV has much to say of it
    done = vedette("snapshot", "--source", str(tmp_path))
    assert done.returncode == 1
    assert "x.tif" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("true_colour", [True, False])
def test_an_image_fits_the_terminal_in_colours(true_colour):
    image = np.zeros((480, 640, 3), np.uint8)
    image[:, :] = (0, 0, 255)
    text = blocks(image, 79, 12, true_colour=true_colour)
    rows = text.split("\n")
    assert len(rows) <= 12
    assert all(row.count(HALF) <= 79 and row.endswith("\x1b[0m") for row in rows)
    assert ("38;2;255;0;0" if true_colour else "38;5;196") in rows[0]
    assert blocks(image[:2, :2], 1, 1, true_colour=True).count(HALF) == 1


def test_on_a_terminal_it_is_drawn_too(tmp_path):
    script = (
        "import pty, sys; "
        f"sys.exit(pty.spawn([sys.executable, '-m', 'agent', 'snapshot', '--source', 'synthetic', '--out', {str(tmp_path / 'x.jpg')!r}]) >> 8)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
        env={"TERM": "xterm-256color", "PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "LANG": "C.UTF-8"},
    )
    assert HALF in done.stdout, done
    assert "x.jpg: synthetic" in done.stdout
