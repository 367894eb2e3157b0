"""Kept frames: bounded, spread over the recording, and gone where another area is hidden."""

import stat

import numpy as np
import pytest

from agent.drift.diagnosis.learn import LEAST_FRAMES
from agent.references.frame_store import LARGEST_BYTES, MOST_FRAMES, FrameStore, NormalSpan, mark_in, mark_of
from agent.references.store import SIGNATURES, ReferenceStore

NOON = 1_790_000_000.0
WHOLE = NormalSpan(0.0, 1e12)


def image(level: int, shape: tuple[int, int] = (64, 96)) -> np.ndarray:
    return np.full((*shape, 3), level, np.uint8)


@pytest.fixture
def frames(tmp_path):
    return FrameStore(ReferenceStore(tmp_path))


def put(frames, at, level=0, mark="00000000", kept=None, since=NOON, picture=None):
    frames.put("front", mark, at, image(level) if picture is None else picture, kept=kept, since=since)


def test_a_frame_comes_back_as_it_was(frames):
    put(frames, NOON + 1, 7)
    put(frames, NOON + 2, 9)
    names = frames.names("front", WHOLE, 8)
    assert [each[0, 0, 0] for each in frames.read("front", names)] == [7, 9]


def test_many_frames_are_thinned_evenly(frames):
    for second in range(100):
        put(frames, NOON + second)
    times = [int(name.split("-")[0]) / 1000 - NOON for name in frames.names("front", WHOLE, 100)]
    assert len(times) == MOST_FRAMES
    assert max(np.diff(times)) <= 3 * 100 / MOST_FRAMES
    assert times[-1] == 99


def test_frames_of_the_reference_in_force_stay_while_another_is_recorded(frames):
    for second in range(6):
        put(frames, NOON + second)
    put(frames, NOON + 1000, since=NOON + 900, kept=NormalSpan(NOON, NOON + 3))
    assert len(frames.names("front", NormalSpan(NOON, NOON + 500), 8)) == 4
    put(frames, NOON + 1001, since=NOON + 900)
    assert len(frames.names("front", WHOLE, 8)) == 2


def test_frames_with_other_hidden_areas_and_of_other_cameras_are_deleted(frames, tmp_path):
    corner = (((0.0, 0.0), (0.5, 0.0), (0.5, 0.5)),)
    put(frames, NOON + 1, mark=mark_of(()))
    put(frames, NOON + 2, mark=mark_of(corner))
    store = ReferenceStore(tmp_path)
    store.write("front", SIGNATURES, "{}")
    frames.keep_only({"front": corner})
    assert [mark_in(name) for name in frames.names("front", WHOLE, 8)] == [mark_of(corner)]
    assert store.read("front", SIGNATURES) is None  # a view is in it
    frames.keep_only({"back": corner})
    assert frames.names("front", WHOLE, 8) == []


def test_frames_are_bounded_in_bytes_and_the_agents_alone(frames, tmp_path):
    for second in range(MOST_FRAMES):
        noise = np.random.default_rng(second).integers(0, 256, (360, 640, 3), dtype=np.uint8)
        put(frames, NOON + second, picture=noise)
    kept = list((tmp_path / "references" / "front" / "frames").iterdir())
    assert len(kept) >= LEAST_FRAMES
    assert sum(each.stat().st_size for each in kept) <= LARGEST_BYTES
    assert {stat.S_IMODE(each.stat().st_mode) for each in kept} == {0o600}


def test_what_is_damaged_or_of_another_size_is_passed_over(frames, tmp_path):
    put(frames, NOON + 1, 1)
    put(frames, NOON + 2, 2)
    frames.put("front", "00000000", NOON + 3, image(3, (80, 80)), kept=None, since=NOON)
    folder = tmp_path / "references" / "front" / "frames"
    (folder / f"{round(1000 * NOON) + 4000}-00000000.png").write_bytes(b"\x89PNG nothing")
    (folder / "notes.txt").write_text("mine")
    found = frames.read("front", frames.names("front", WHOLE, 8))
    assert [each[0, 0, 0] for each in found] == [1, 2]
    assert frames.read("front", []) == []


def test_damaged_frames_make_room_for_others(frames, tmp_path):
    """They took the places of whole ones for good: those that were kept later lie closer together, and were deleted."""
    folder = tmp_path / "references" / "front" / "frames"
    for minute in range(MOST_FRAMES):
        put(frames, NOON + 60 * minute)
    for path in folder.iterdir():
        path.write_bytes(path.read_bytes()[:40])
    assert frames.read("front", frames.names("front", WHOLE, 12)) == []
    assert frames.read("front", frames.names("front", WHOLE, 12)) == []
    for minute in range(LEAST_FRAMES):
        put(frames, NOON + 86400 + 60 * minute)
    assert len(frames.read("front", frames.names("front", WHOLE, 12))) == LEAST_FRAMES
    beside = folder / "1790000000000-00000000.png"
    beside.mkdir()
    assert frames.read("front", [beside.name, "1790000000001-00000000.png"]) == []
    assert beside.is_dir()


def test_frames_of_a_box_whose_clock_began_in_1970_are_kept_in_order_and_deleted(frames, tmp_path):
    """Their names have few digits, and were taken for no frames: images of people that no switch deleted."""
    put(frames, NOON, 3, since=0.0)
    for second in (5, 999, 86_400):
        put(frames, second, second % 200, since=0.0)
    names = frames.names("front", WHOLE, 8)
    assert [each[0, 0, 0] for each in frames.read("front", names)] == [5, 999 % 200, 0, 3]
    frames.clear("front")
    assert not list((tmp_path / "references" / "front" / "frames").iterdir())


def test_a_link_is_no_folder_of_frames(frames, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "1790000000000-00000000.png").write_bytes(b"x")
    (tmp_path / "references" / "front").mkdir(parents=True)
    (tmp_path / "references" / "front" / "frames").symlink_to(tmp_path / "elsewhere")
    frames.clear("front")
    assert frames.names("front", WHOLE, 8) == []
    assert list((tmp_path / "elsewhere").iterdir())
