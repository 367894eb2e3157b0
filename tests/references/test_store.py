import dataclasses
import os
import stat
from pathlib import Path

import pytest

from agent.core.errors import ReferenceMismatch
from agent.references.store import CURRENT, JUDGE, KEEP_VERSIONS, ReferenceStore, read_text
from tests.references.conftest import NOON, Source, recorded


@pytest.fixture
def store(tmp_path):
    return ReferenceStore(tmp_path)


def at(stored, seconds):
    origin = dataclasses.replace(stored.reference.origin, made_at=NOON + seconds)
    return dataclasses.replace(stored, reference=dataclasses.replace(stored.reference, origin=origin))


def test_the_newest_is_in_force_and_the_older_ones_stay(store, stored):
    first, second = store.put("front", at(stored, 0)), store.put("front", at(stored, 60))
    assert [version.current for version in store.versions("front")] == [False, True]
    assert store.load("front").id == second.id
    assert store.load("front", first.id[:4]).id == first.id
    assert store.cameras() == ["front"]


def test_rolling_back_and_forth_deletes_nothing(store, stored):
    versions = [store.put("front", at(stored, seconds)) for seconds in (0, 60, 120)]
    assert store.roll_back("front").id == versions[1].id
    assert store.roll_back("front").id == versions[0].id
    with pytest.raises(ReferenceMismatch, match="is the oldest reference there is"):
        store.roll_back("front")
    assert store.roll_back("front", versions[2].id).current
    assert len(store.versions("front")) == 3


def test_removing_what_is_in_force_puts_the_newest_other_in_force(store, stored):
    first, second = store.put("front", at(stored, 0)), store.put("front", at(stored, 60))
    store.remove("front", second.id)
    assert store.find("front").id == first.id
    store.remove("front", first.id)
    with pytest.raises(ReferenceMismatch, match=r"has no reference; `vedette reference record"):
        store.find("front")


def test_only_so_many_versions_are_kept_and_never_is_the_current_one_dropped(store, stored):
    first = store.put("front", at(stored, 0))
    for number in range(1, KEEP_VERSIONS + 4):
        store.put("front", at(stored, 60 * number))
        store.roll_back("front", first.id)
    names = [version.id for version in store.versions("front")]
    assert len(names) <= KEEP_VERSIONS + 1
    assert store.find("front").id == first.id


def test_the_beginning_of_a_recording_is_replaced_by_what_follows(store, stored):
    first = store.put("front", at(stored, 0))
    store.put("front", at(stored, 60), replaces=first.id)
    assert len(store.versions("front")) == 1


def test_a_lost_or_foolish_pointer_falls_back_to_the_newest(store, stored, tmp_path):
    store.put("front", at(stored, 0))
    newest = store.put("front", at(stored, 60))
    for text in (b"", b"gone.json", b"\xff\xfe"):
        (tmp_path / "references" / "front" / CURRENT).write_bytes(text)
        assert store.find("front").id == newest.id


def test_a_damaged_file_is_named_and_the_others_are_not_hurt(store, stored, tmp_path):
    good = store.put("front", at(stored, 0))
    bad = store.put("front", at(stored, 60))
    path = tmp_path / "references" / "front" / bad.name
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ReferenceMismatch, match=f"{bad.name}: not a reference"):
        store.load("front")
    assert store.load("front", good.id).id == good.id
    path.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(ReferenceMismatch, match="it is not text"):
        store.load("front")


def test_a_file_that_is_far_too_large_is_not_even_read(store, stored, tmp_path):
    version = store.put("front", stored)
    with (tmp_path / "references" / "front" / version.name).open("r+b") as file:
        file.truncate(1 << 30)
    with pytest.raises(ReferenceMismatch, match="too large to be a reference"):
        store.load("front")


@pytest.mark.parametrize("name", ["", "../etc", "a/b", ".hidden", "x" * 64])
def test_no_name_leads_out_of_the_folder(store, name):
    with pytest.raises(ReferenceMismatch, match="is not a camera's name"):
        store.versions(name)


def test_an_ambiguous_or_unknown_id_lists_what_there_is(store, stored):
    first, second = store.put("front", at(stored, 0)), store.put("front", at(stored, 60))
    with pytest.raises(ReferenceMismatch, match=f"no reference 'zz'; there are {first.id}, {second.id}"):
        store.find("front", "zz")


def test_files_are_for_the_service_alone(store, stored, tmp_path):
    version = store.put("front", stored)
    path = tmp_path / "references" / "front" / version.name
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.stat().st_size < 600_000


def test_a_link_in_the_place_of_a_folder_is_refused_by_name_and_not_followed(store, stored, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "references").mkdir()
    (tmp_path / "references" / "front").symlink_to(outside)
    for work in (
        lambda: store.put("front", stored),
        lambda: store.versions("front"),
        lambda: store.read("front", JUDGE),
    ):
        with pytest.raises(ReferenceMismatch, match=r"references/front is a link.*remove it"):
            work()
    assert list(outside.iterdir()) == []
    assert store.cameras() == []
    (tmp_path / "references" / "front").unlink()
    (tmp_path / "references").rmdir()
    (tmp_path / "references").symlink_to(outside)
    with pytest.raises(ReferenceMismatch, match="references is a link"):
        store.put("front", stored)
    assert list(outside.iterdir()) == []


def test_links_in_the_place_of_files_are_no_versions_and_are_replaced_not_followed(store, stored, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("keep")
    folder = tmp_path / "references" / "front"
    folder.mkdir(parents=True)
    (folder / "20260101T000000Z-aaaaaaaaaaaa.json").symlink_to(secret)
    (folder / "99999999T999999Z-bbbbbbbbbbbb.json").write_text("{}")
    for name in (CURRENT, JUDGE):
        (folder / name).symlink_to(secret)
    assert store.versions("front") == []
    with pytest.raises(ReferenceMismatch, match="is a link"):
        store.read("front", JUDGE)
    version = store.put("front", stored)
    store.write("front", JUDGE, "{}")
    assert store.find("front").id == version.id
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


def test_a_camera_that_was_misspelt_is_told_the_nearest(store, stored):
    store.put("hall", stored)
    with pytest.raises(ReferenceMismatch, match="no reference of camera 'hal'; did you mean 'hall'"):
        store.find("hal")


def test_what_lies_beside_can_be_absent(store):
    assert store.read("front", JUDGE) is None
    store.delete("front", JUDGE)
    store.write("front", JUDGE, "{}")
    assert store.read("front", JUDGE) == "{}"


def test_a_recording_makes_the_same_reference_before_and_after_the_store(store):
    made = recorded(windows=12).make(NOON, final=True)
    store.put("front", made)
    assert store.load("front").id == made.id


def test_a_reference_has_the_same_id_before_and_after_the_store_whatever_hour_it_began_at(store):
    """What is accepted into it, or undone, finds it by that."""
    source = Source(start=NOON + 11.9 * 3600)
    made = recorded(windows=12, source=source).make(NOON + 86400, final=True)
    assert list(made.reference.hours) == [23, 0]
    store.put("front", made)
    assert store.load("front").id == made.id
    version = store.find("front")
    path = store.folder("front") / version.name
    path.rename(path.with_name(path.name.replace(version.id, "0" * 12)))  # as an earlier version named it
    assert store.find("front", made.id).id == "0" * 12


def test_what_is_written_again_and_again_is_packed_and_that_of_an_earlier_version_is_read(store, tmp_path):
    plain = store.folder("front") / JUDGE
    plain.parent.mkdir(parents=True)
    plain.write_text("of an earlier version")
    assert store.read("front", JUDGE) == "of an earlier version"
    store.write("front", JUDGE, "0.123456789, " * 4000)
    assert store.read("front", JUDGE) == "0.123456789, " * 4000
    files = list(plain.parent.iterdir())
    assert [path.name for path in files] == [f"{JUDGE}.gz"] and files[0].stat().st_size < 2000
    plain.write_text("of an earlier version, put back by a rollback")
    assert store.read("front", JUDGE) == "of an earlier version, put back by a rollback"
    store.delete("front", JUDGE)
    assert store.read("front", JUDGE) is None


@pytest.mark.parametrize("cut", [1, 10, 30, -1])
def test_a_packed_file_that_was_cut_off_is_named(store, cut):
    store.write("front", JUDGE, "0.25, " * 4000)
    packed = store.folder("front") / f"{JUDGE}.gz"
    packed.write_bytes(packed.read_bytes()[:cut])
    with pytest.raises(ReferenceMismatch, match=r"judge\.json\.gz: damaged"):
        store.read("front", JUDGE)
