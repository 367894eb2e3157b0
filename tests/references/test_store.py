import dataclasses
import os
import stat
from pathlib import Path

import pytest

from agent.core.errors import ReferenceMismatch
from agent.references.store import CURRENT, JUDGE, KEEP_VERSIONS, Shelf, read_text
from tests.references.conftest import NOON, recorded


@pytest.fixture
def shelf(tmp_path):
    return Shelf(tmp_path)


def at(stored, seconds):
    origin = dataclasses.replace(stored.reference.origin, made_at=NOON + seconds)
    return dataclasses.replace(stored, reference=dataclasses.replace(stored.reference, origin=origin))


def test_the_newest_is_in_force_and_the_older_ones_stay(shelf, stored):
    first, second = shelf.put("front", at(stored, 0)), shelf.put("front", at(stored, 60))
    assert [version.current for version in shelf.versions("front")] == [False, True]
    assert shelf.load("front").id == second.id
    assert shelf.load("front", first.id[:4]).id == first.id
    assert shelf.cameras() == ["front"]


def test_rolling_back_and_forth_deletes_nothing(shelf, stored):
    versions = [shelf.put("front", at(stored, seconds)) for seconds in (0, 60, 120)]
    assert shelf.roll_back("front").id == versions[1].id
    assert shelf.roll_back("front").id == versions[0].id
    with pytest.raises(ReferenceMismatch, match="is the oldest reference there is"):
        shelf.roll_back("front")
    assert shelf.roll_back("front", versions[2].id).current
    assert len(shelf.versions("front")) == 3


def test_removing_what_is_in_force_puts_the_newest_other_in_force(shelf, stored):
    first, second = shelf.put("front", at(stored, 0)), shelf.put("front", at(stored, 60))
    shelf.remove("front", second.id)
    assert shelf.find("front").id == first.id
    shelf.remove("front", first.id)
    with pytest.raises(ReferenceMismatch, match=r"has no reference; `vedette reference record"):
        shelf.find("front")


def test_only_so_many_versions_are_kept_and_never_is_the_current_one_dropped(shelf, stored):
    first = shelf.put("front", at(stored, 0))
    for number in range(1, KEEP_VERSIONS + 4):
        shelf.put("front", at(stored, 60 * number))
        shelf.roll_back("front", first.id)
    names = [version.id for version in shelf.versions("front")]
    assert len(names) <= KEEP_VERSIONS + 1
    assert shelf.find("front").id == first.id


def test_the_beginning_of_a_recording_is_replaced_by_what_follows(shelf, stored):
    first = shelf.put("front", at(stored, 0))
    shelf.put("front", at(stored, 60), replaces=first.id)
    assert len(shelf.versions("front")) == 1


def test_a_lost_or_foolish_pointer_falls_back_to_the_newest(shelf, stored, tmp_path):
    shelf.put("front", at(stored, 0))
    newest = shelf.put("front", at(stored, 60))
    for text in (b"", b"gone.json", b"\xff\xfe"):
        (tmp_path / "references" / "front" / CURRENT).write_bytes(text)
        assert shelf.find("front").id == newest.id


def test_a_damaged_file_is_named_and_the_others_are_not_hurt(shelf, stored, tmp_path):
    good = shelf.put("front", at(stored, 0))
    bad = shelf.put("front", at(stored, 60))
    path = tmp_path / "references" / "front" / bad.name
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ReferenceMismatch, match=f"{bad.name}: not a reference"):
        shelf.load("front")
    assert shelf.load("front", good.id).id == good.id
    path.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(ReferenceMismatch, match="it is no text"):
        shelf.load("front")


def test_a_file_that_is_far_too_large_is_not_even_read(shelf, stored, tmp_path):
    version = shelf.put("front", stored)
    with (tmp_path / "references" / "front" / version.name).open("r+b") as file:
        file.truncate(1 << 30)
    with pytest.raises(ReferenceMismatch, match="too large to be a reference"):
        shelf.load("front")


@pytest.mark.parametrize("name", ["", "../etc", "a/b", ".hidden", "x" * 64])
def test_no_name_leads_out_of_the_folder(shelf, name):
    with pytest.raises(ReferenceMismatch, match="is no camera's name"):
        shelf.versions(name)


def test_an_ambiguous_or_unknown_id_lists_what_there_is(shelf, stored):
    first, second = shelf.put("front", at(stored, 0)), shelf.put("front", at(stored, 60))
    with pytest.raises(ReferenceMismatch, match=f"no reference 'zz'; there are {first.id}, {second.id}"):
        shelf.find("front", "zz")


def test_files_are_for_the_service_alone(shelf, stored, tmp_path):
    version = shelf.put("front", stored)
    path = tmp_path / "references" / "front" / version.name
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.stat().st_size < 600_000


def test_a_link_in_the_place_of_a_folder_is_refused_by_name_and_not_followed(shelf, stored, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "references").mkdir()
    (tmp_path / "references" / "front").symlink_to(outside)
    for work in (
        lambda: shelf.put("front", stored),
        lambda: shelf.versions("front"),
        lambda: shelf.read("front", JUDGE),
    ):
        with pytest.raises(ReferenceMismatch, match=r"references/front is a link.*remove it"):
            work()
    assert list(outside.iterdir()) == []
    assert shelf.cameras() == []
    (tmp_path / "references" / "front").unlink()
    (tmp_path / "references").rmdir()
    (tmp_path / "references").symlink_to(outside)
    with pytest.raises(ReferenceMismatch, match="references is a link"):
        shelf.put("front", stored)
    assert list(outside.iterdir()) == []


def test_links_in_the_place_of_files_are_no_versions_and_are_replaced_not_followed(shelf, stored, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("keep")
    folder = tmp_path / "references" / "front"
    folder.mkdir(parents=True)
    (folder / "20260101T000000Z-aaaaaaaaaaaa.json").symlink_to(secret)
    (folder / "99999999T999999Z-bbbbbbbbbbbb.json").write_text("{}")
    for name in (CURRENT, JUDGE):
        (folder / name).symlink_to(secret)
    assert shelf.versions("front") == []
    with pytest.raises(ReferenceMismatch, match="is a link"):
        shelf.read("front", JUDGE)
    version = shelf.put("front", stored)
    shelf.write("front", JUDGE, "{}")
    assert shelf.find("front").id == version.id
    assert secret.read_text() == "keep"


def test_what_is_no_plain_file_is_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path, words in (
        (tmp_path / "pipe", "no plain file"),
        (Path("/dev/zero"), "no plain file"),
        (tmp_path, "a folder"),
    ):
        with pytest.raises(ReferenceMismatch, match=words):
            read_text(path)


def test_a_camera_that_was_misspelt_is_told_the_nearest(shelf, stored):
    shelf.put("hall", stored)
    with pytest.raises(ReferenceMismatch, match="no reference of camera 'hal'; did you mean 'hall'"):
        shelf.find("hal")


def test_what_lies_beside_can_be_absent(shelf):
    assert shelf.read("front", JUDGE) is None
    shelf.delete("front", JUDGE)
    shelf.write("front", JUDGE, "{}")
    assert shelf.read("front", JUDGE) == "{}"


def test_a_recording_makes_the_same_reference_before_and_after_the_shelf(shelf):
    made = recorded(windows=12).make(NOON, final=True)
    shelf.put("front", made)
    assert shelf.load("front").id == made.id
