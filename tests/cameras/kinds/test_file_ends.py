"""Where a file ends: sound files are played to their end, cut-off ones are named, and each again and again with loop."""

import subprocess

import pytest

from agent.cameras.kinds.stream import StreamCamera
from agent.core.errors import CameraError, CameraFailure


def by_ffmpeg(path, words, **kwargs):
    subprocess.run(["ffmpeg", "-v", "error", "-y", *words.split(), str(path)], check=True, **kwargs)
    return path


def scene(rate=10, seconds=1, size="160x96"):
    return f"-f lavfi -i testsrc2=size={size}:rate={rate}:duration={seconds}"


def tone(seconds):
    return f"-f lavfi -i sine=duration={seconds}"


H264 = " -c:v libx264 -preset ultrafast"


def longer_sound(tmp_path, name):
    return by_ffmpeg(tmp_path / name, f"{scene()} {tone(9)}{H264} -c:a aac")


def joined(tmp_path, name):
    """Two recordings of a camera behind one another, each with stamps of its own."""
    one, two = (
        by_ffmpeg(tmp_path / f"{at}.{name}", f"{scene()}{H264} -output_ts_offset {at} -muxdelay 0")
        for at in (3000, 5)
    )
    path = tmp_path / name
    path.write_bytes(one.read_bytes() + two.read_bytes())
    return path


def covered(tmp_path, name):
    cover = by_ffmpeg(tmp_path / "cover.png", f"{scene(size='64x64')} -frames:v 1")
    plain = by_ffmpeg(tmp_path / "plain.mp4", f"{scene()}{H264}")
    words = f"-i {cover} -i {plain} -map 0 -map 1 -c copy"
    if name.endswith("mp4"):
        words += " -disposition:v:0 attached_pic"
    return by_ffmpeg(tmp_path / name, words)


def seldom(tmp_path, name):
    return by_ffmpeg(tmp_path / name, f"{scene(rate='1/3', seconds=12)}{H264}")


def timecode(tmp_path, name):
    """As phones, drones and action cameras write it: a track of data beside the video."""
    return by_ffmpeg(tmp_path / name, f"{scene()}{H264} -metadata:s:v timecode=01:00:00:00")


SOUND = [
    (timecode, "timecode.mov", 10),
    (longer_sound, "sound.mkv", 10),
    (longer_sound, "sound.mp4", 10),
    (longer_sound, "sound.avi", 10),
    (longer_sound, "sound.ts", 10),
    (joined, "joined.ts", 20),
    (covered, "cover.mp4", 10),
    (covered, "cover.mkv", 10),
    (seldom, "seldom.mp4", 4),
    (seldom, "seldom.mkv", 4),
    (seldom, "seldom.avi", 4),
]


@pytest.mark.parametrize(("make", "name", "count"), SOUND, ids=[name for _, name, _ in SOUND])
def test_a_sound_file_ends_well_and_loops(tmp_path, make, name, count):
    camera = StreamCamera("front", StreamCamera.Options(url=str(make(tmp_path, name)), pace="fast"))
    camera.open()
    frames = list(iter(camera.read, None))
    camera.close()
    assert [frame.image.shape for frame in frames] == [(96, 160, 3)] * count
    times = [frame.media_seconds for frame in frames]
    assert times == sorted(times)
    assert times[-1] < 12, "segments follow one another, whatever their stamps"

    looping = StreamCamera("front", StreamCamera.Options(url=str(tmp_path / name), pace="fast", loop=True))
    looping.open()
    assert len([looping.read() for _ in range(count * 2 + 1)]) == count * 2 + 1
    looping.close()


@pytest.mark.parametrize("name", ["cut.mp4", "cut.mkv", "cut.flv"])
def test_a_cut_off_file_with_sound_is_still_named(tmp_path, name):
    words = f"{scene(seconds=8)} {tone(8)}{H264} -c:a aac" + (" -movflags faststart" if "mp4" in name else "")
    path = by_ffmpeg(tmp_path / name, words)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    camera = StreamCamera("front", StreamCamera.Options(url=str(path), pace="fast"))
    with pytest.raises(CameraError, match="truncated") as caught:
        camera.open()
        list(iter(camera.read, None))
    camera.close()
    assert caught.value.kind is CameraFailure.CODEC


def test_a_cover_picture_is_no_video(tmp_path):
    cover = by_ffmpeg(tmp_path / "cover.png", f"{scene(size='64x64')} -frames:v 1")
    words = f"{tone(2)} -i {cover} -map 0 -map 1 -c:v copy -disposition:v:0 attached_pic"
    song = by_ffmpeg(tmp_path / "song.mp3", words)
    camera = StreamCamera("front", StreamCamera.Options(url=str(song)))
    with pytest.raises(CameraError, match="has no video in it, only sound and a cover picture"):
        camera.open()
