"""`vedette reference` without a running agent: on the files of a state directory."""

import json

import cv2
import pytest

from agent.__main__ import main
from agent.cameras.drawing.scene import Scene
from agent.references.images import LEAST_IMAGES
from agent.references.shelf import Shelf
from tests.references.conftest import NOON, recorded


@pytest.fixture(scope="module")
def made():
    return recorded(windows=20).make(NOON, final=True)


@pytest.fixture
def state(tmp_path, made):
    """A state directory with two references of one camera."""
    shelf = Shelf(tmp_path / "state")
    shelf.put("front", recorded(windows=12).make(NOON - 86400, final=True))
    shelf.put("front", made)
    return tmp_path / "state"


def vedette(capsys, *words):
    code = main([str(word) for word in words])
    told = capsys.readouterr()
    return code, told.out, told.err


def test_versions_are_listed_with_what_they_are(capsys, state, made):
    code, out, _ = vedette(capsys, "reference", "list", "--state", state)
    assert code == 0
    assert made.id in out
    assert "in force" in out
    assert "provisional" in out
    listed = json.loads(vedette(capsys, "reference", "--state", state, "list", "--json")[1])
    assert [version["current"] for version in listed["versions"]] == [False, True]


def test_an_empty_state_says_so(capsys, tmp_path):
    assert "there is no reference" in vedette(capsys, "reference", "list", "--state", tmp_path)[1]


def test_one_is_shown_as_tables_and_pictures(capsys, state, tmp_path):
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
    assert "there is no feature 'noize'; expected one of brightness," in err


def test_two_are_compared(capsys, state, made, tmp_path):
    old = Shelf(state).versions("front")[0].id
    code, out, _ = vedette(capsys, "reference", "diff", "front", f"front:{old[:6]}", "--state", state)
    assert code == 0
    assert "KS" in out
    file = tmp_path / "x.json"
    vedette(capsys, "reference", "export", "--camera", "front", "--out", file, "--state", state)
    out = vedette(capsys, "reference", "diff", file, "front", "--state", state)[1]
    assert out.count(made.id) == 2


def test_back_and_forth_and_away(capsys, state, made):
    old = Shelf(state).versions("front")[0].id
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
    assert Shelf(other).load("back").id == made.id


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "it is no JSON"),
        (b'{"format": "vedette-reference", "version": 1', "was cut off"),
        (b'{"a": 1}', "the file is something else"),
        (b"\x89PNG\xff\xfe", "it is no text"),
    ],
)
def test_a_foreign_or_truncated_file_is_named_and_changes_nothing(
    capsys, state, made, tmp_path, content, said
):
    file = tmp_path / "strange.json"
    file.write_bytes(content)
    code, _, err = vedette(capsys, "reference", "import", file, "--camera", "front", "--state", state)
    assert code == 1
    assert str(file) in err
    assert said in err
    assert Shelf(state).find("front").id == made.id


def test_recording_needs_a_running_agent_and_says_so(capsys, state):
    code, _, err = vedette(
        capsys, "reference", "record", "--camera", "front", "--for", "24h", "--state", state
    )
    assert code == 1
    assert "no agent answers at" in err


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
    assert "torn.png: damaged or no image" in out
    assert "is in force" in out
    stored = Shelf(state).load("dock")
    assert stored.made_by == "images"
    assert "made of images" in vedette(capsys, "reference", "show", "--camera", "dock", "--state", state)[1]


def test_an_empty_folder_says_what_was_expected(capsys, tmp_path):
    (tmp_path / "none").mkdir()
    code, _, err = vedette(capsys, "reference", "build", "--camera", "a", "--data", tmp_path / "none")
    assert code == 78
    assert "there is no image in" in err
    assert ".jpg" in err
