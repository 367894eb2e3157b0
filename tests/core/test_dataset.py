import os
import re

import cv2
import numpy as np
import pytest

from agent.core.dataset import images_of
from agent.core.errors import ConfigError


@pytest.fixture
def data(tmp_path):
    """An Ultralytics data set as tools export it."""
    for split in ("train", "valid"):
        folder = tmp_path / split / "images"
        folder.mkdir(parents=True)
        for number in range(6):
            cv2.imwrite(str(folder / f"{number}.jpg"), np.zeros((8, 8, 3), np.uint8))
        (tmp_path / split / "labels").mkdir()
        (tmp_path / split / "labels" / "0.txt").write_text("0 0.5 0.5 0.1 0.1")
    (tmp_path / "data.yaml").write_text("train: train/images\nval: valid/images\nnc: 1\nnames: [crate]\n")
    return tmp_path


def names(images):
    return [path.name for path in images.paths]


def test_a_folder_and_those_below_it(data):
    assert len(images_of(data).paths) == 12
    assert names(images_of(data / "train" / "images")) == [f"{number}.jpg" for number in range(6)]


def test_the_lists_of_a_data_yaml(data):
    assert {path.parent.parent.name for path in images_of(data / "data.yaml").paths} == {"train"}
    assert {path.parent.parent.name for path in images_of(data / "data.yaml", "val").paths} == {"valid"}


@pytest.mark.parametrize(
    "body",
    [
        "path: .\ntrain: train/images",
        "train: ../train/images",  # as exported sets say, though the folder lies beside the file
        "train: [train/images, valid/images]",
        "path: {root}\ntrain: train/images",
        "train: {root}/train/images",
        "train: list.txt",
        "train: [train/images/0.jpg, train/images/3.jpg]",
    ],
)
def test_paths_as_ultralytics_takes_them(data, body):
    (data / "list.txt").write_text("./train/images/0.jpg\ntrain/images/1.jpg\n\nnotes.md\n")
    (data / "data.yaml").write_text(body.format(root=data))
    found = images_of(data / "data.yaml")
    assert found.paths
    assert all(path.exists() for path in found.paths)


@pytest.mark.parametrize(
    "write",
    [
        lambda data: (data / "data.yaml").write_bytes("train: train/images\n".encode("utf-16")),
        lambda data: (data / "data.yaml").write_bytes(b"\xef\xbb\xbftrain: train/images\r\n"),
        lambda data: (data / "data.yaml").write_text("train: list.txt\n"),
        lambda data: (data / "data.yaml").write_text(f"path: {data}\ntrain: lists/list.txt\n"),
    ],
    ids=["UTF-16", "byte order mark", "slashes of Windows", "a list elsewhere"],
)
def test_files_as_other_systems_write_them(data, write):
    (data / "list.txt").write_text("".join(f".\\train\\images\\{number}.jpg\r\n" for number in range(6)))
    (data / "lists").mkdir()
    (data / "lists" / "list.txt").write_text("".join(f"train/images/{number}.jpg\n" for number in range(6)))
    write(data)
    found = images_of(data / "data.yaml")
    assert len(found.paths) == 6
    assert all(path.is_file() for path in found.paths)


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (
            lambda file: file.write_text("a" * 5000 + ".jpg\n"),
            r"list\.txt: cannot be read: File name too long \(.*aaa",
        ),
        (lambda file: file.mkdir(), "list"),
        (os.mkfifo, "list"),
        (lambda file: file.write_bytes(b"\0" * 50 + b".jpg\n" + bytes(range(256))), ""),
        (lambda file: file.write_bytes(b""), "no image"),
    ],
    ids=["a long line", "a folder", "a pipe", "no text", "nothing"],
)
def test_a_list_that_is_none_is_an_error_in_words_or_names_what_is_not_there(data, write, said, monkeypatch):
    monkeypatch.setattr("agent.core.plain_file.PIPE_SECONDS", 0.1)
    write(data / "list.txt")
    (data / "data.yaml").write_text("train: list.txt\n")
    try:
        found = images_of(data / "data.yaml").paths
    except ConfigError as error:
        assert re.search(said, str(error)), error
    else:
        assert not any(path.is_file() for path in found)


def test_validation_is_another_word_for_val(data):
    (data / "data.yaml").write_text("train: train/images\nvalidation: valid/images\n")
    assert len(images_of(data / "data.yaml", "val").paths) == 6


def test_links_are_followed_once_and_hidden_files_are_none_of_the_set(data, tmp_path_factory):
    other, folder = tmp_path_factory.mktemp("other"), data / "train" / "images"
    cv2.imwrite(str(other / "night.mpo.jpg"), np.zeros((8, 8, 3), np.uint8))
    os.symlink(other, folder / "more")
    os.symlink(folder, folder / "again")
    (folder / "._0.jpg").write_bytes(b"\0\5\x16\7")  # as macOS puts one beside each file of an archive
    (folder / ".trash").mkdir()
    (folder / ".trash" / "9.jpg").write_bytes(b"")
    assert names(images_of(folder)) == [*(f"{number}.jpg" for number in range(6)), "night.mpo.jpg"]


def test_a_path_relative_to_where_the_command_runs(data, monkeypatch, tmp_path):
    (data / "data.yaml").write_text("path: sets\ntrain: train/images\n")
    os.symlink(data, data / "sets")
    monkeypatch.chdir(tmp_path)
    assert len(images_of(data / "data.yaml").paths) == 6


def test_many_images_are_thinned_evenly(data):
    some = images_of(data, most=5)
    assert len(some.paths) == 4
    assert some.left_out == 8
    assert {path.parent.parent.name for path in some.paths} == {"train", "valid"}


@pytest.mark.parametrize(
    ("make", "split", "said"),
    [
        (lambda folder: folder / "nowhere", "train", "is not there"),
        (lambda folder: (folder / "empty").mkdir() or folder / "empty", "train", "there is no image in"),
        (lambda folder: folder / "train" / "images" / "0.jpg", "train", "neither a folder nor a data.yaml"),
        (
            lambda folder: folder / "data.yaml",
            "test",
            r"names no images under 'test'; expected --split train or val",
        ),
    ],
)
def test_what_is_no_data_set_says_what_was_expected(data, make, split, said):
    with pytest.raises(ConfigError, match=said):
        images_of(make(data), split)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("train: {", "cannot be read"),
        ("just text", "is not a data.yaml"),
        ("train: gone/images", r"train: 'gone/images' is not there; expected a folder"),
        ("nc: 1", "names no images under 'train'"),
    ],
)
def test_a_bad_data_yaml_names_file_and_key(data, text, said):
    (data / "data.yaml").write_text(text)
    with pytest.raises(ConfigError, match=said):
        images_of(data / "data.yaml")
