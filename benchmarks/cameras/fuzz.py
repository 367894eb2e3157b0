"""Odd and damaged files: each is read in a process of its own; it must give frames or a clear error, never crash.

python -m benchmarks.cameras fuzz ../shared/videos/car-detection.mp4 [--damaged 200]
"""

import argparse
import collections
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from agent.cameras.kinds.stream import StreamCamera
from agent.cameras.kinds.stream_options import StreamOptions
from agent.core.errors import CameraError
from agent.core.secret import Masked

LIMIT_SECONDS = 60.0
TEST = "-f lavfi -i testsrc2=size={size}:rate=20:duration=2"
# How each odd file is made, by ffmpeg; `{video}` is the real video.
ODD = {
    "hevc.mp4": TEST.format(size="640x360") + " -c:v libx265 -x265-params log-level=none",
    "mjpeg.avi": TEST.format(size="640x360") + " -c:v mjpeg",
    "mpeg2.ts": TEST.format(size="640x360") + " -c:v mpeg2video",
    "vp9.webm": TEST.format(size="640x360") + " -c:v libvpx-vp9 -deadline realtime -cpu-used 8",
    "av1.mp4": TEST.format(size="320x180") + " -c:v libaom-av1 -cpu-used 8 -t 1",
    "odd-641x361.mp4": TEST.format(size="641x361").replace("testsrc2", "testsrc")
    + " -c:v libx264 -pix_fmt yuv444p",
    "odd-33x17.avi": TEST.format(size="33x17").replace("testsrc2", "testsrc") + " -c:v mjpeg",
    "rotated-90.mp4": "-i {video} -t 2 -c copy -metadata:s:v rotate=90",
    "variable-rate.mkv": "-i {video} -t 6 -vf select=not(mod(n\\,7))+not(mod(n\\,5)) -fps_mode vfr -c:v libx264",
    "4:2:2, 10 bit.mkv": TEST.format(size="640x360") + " -c:v libx264 -pix_fmt yuv422p10le",
    "grey.mkv": TEST.format(size="640x360") + " -c:v libx264 -pix_fmt gray",
    "interlaced.ts": TEST.format(size="720x576") + " -c:v mpeg2video -flags +ilme+ildct",
    "b-frames, open gop.mp4": "-i {video} -t 6 -c:v libx264 -bf 3 -x264-params open-gop=1",
    "gif.gif": TEST.format(size="320x180"),
    "png.png": TEST.format(size="320x180") + " -frames:v 1",
    "one frame.mp4": TEST.format(size="640x360") + " -frames:v 1 -c:v libx264",
    "8k.mp4": "-f lavfi -i testsrc2=size=7680x4320:rate=10:duration=0.3 -c:v libx264 -preset ultrafast",
    "16k x 16k.avi": "-f lavfi -i color=c=red:size=16000x16000:rate=1:duration=1 -c:v mjpeg",
    "audio only.mp4": "-f lavfi -i sine=duration=2 -c:a aac",
    "audio first.mkv": "-f lavfi -i sine=duration=2 "
    + TEST.format(size="320x180")
    + " -c:a aac -c:v libx264",
    "two videos.mkv": "-i {video} -i {video} -t 2 -map 0 -map 1 -c copy",
}
BY_HAND = {
    "text.mp4": lambda _data: b"this is no video\n" * 4000,
    "empty.mp4": lambda _data: b"",
    "zeros.mp4": lambda _data: bytes(200_000),
    "noise.mp4": lambda _data: random.Random(1).randbytes(200_000),
    "head only.mp4": lambda data: data[:2000],
    "half.mp4": lambda data: data[: len(data) // 2],
    "without its head.mp4": lambda data: data[len(data) // 3 :],
    "playlist.m3u8": lambda _data: b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n",
    "concat of a system file.mp4": lambda _data: b"ffconcat version 1.0\nfile /etc/passwd\n",
}


def make(folder: Path, video: Path) -> list[Path]:
    """The odd files, in `folder`."""
    made = []
    for name, how in ODD.items():
        path = folder / name
        command = ["ffmpeg", "-v", "error", "-y", *how.format(video=video).split(), str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"| {name} | cannot be made here: {done.stderr.strip().splitlines()[-1][:80]} | | | |")
        else:
            made.append(path)
    for name, bend in BY_HAND.items():
        (folder / name).write_bytes(bend(video.read_bytes()))
        made.append(folder / name)
    return made


def damaged(folder: Path, sources: list[Path], count: int) -> list[Path]:
    """Copies of `sources` with bytes changed, cut out, doubled, or with an end missing."""
    rng, made = random.Random(7), []
    for index in range(count):
        source = rng.choice(sources)
        data = bytearray(source.read_bytes())
        for _ in range(rng.choice((1, 3, 30, 300))):
            at = rng.randrange(len(data))
            way = rng.randrange(4)
            if way == 0:
                data[at : at + rng.randrange(1, 64)] = rng.randbytes(rng.randrange(1, 64))
            elif way == 1:
                data[at] ^= 1 << rng.randrange(8)
            elif way == 2:
                del data[at : at + rng.randrange(1, 512)]
            elif len(data) < 4_000_000:
                data[at:at] = data[at : at + rng.randrange(1, 4096)]
        if rng.random() < 0.3:
            data = data[: rng.randrange(1, len(data))]
        path = folder / f"damaged-{index}{source.suffix}"
        path.write_bytes(data)
        made.append(path)
    return made


def read(path: str) -> dict[str, object]:
    """What a stream camera makes of the file at `path`."""
    camera, frames, shapes, said = (
        StreamCamera("f", StreamOptions(url=Masked(path), pace="fast")),
        0,
        set(),
        "its end",
    )
    try:
        camera.open()
        while (frame := camera.read()) is not None:
            frames += 1
            shapes.add("{1}x{0}".format(*frame.image.shape))
    except CameraError as error:
        said = f"{error.kind.value}: {str(error).replace(path, 'FILE')}"
    camera.close()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    return {
        "frames": frames,
        "shapes": sorted(shapes),
        "failed": camera.take_failed(),
        "end": said,
        "mb": peak,
    }


def tried(path: Path) -> dict[str, object]:
    """`read` in a process of its own: a crash and a hang are seen."""
    began = time.monotonic()
    command = [sys.executable, "-m", "benchmarks.cameras.fuzz", "--one", str(path)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LIMIT_SECONDS)
    except subprocess.TimeoutExpired:
        return {"frames": 0, "shapes": [], "failed": 0, "end": "HANGS", "mb": 0, "seconds": LIMIT_SECONDS}
    if done.returncode:
        end = f"CRASHES with {done.returncode}: {done.stderr.strip()[-200:]}"
        return {"frames": 0, "shapes": [], "failed": 0, "end": end, "mb": 0, "seconds": 0.0}
    return {**json.loads(done.stdout.splitlines()[-1]), "seconds": time.monotonic() - began}


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("video", type=Path, nargs="?")
    parser.add_argument("--damaged", type=int, default=200)
    parser.add_argument("--one", help="read this file alone and print what came of it")
    args = parser.parse_args(argv)
    if args.one:
        print(json.dumps(read(args.one)))
        return 0
    bad = 0
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        print("| file | frames | damaged, left out | how it ends | s | peak MB |\n|---|---|---|---|---|---|")
        made = make(folder, args.video.resolve())
        for path in made:
            got = tried(path)
            bad += str(got["end"]).startswith(("CRASH", "HANG"))
            size = f" of {', '.join(got['shapes'])}" if got["shapes"] else ""  # type: ignore[arg-type]
            print(
                f"| {path.name} | {got['frames']}{size} | {got['failed']} | {got['end']} "
                f"| {got['seconds']:.1f} | {got['mb']:.0f} |",
                flush=True,
            )
        sources = [path for path in made if path.name in ODD and path.stat().st_size < 3_000_000]
        ends: collections.Counter[str] = collections.Counter()
        frames = lost = 0
        peak = longest = 0.0
        for path in damaged(folder, sources, args.damaged):
            got = tried(path)
            ends[str(got["end"]).partition(":")[0].partition(" with")[0]] += 1
            bad += str(got["end"]).startswith(("CRASH", "HANG"))
            if str(got["end"]).startswith(("CRASH", "HANG", "other")):
                print(path.name, got["end"])
            frames, lost = frames + int(str(got["frames"])), lost + int(str(got["failed"]))
            peak, longest = max(peak, float(str(got["mb"]))), max(longest, float(str(got["seconds"])))
        print(
            f"\n{args.damaged} files damaged at random: {dict(ends)}; {frames} whole frames, {lost} damaged ones"
        )
        print(f"left out, {longest:.1f} s and {peak:.0f} MB at most; {bad} crashes or hangs")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
