"""A folder of images as a camera."""

import os
import threading
import time

import cv2
import numpy as np
import pytest

from agent.cameras.kinds.images import ImagesCamera, ImagesOptions
from agent.core.errors import CameraError, CameraFailure
from agent.core.image_file import read_image
from agent.core.untrusted import BadInput


def write(folder, name, value, size=(48, 32)):
    assert cv2.imwrite(str(folder / name), np.full((size[1], size[0], 3), value, np.uint8))


def written_long_ago(folder):
    """What cannot be read there is not being written."""
    for path in folder.iterdir():
        os.utime(path, (1e9, 1e9))


def camera(folder, **options):
    made = ImagesCamera("folder", ImagesOptions(path=str(folder), pace="fast", **options))
    made.open()
    return made


def values(made):
    frames = iter(made.read, None)
    return [round(frame.image.mean()) for frame in frames]


def test_images_come_in_the_order_of_their_paths(tmp_path):
    for name, value in (("b.png", 20), ("a.png", 10), ("c.jpg", 30)):
        write(tmp_path, name, value)
    (tmp_path / "notes.txt").write_text("no image")
    assert values(camera(tmp_path)) == [10, 20, 30]


def test_glob_chooses(tmp_path):
    (tmp_path / "deep").mkdir()
    write(tmp_path, "a.png", 10)
    write(tmp_path / "deep", "b.png", 20)
    assert values(camera(tmp_path, glob="**/*.png")) == [10, 20]
    assert values(camera(tmp_path, glob="*.png")) == [10]


def test_one_image_is_enough(tmp_path):
    write(tmp_path, "a.png", 10)
    assert values(camera(tmp_path / "a.png")) == [10]


def test_loop_begins_again_and_keeps_time(tmp_path):
    write(tmp_path, "a.png", 10)
    write(tmp_path, "b.png", 20)
    made = camera(tmp_path, loop=True, fps=4)
    frames = [made.read() for _ in range(5)]
    assert [int(frame.image.mean()) for frame in frames] == [10, 20, 10, 20, 10]
    assert [frame.media_seconds for frame in frames] == [0, 0.25, 0.5, 0.75, 1.0]
    assert [frame.index for frame in frames] == [0, 1, 2, 3, 4]


def test_damaged_images_are_left_out_and_counted(tmp_path):
    write(tmp_path, "a.png", 10)
    write(tmp_path, "d.jpg", 40, size=(640, 480))
    whole = np.random.default_rng(1).integers(0, 255, (300, 300, 3), dtype=np.uint8)
    for name in ("b.jpg", "c.png"):
        cv2.imwrite(str(tmp_path / name), whole)
        data = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(data[: len(data) // 2])
        with pytest.raises(BadInput, match="cut off"):
            read_image(tmp_path / name)
    (tmp_path / "e.jpg").write_bytes(b"")
    (tmp_path / "f.jpg").write_bytes(b"this is no picture")
    written_long_ago(tmp_path)
    made = camera(tmp_path)
    assert values(made) == [10, 40]
    assert made.take_failed() == 4
    assert made.take_failed() == 0


def test_an_image_of_a_kind_that_is_not_read_is_a_failure_with_its_mend_and_not_passed_over(tmp_path):
    write(tmp_path, "a.png", 10)
    (tmp_path / "b.HEIC").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(500))
    written_long_ago(tmp_path)
    made = camera(tmp_path)
    assert values(made) == [10]
    assert made.take_failed() == 1
    (tmp_path / "a.png").unlink()
    with pytest.raises(
        CameraError, match=r"the first: b.HEIC is HEIC, which is not read here; save it as JPEG"
    ):
        camera(tmp_path).read()


def test_avif_is_read_and_links_in_a_circle_end(tmp_path):
    write(tmp_path, "a.avif", 40)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "up").symlink_to(tmp_path)
    (tmp_path / "self").symlink_to(tmp_path / "self")
    (tmp_path / "c.png").symlink_to(tmp_path / "d.png")
    (tmp_path / "d.png").symlink_to(tmp_path / "c.png")
    for glob in ("*", "**/*", "**/*.avif"):
        assert values(camera(tmp_path, glob=glob))[0] == pytest.approx(40, abs=2)


def test_a_folder_of_nothing_but_damage_is_an_error(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"nonsense")
    written_long_ago(tmp_path)
    made = camera(tmp_path, loop=True)
    with pytest.raises(
        CameraError, match=r"none of the 1 images in .*; the first: a.jpg is damaged or not an image"
    ) as caught:
        made.read()
    assert caught.value.kind is CameraFailure.CODEC


@pytest.mark.parametrize(
    ("make", "said"),
    [(lambda p: p / "absent", "there is no folder"), (lambda p: p, "no image matches")],
)
def test_an_empty_or_absent_folder_says_so(tmp_path, make, said):
    with pytest.raises(CameraError, match=said) as caught:
        camera(make(tmp_path))
    assert caught.value.kind is CameraFailure.NOT_FOUND


def test_an_impossible_glob_says_so(tmp_path):
    with pytest.raises(CameraError, match="cannot list"):
        camera(tmp_path, glob="/absolute/*.png")


def test_pace_is_kept(tmp_path):
    for index in range(6):
        write(tmp_path, f"{index}.png", index)
    made = ImagesCamera("folder", ImagesOptions(path=str(tmp_path), fps=20))
    made.open()
    started = time.monotonic()
    assert len(values(made)) == 6
    assert time.monotonic() - started > 0.24


def test_close_ends_a_long_wait(tmp_path):
    write(tmp_path, "a.png", 1)
    write(tmp_path, "b.png", 1)
    made = ImagesCamera("folder", ImagesOptions(path=str(tmp_path), fps=0.01))
    made.open()
    made.read()
    threading.Timer(0.1, made.close).start()
    started = time.monotonic()
    with pytest.raises(CameraError, match="was closed"):
        made.read()
    assert time.monotonic() - started < 30


def test_an_image_too_large_is_left_out_with_its_reason(tmp_path):
    with (tmp_path / "huge.png").open("wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        file.truncate(2**30)
    written_long_ago(tmp_path)
    with pytest.raises(CameraError, match=r"the first: huge.png has 1,074 MB; at most 134 MB are read"):
        camera(tmp_path).read()
    write(tmp_path, "small.png", 70)
    made = camera(tmp_path)
    assert values(made) == [70]
    assert made.take_failed() == 1


def test_an_image_that_is_being_written_is_played_once_it_is_whole(tmp_path):
    """As cameras upload them by FTP."""
    write(tmp_path, "a.jpg", 10)
    whole = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(whole[:-40])
    write(tmp_path, "b.png", 20)
    made = camera(tmp_path)
    assert round(made.read().image.mean()) == 20
    threading.Timer(0.2, (tmp_path / "a.jpg").write_bytes, [whole]).start()
    assert values(made) == [10]
    assert made.take_failed() == 0


def test_what_other_systems_put_beside_images_is_none(tmp_path):
    write(tmp_path, "a.jfif.jpg", 10)
    (tmp_path / "a.jfif.jpg").rename(tmp_path / "a.jfif")
    for name in ("._a.jpg", "@eaDir/a.jpg", ".thumbnails/a.png", "below/.b.jpg"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"\0\5\x16\7")
    made = camera(tmp_path, glob="**/*")
    assert values(made) == [10]
    assert made.take_failed() == 0


def test_images_that_are_added_while_it_plays_are_played(tmp_path):
    write(tmp_path, "b.png", 20)
    made = camera(tmp_path)
    assert round(made.read().image.mean()) == 20
    write(tmp_path, "a.png", 10)
    write(tmp_path, "c.png", 30)
    assert values(made) == [10, 30]


def test_images_that_are_added_while_it_loops_come_in_their_order_from_the_next_round_on(tmp_path):
    write(tmp_path, "b.png", 20)
    made = camera(tmp_path, loop=True)
    made.read()
    write(tmp_path, "a.png", 10)
    assert [round(made.read().image.mean()) for _ in range(5)] == [10, 10, 20, 10, 20]


def test_images_that_are_removed_are_no_failures(tmp_path):
    for name, value in (("a.png", 10), ("b.png", 20), ("c.png", 30)):
        write(tmp_path, name, value)
    made = camera(tmp_path)
    made.read()
    (tmp_path / "b.png").unlink()
    assert values(made) == [30]
    assert made.take_failed() == 0


def test_a_folder_that_is_emptied_ends_well_and_a_loop_says_what_is_missing(tmp_path):
    for loop in (False, True):
        write(tmp_path, "a.png", 10)
        write(tmp_path, "b.png", 20)
        made = camera(tmp_path, loop=loop)
        made.read()
        for path in tmp_path.iterdir():
            path.unlink()
        if loop:
            with pytest.raises(CameraError, match="no image matches"):
                made.read()
        else:
            assert made.read() is None
        assert made.take_failed() == 0


@pytest.mark.parametrize("name", ["12:30:05.png", "a b%20c.png", "#1?.png", "[x].png", "ü.png"])
def test_odd_names_are_names(tmp_path, name):
    folder = tmp_path / "cam: 1"
    folder.mkdir()
    write(folder, name, 10)
    assert values(camera(folder)) == [10]


def test_a_config_may_name_a_folder_by_its_home_or_as_a_file_url(tmp_path, monkeypatch):
    from agent.app.kinds import KINDS
    from agent.config.load import parse

    monkeypatch.setenv("HOME", str(tmp_path))
    folder = tmp_path / "my images"
    folder.mkdir()
    write(folder, "a.png", 10)
    for path in ("~/my images", f"file://{tmp_path}/my%20images", "file://~/my%20images"):
        found = parse(f'[[cameras]]\nname = "a"\nkind = "images"\npath = "{path}"\n', KINDS).cameras[0]
        assert values(camera(found.options.path)) == [10]
