"""`vedette reference` without a running agent: on the files of a state directory."""

import dataclasses
import json
import os
import shutil
import tempfile
import threading
from pathlib import Path

import cv2
import pytest

from agent.__main__ import main
from agent.app.control_socket import ControlServer
from agent.cameras.kinds.synthetic.drawing.scene import Scene
from agent.core import user
from agent.references.offline.images import LEAST_IMAGES
from agent.references.store import ReferenceStore
from agent.references.stored import Accepted
from tests.references.conftest import NOON, recorded
from tests.waiting import wait_until


@pytest.fixture(scope="module")
def made():
    return recorded(windows=20).make(NOON, final=True)


@pytest.fixture
def state(tmp_path, made):
    """A state directory with two references of one camera."""
    store = ReferenceStore(tmp_path / "state")
    store.put("front", recorded(windows=12).make(NOON - 86400, final=True))
    store.put("front", made)
    return tmp_path / "state"


def vedette(capsys, *words):
    code = main([str(word) for word in words])
    output = capsys.readouterr()
    return code, output.out, output.err


def test_versions_are_listed_with_what_they_are(capsys, state, made):
    code, out, _ = vedette(capsys, "reference", "list", "--state", state)
    assert code == 0
    assert made.id in out
    assert "in force" in out
    assert "provisional" in out
    listed = json.loads(vedette(capsys, "reference", "--state", state, "list", "--json")[1])
    assert [version["current"] for version in listed["versions"]] == [False, True]


def test_an_empty_state_reports_it(capsys, tmp_path):
    assert "there is no reference" in vedette(capsys, "reference", "list", "--state", tmp_path)[1]


def test_one_is_shown_as_tables_and_charts(capsys, state, tmp_path):
    code, out, _ = vedette(
        capsys, "reference", "show", "--camera", "front", "--state", state, "--png", tmp_path / "p"
    )
    assert code == 0
    assert "20 min of windows in 1 of 24 hours, limits assumed; provisional" in out
    assert "brightness" in out
    assert (tmp_path / "p" / "brightness.png").stat().st_size > 1000
    out = vedette(capsys, "reference", "show", "--camera", "front", "--state", state, "--feature", "noise")[1]
    assert "12-13" in out
    code, _, err = vedette(
        capsys, "reference", "show", "--camera", "front", "--state", state, "--feature", "noize"
    )
    assert code == 1
    assert "there is no feature 'noize'; did you mean 'noise'?" in err


def test_two_are_compared(capsys, state, made, tmp_path):
    old = ReferenceStore(state).versions("front")[0].id
    code, out, _ = vedette(capsys, "reference", "diff", "front", f"front:{old[:6]}", "--state", state)
    assert code == 0
    assert "KS" in out
    file = tmp_path / "x.json"
    vedette(capsys, "reference", "export", "--camera", "front", "--out", file, "--state", state)
    out = vedette(capsys, "reference", "diff", file, "front", "--state", state)[1]
    assert out.count(made.id) == 2


def test_back_and_forth_and_away(capsys, state, made):
    old = ReferenceStore(state).versions("front")[0].id
    assert old in vedette(capsys, "reference", "rollback", "--camera", "front", "--state", state)[1]
    again = vedette(
        capsys, "reference", "rollback", "--camera", "front", "--id", made.id[:5], "--state", state
    )
    assert made.id in again[1]
    assert vedette(capsys, "reference", "remove", "--camera", "front", "--id", old, "--state", state)[0] == 0
    code, _, err = vedette(capsys, "reference", "rollback", "--camera", "front", "--state", state)
    assert code == 1
    assert "is the oldest reference there is" in err


def test_from_one_box_to_another(capsys, state, made, tmp_path):
    file, other = tmp_path / "front.json", tmp_path / "other"
    vedette(capsys, "reference", "export", "--camera", "front", "--out", file, "--state", state)
    code, out, _ = vedette(capsys, "reference", "import", file, "--camera", "back", "--state", other)
    assert code == 0
    assert f"camera back: reference {made.id} is in force" in out
    assert ReferenceStore(other).load("back").id == made.id


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "it is not JSON"),
        (b'{"format": "vedette-reference", "version": 1', "was cut off"),
        (b'{"a": 1}', "the file is something else"),
        (b"\x89PNG\xff\xfe", "it is not text"),
    ],
)
def test_a_foreign_or_truncated_file_is_named_and_changes_nothing(
    capsys, state, made, tmp_path, content, expected
):
    file = tmp_path / "strange.json"
    file.write_bytes(content)
    code, _, err = vedette(capsys, "reference", "import", file, "--camera", "front", "--state", state)
    assert code == 1
    assert str(file) in err
    assert expected in err
    assert ReferenceStore(state).find("front").id == made.id


def test_recording_needs_a_running_agent_and_reports_it(capsys, state):
    code, _, err = vedette(
        capsys, "reference", "record", "--camera", "front", "--for", "24h", "--state", state
    )
    assert code == 1
    assert "no agent answers at" in err


@pytest.mark.parametrize(
    ("camera_state", "said"),
    [("online", []), ("down", ["it is down (connection refused): only sound frames are recorded"])],
)
def test_recording_a_camera_that_gives_no_sound_frames_says_so(capsys, state, camera_state, said):
    recording = {"made_by": "asked", "covered": 0.0, "length": 86400.0, "windows": 0}
    cameras = [
        {"camera": "other", "state": "black", "reason": "100% of the frame is dark"},
        {"camera": "front", "state": camera_state, "reason": "connection refused" if said else ""},
    ]
    server = ControlServer(
        state,
        {
            "reference_record": lambda _: {"cameras": [{"camera": "front", "recording": recording}]},
            "status": lambda _: {"cameras": cameras},
        },
    )
    stop = threading.Event()
    thread = threading.Thread(target=server.run, args=(stop,), daemon=True)
    thread.start()
    wait_until(server.path.exists)
    code, out, _ = vedette(
        capsys, "reference", "record", "--camera", "front", "--for", "24h", "--state", state
    )
    stop.set()
    thread.join(5)
    assert code == 0
    first, *between, last = out.splitlines()
    assert first == "camera front: recording as asked, 0 s of 1 d (0 windows)"
    assert between == said
    assert "shows the progress" in last


def test_a_reference_of_images_is_built_and_put_in_force(capsys, tmp_path):
    images, state = tmp_path / "images", tmp_path / "state"
    images.mkdir()
    scene = Scene("warehouse", 3, 320, 192)
    for number in range(LEAST_IMAGES + 2):
        cv2.imwrite(str(images / f"{number}.png"), scene.draw(number * 2.0, 12.0, number).image)
    (images / "torn.png").write_bytes(b"\x89PNG")
    (tmp_path / "data.yaml").write_text("train: images\nnames: [crate]\n")
    code, out, err = vedette(
        capsys, "reference", "build", "--camera", "dock", "--data", tmp_path / "data.yaml", "--state", state
    )
    assert code == 0, err
    assert f"made of {LEAST_IMAGES + 2} images by" in out
    assert "torn.png: is cut off" in out
    assert "is in force" in out
    stored = ReferenceStore(state).load("dock")
    assert stored.made_by == "images"
    assert "made of images" in vedette(capsys, "reference", "show", "--camera", "dock", "--state", state)[1]


def test_an_empty_folder_reports_what_was_expected(capsys, tmp_path):
    (tmp_path / "none").mkdir()
    code, _, err = vedette(capsys, "reference", "build", "--camera", "a", "--data", tmp_path / "none")
    assert code == 78
    assert "there is no image in" in err
    assert ".jpg" in err


def test_an_export_replaces_a_reference_and_nothing_else(capsys, state, tmp_path):
    def export(out, *more):
        return vedette(
            capsys, "reference", "export", "--camera", "front", "--out", out, "--state", state, *more
        )

    out = tmp_path / "front.json"
    assert export(out)[0] == export(out)[0] == 0
    out.write_text("my notes")
    code, _, err = export(out)
    assert code == 1
    assert f"{out} is there already and something else: give another path, or replace it with --force" in err
    assert out.read_text() == "my notes"
    assert export(out, "--force")[0] == 0
    (tmp_path / "link").symlink_to(tmp_path / "precious")
    for path, words in (
        (tmp_path, "is a folder"),
        ("/dev/null", "is not a plain file"),
        (tmp_path / "link", "is a link"),
        ("/proc/x", "cannot be written"),
        (out / "x", "cannot be written"),
    ):
        code, _, err = export(path)
        assert code == 1
        assert words in err
        assert len(err.splitlines()) == 1
    assert not (tmp_path / "precious").exists()


def test_a_place_that_is_taken_is_reported_before_images_are_read(capsys, tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "taken").write_text("mine")
    words = (
        "reference",
        "build",
        "--camera",
        "front",
        "--data",
        tmp_path / "images",
        "--out",
        tmp_path / "taken",
    )
    code, _, err = vedette(capsys, *words)
    assert code == 1
    assert "is there already" in err


CONFIG = """
state_directory = "{state}"
[[cameras]]
name = "hall"
kind = "synthetic"
"""


@pytest.mark.parametrize("action", ["import", "build"])
def test_a_camera_that_the_config_does_not_have_is_refused_with_the_nearest(capsys, state, tmp_path, action):
    config, file = tmp_path / "v.toml", tmp_path / "x.json"
    config.write_text(CONFIG.format(state=state))
    vedette(capsys, "reference", "export", "--camera", "front", "--out", file, "--state", state)
    what = (file,) if action == "import" else ("--data", tmp_path)
    words = ("reference", action, *what, "--camera")
    code, _, err = vedette(capsys, *words, "hal", "--config", config)
    assert code == 1
    assert "there is no camera 'hal'; did you mean 'hall'?" in err
    assert ReferenceStore(state).cameras() == ["front"]
    if action == "import":
        assert vedette(capsys, *words, "hall", "--config", config)[0] == 0
        assert ReferenceStore(state).cameras() == ["front", "hall"]


def test_every_action_knows_the_cameras_of_the_config_and_those_that_were_removed_from_it(
    capsys, state, tmp_path
):
    config = tmp_path / "v.toml"
    config.write_text(CONFIG.format(state=state))
    for words in (
        ("record", "--for", "1h"),
        ("list",),
        ("show",),
        ("export", "--out", "x"),
        ("rollback",),
        ("remove", "--id", "1"),
    ):
        code, _, err = vedette(capsys, "reference", *words, "--camera", "hal", "--config", config)
        assert code == 1
        assert "there is no camera 'hal'; did you mean 'hall'?" in err
    assert vedette(capsys, "reference", "show", "--camera", "front", "--config", config)[0] == 0
    code, _, err = vedette(capsys, "reference", "show", "--camera", "hall", "--config", config)
    assert (
        "camera 'hall' has no reference; `vedette reference record --camera hall --for 24h` makes one" in err
    )


def test_misspelt_names_are_answered_with_the_nearest(capsys, state):
    for words in (("show",), ("rollback",), ("remove", "--id", "1")):
        code, _, err = vedette(capsys, "reference", *words, "--camera", "frnt", "--state", state)
        assert code == 1
        assert "did you mean 'front'?" in err


def test_root_imports_through_no_link(capsys, state, tmp_path):
    file, outside = tmp_path / "x.json", tmp_path / "outside"
    vedette(capsys, "reference", "export", "--camera", "front", "--out", file, "--state", state)
    outside.mkdir()
    before = outside.stat()
    (state / "references" / "back").symlink_to(outside)
    code, _, err = vedette(capsys, "reference", "import", file, "--camera", "back", "--state", state)
    assert code == 1
    assert "back is a link, and references are kept in folders: remove it" in err
    assert list(outside.iterdir()) == []
    assert (outside.stat().st_uid, outside.stat().st_mode) == (before.st_uid, before.st_mode)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as somebody else")
def test_what_root_imports_belongs_to_whom_the_state_belongs_to_and_goes_no_further(capsys, state, tmp_path):
    file = tmp_path / "x.json"
    vedette(capsys, "reference", "export", "--camera", "front", "--out", file, "--state", state)
    theirs = Path(tempfile.mkdtemp(prefix="vedette-test-"))
    try:
        os.chown(theirs, 12345, 12345)
        words = ("reference", "import", file, "--state", theirs, "--camera")
        assert vedette(capsys, *words, "front")[0] == 0
        made = list(theirs.rglob("*"))
        assert len(made) == 5
        assert {path.lstat().st_uid for path in made} == {12345}
        # a folder that only root may write to, reached by the state directory's owner through a link
        for path in sorted(made, reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        (tmp_path / "root").mkdir(mode=0o700)
        (theirs / "references").symlink_to(tmp_path / "root")
        code, _, err = vedette(capsys, *words, "front")
        assert code == 1
        assert len(err.splitlines()) == 1
        assert list((tmp_path / "root").iterdir()) == []
    finally:
        shutil.rmtree(theirs)


def test_images_that_are_none_are_left_out(capsys, tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    os.mkfifo(folder / "pipe.jpg")
    (folder / "list.txt").write_text("pipe.jpg\n/dev/zero.png\n" + "\0.png\n")
    (folder / "bomb.png").write_bytes(
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\xff\xff\xff\0\xff\xff\xff\x08\2\0\0\0" + b"\0" * 64
    )
    for data in (folder, folder / "list.txt"):
        code, _, err = vedette(capsys, "reference", "build", "--camera", "front", "--data", data)
        assert code == 1
        assert "images are too few for a reference" in err


def test_an_acceptance_is_listed_undone_and_remembered_with_who(capsys, state, made):
    store = ReferenceStore(state)
    about = Accepted(base=made.id, since=NOON, until=NOON + 600, windows=10, by="anna", why="", at=NOON + 660)
    origin = dataclasses.replace(made.reference.origin, made_at=NOON + 660)
    reference = dataclasses.replace(made.reference, origin=origin)
    store.put("front", dataclasses.replace(made, reference=reference, accepted=about))
    assert f"by anna, of {made.id}" in vedette(capsys, "reference", "list", "--state", state)[1]
    code, out, _ = vedette(capsys, "reference", "undo", "--camera", "front", "--why", "no", "--state", state)
    assert (code, f"reference {made.id} is in force" in out) == (0, True)
    listed = vedette(capsys, "reference", "history", "--camera", "front", "--state", state)[1]
    assert f"undone by {user.name()} (no): reference {made.id}" in listed
    code, _, err = vedette(capsys, "reference", "undo", "--camera", "front", "--state", state)
    assert code != 0
    assert "nothing was accepted" in err


def test_accepting_needs_a_running_agent(capsys, state):
    code, _, err = vedette(capsys, "reference", "accept", "--camera", "front", "--state", state)
    assert code != 0
    assert "no agent" in err.lower()
