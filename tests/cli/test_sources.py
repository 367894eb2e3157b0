"""`--source` says by itself which kind of camera it is."""

import argparse
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.__main__ import main
from agent.cameras import CAMERAS
from agent.cli import run
from agent.cli.sources import DRAWN_ONLY, camera_of, settings_from
from agent.core.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]


def asked(**given):
    return argparse.Namespace(**{"fast": False, "loop": False, **given})


@pytest.mark.parametrize("given", [{}, {"fast": True}, {"loop": True}])
@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("synthetic", "synthetic"),
        ("/dev/video0", "v4l2"),
        ("rtsp://camera/stream", "stream"),
        ("video.mp4", "stream"),
        ("FOLDER", "images"),
    ],
)
def test_each_source_makes_a_camera_of_its_kind(tmp_path, source, kind, given):
    if source == "video.mp4":
        source = str(tmp_path / source)
        Path(source).touch()
    if source == "FOLDER":
        source = str(tmp_path)
        (tmp_path / "a.png").touch()
    settings = camera_of(source, asked(**given), 0)
    assert settings.kind == kind
    CAMERAS.load(kind)(settings.name, settings.options)


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def test_a_folder_is_played_and_an_image_of_impossible_size_left_out(tmp_path):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0))
    (pictures / "1.png").write_bytes(
        b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(90_001))) + chunk(b"IEND", b"")
    )
    cv2.imwrite(str(pictures / "2.png"), np.full((90, 160, 3), 90, np.uint8))
    words = [
        "run",
        "--source",
        pictures,
        "--fast",
        "--state",
        tmp_path / "state",
        "--broker",
        "mqtt://127.0.0.1:9",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "agent", *map(str, words)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    assert output.count("image cannot be read, skipped") == 1
    assert "camera source is at its end" in output


@pytest.mark.parametrize("source", ["nosuch.mp4", "nosuch/", "~nosuchuser/x.mp4"])
def test_a_source_that_is_not_there_fails_at_once(source):
    with pytest.raises(ConfigError, match="no such file"):
        camera_of(source, asked(), 0)


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("rtsp://S3cret:S3cretpw@10.0.0.9", "10-0-0"),
        ("rtsp://S3cret:S3cretpw@cam.local/live/main.sdp", "main"),
        ("rtsp://cam.local/live?user=S3cret&password=S3cretpw", "live"),
        ("rtsp://cam/user=S3cret&password=S3cretpw&channel=1", "cam"),
        ("rtsp://cam/user=S3cret_password=S3cretpw_channel=1_stream=0.sdp", "cam"),
        ("rtsp://10.0.0.9/S3cret:S3cretpw@ch1", "ch1"),
        ("http://cam/token/S3cret", "token"),
        ("rtsp://S3cret@cam", "cam"),
    ],
)
def test_a_cameras_name_holds_no_login(source, name):
    assert camera_of(source, asked(), 0).name == name


@pytest.mark.parametrize(
    "given",
    [["--source", "rtsp://S3cret:p/w@h/x"], ["--source", "synthetic", "--broker", "mqtt://S3cret:p/w@h"]],
)
def test_a_password_that_makes_the_user_a_host_is_refused_unseen(given):
    words = [sys.executable, "-m", "agent", "run", *given]
    ended = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 78
    assert ended.stderr.startswith(f"vedette: command line: {given[-2]}: can be read in two ways; expected ")
    assert "%2F" in ended.stderr
    assert "S3cret" not in ended.stdout + ended.stderr


def test_a_folder_without_images_is_reported_before_anything_starts(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(ConfigError, match=r"^command line: --source: no image matches"):
        camera_of(str(tmp_path), asked(), 0)


@pytest.mark.parametrize(
    ("source", "meant"), [("synthetik", "did you mean 'synthetic'"), ("rtps://h/x", "did you mean 'rtsp://'")]
)
def test_a_mistyped_source_is_answered_with_what_was_meant(source, meant):
    with pytest.raises(ConfigError, match=meant):
        camera_of(source, asked(), 0)


@pytest.mark.parametrize(
    ("words", "puzzling"),
    [
        (["--source", "synthetic"], False),
        (["--source", "rtsp://h/s"], True),
        (["--source", "rtsp://h/s", "--model", "m.onnx"], False),
    ],
)
def test_what_a_run_prints_at_first_fits_eighty_columns_and_warns_of_a_model_for_drawn_scenes(
    words, puzzling
):
    parser = argparse.ArgumentParser()
    run.add_arguments(parser)
    args = parser.parse_args([*words, "--state", "/var/lib/x"])
    lines = run.hints(args, settings_from(args)).splitlines()
    assert max(map(len, lines)) <= 80
    assert (DRAWN_ONLY in lines) is puzzling
    assert "  vedette alerts --state /var/lib/x   what fires and why" in lines


def test_a_snapshot_names_the_option_too(capsys):
    assert main(["snapshot", "--source", "rtps://h/x"]) == 78
    assert capsys.readouterr().err.startswith("vedette: command line: --source: has an unknown scheme; ")
