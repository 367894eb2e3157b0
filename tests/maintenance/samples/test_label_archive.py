"""A ZIP file of labels leads nowhere and fills nothing."""

import os
import random
import zipfile

import pytest

from agent.core.errors import ConfigError
from agent.maintenance.samples import label_archive
from agent.maintenance.samples.label_archive import unpacked


@pytest.fixture
def packed(tmp_path):
    def make(**files):
        with zipfile.ZipFile(tmp_path / "labels.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(name.replace("|", "/"), content)
        return tmp_path / "labels.zip"

    return make


def test_texts_come_out_and_images_do_not(packed):
    with unpacked(
        packed(**{"labels|a.txt": "0 1 1 1 1", "classes.txt": "car", "images|a.jpg": b"\xff"})
    ) as folder:
        found = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
        assert found == ["classes.txt", "labels/a.txt"]
    assert not folder.exists()


def test_what_systems_add_is_left_and_their_slashes_are_read(packed):
    files = {"set\\labels\\a.txt": "0 1 1 1 1", "__MACOSX/set/._a.txt": b"\xff", "set/._b.txt": b"\xff"}
    with unpacked(packed(**files)) as folder:
        found = [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()]
        assert found == ["set/labels/a.txt"]


@pytest.mark.parametrize("name", ["C:\\a.txt", "../a.txt", "a/../../b.txt", "/etc/a.txt", "..\\a.txt"])
def test_a_name_that_leads_out_is_refused(packed, name):
    with pytest.raises(ConfigError, match="leads out of it"), unpacked(packed(**{name: "x"})):
        pass


def test_folders_in_folders_without_end_are_refused(packed):
    with pytest.raises(ConfigError, match="levels deep"), unpacked(packed(**{"a/" * 1500 + "b.txt": "x"})):
        pass


def test_a_bomb_is_refused(packed, monkeypatch):
    monkeypatch.setattr(label_archive, "_LARGEST", 1 << 20)
    with pytest.raises(ConfigError, match="more than 1 MiB"), unpacked(packed(**{"a.txt": b"0" * (1 << 22)})):
        pass


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and no more", b"<html>"])
def test_what_is_no_archive_is_named(tmp_path, content):
    (tmp_path / "labels.zip").write_bytes(content)
    with pytest.raises(ConfigError, match=r"labels\.zip"), unpacked(tmp_path / "labels.zip"):
        pass


@pytest.mark.parametrize("packing", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_damaged_archive_is_unpacked_or_refused_in_words(tmp_path, packing):
    archive = tmp_path / "labels.zip"
    with zipfile.ZipFile(archive, "w", packing) as whole:
        whole.writestr("labels/a.txt", "0 0.5 0.5 0.1 0.1\n" * 50)
    content, chance, refused = archive.read_bytes(), random.Random(7), set()
    for _ in range(300):
        damaged = bytearray(content)
        for _ in range(chance.randint(1, 4)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        archive.write_bytes(damaged)
        try:
            with unpacked(archive):
                pass
        except ConfigError as error:
            assert str(error).startswith(f"{archive}: cannot be read: ")
            refused.add(str(error))
    assert len(refused) > 3
    assert not any("read: ;" in one for one in refused)


def test_what_is_wrong_with_a_file_in_it_names_the_archive(packed):
    archive = packed(**{"labels|a.txt": "x"})
    with pytest.raises(ConfigError) as failed, unpacked(archive) as folder:
        raise ConfigError("cannot be read", file=str(folder / "labels" / "a.txt"))
    assert str(failed.value).startswith(f"{archive}/labels/a.txt: ")


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
def test_a_pipe_or_a_device_is_not_read(tmp_path, make):
    make(tmp_path / "labels.zip")
    with pytest.raises(ConfigError, match="is not a plain file"), unpacked(tmp_path / "labels.zip"):
        pass
