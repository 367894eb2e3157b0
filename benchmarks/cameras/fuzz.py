"""Odd and damaged files: each is read in a process of its own; it must give frames or a clear error, never crash.

python -m benchmarks.cameras fuzz ../shared/videos/car-detection.mp4 [--damaged 200] [--only NAME ...]
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
    **{
        f"{codec}{suffix}": f"{TEST.format(size=size)} -c:v {codec}{more}"
        for codec, suffix, size, more in (
            ("apng", ".apng", "160x90", " -pix_fmt rgba -f apng"),
            ("apng", ".png", "160x90", " -f apng"),
            ("libwebp_anim", ".webp", "160x90", ""),
            ("cinepak", ".avi", "160x120", " -t 0.5"),
            ("dvvideo", ".avi", "720x576", " -r 25 -pix_fmt yuv420p"),
            ("ffv1", ".mkv", "64x48", " -pix_fmt gray16le"),
            ("flv", ".flv", "320x180", ""),
            ("h263", ".3gp", "352x288", ""),
            ("huffyuv", ".avi", "320x180", " -pix_fmt bgra"),
            ("jpeg2000", ".mkv", "160x90", " -t 0.5"),
            ("jpegls", ".mkv", "160x90", ""),
            ("libtheora", ".ogv", "320x176", ""),
            ("libx265", ".mkv", "320x180", " -pix_fmt yuv444p12le -x265-params log-level=none"),
            ("magicyuv", ".avi", "160x90", " -pix_fmt gbrap"),
            ("prores_ks", ".mov", "320x180", " -profile:v 4444 -pix_fmt yuva444p10le"),
            ("qtrle", ".mov", "160x90", " -pix_fmt argb"),
            ("r210", ".mov", "160x90", " -t 0.5"),
            ("rv10", ".rm", "320x240", ""),
            ("snow", ".avi", "160x96", " -strict -2 -t 0.5"),
            ("svq1", ".mov", "160x120", ""),
            ("targa", ".avi", "160x90", " -t 0.5"),
            ("utvideo", ".avi", "320x180", " -pix_fmt gbrp"),
            ("v210", ".avi", "160x90", " -t 0.5"),
            ("wmv2", ".asf", "320x180", ""),
            ("zlib", ".avi", "160x90", ""),
            ("png", ".avi", "160x90", " -pix_fmt rgb48be -t 0.5"),
        )
    },
    "1x1.avi": TEST.format(size="16x16") + " -vf scale=1:1 -c:v mjpeg -pix_fmt yuvj444p",
    "7x5.mkv": TEST.format(size="7x5").replace("testsrc2", "testsrc") + " -c:v libx264 -pix_fmt yuv444p",
    "2x4096.mkv": TEST.format(size="2x4096").replace("testsrc2", "color") + " -c:v ffv1 -t 0.3",
    "negative stamps.mkv": "-i {video} -t 3 -c copy -output_ts_offset -5 -avoid_negative_ts disabled",
    "33 bits wrap.ts": "-i {video} -t 4 -c copy -output_ts_offset 95441",
    "index at the end.mov": "-i {video} -t 3 -c copy -movflags -faststart",
    "fragments of a frame.mp4": "-i {video} -t 3 -c copy -movflags frag_every_frame+empty_moov",
    "half a frame a second.mkv": "-f lavfi -i testsrc2=size=160x90:rate=1/2:duration=8 -c:v libx264",
    "fields, top first.mkv": TEST.format(size="720x576")
    + " -c:v libx264 -flags +ilme+ildct -x264-params tff=1",
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


def make(folder: Path, video: Path, only: tuple[str, ...]) -> list[Path]:
    """The odd files whose name begins with one of `only`, in `folder`."""
    made = []
    for name, how in ODD.items():
        if not name.startswith(only):
            continue
        path = folder / name
        command = ["ffmpeg", "-v", "error", "-y", *how.format(video=video).split(), str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"| {name} | cannot be made here: {done.stderr.strip().splitlines()[-1][:80]} | | | | |")
        else:
            made.append(path)
    for name, bend in BY_HAND.items():
        if not name.startswith(only):
            continue
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


def expected(path: Path) -> int | None:
    """How many frames FFmpeg's own tool reads of a file; None where it reads none."""
    command = ["ffprobe", "-v", "quiet", "-select_streams", "v:0", "-count_frames"]
    command += ["-show_entries", "stream=nb_read_frames", "-of", "csv=p=0", str(path)]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
    found = [one.strip(",") for one in said]  # a stream of a programme is told twice
    return int(found[0]) if found and found[0].isdigit() else None


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
    parser.add_argument("--only", nargs="*", default=[], help="files whose name begins so")
    parser.add_argument("--one", help="read this file alone and print what came of it")
    args = parser.parse_args(argv)
    if args.one:
        print(json.dumps(read(args.one)))
        return 0
    bad = 0
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        print("| file | frames | FFmpeg's | damaged, left out | how it ends | s | peak MB |")
        print("|---|---|---|---|---|---|---|")
        made = make(folder, args.video.resolve(), tuple(args.only) or ("",))
        for path in made:
            got = tried(path)
            bad += str(got["end"]).startswith(("CRASH", "HANG"))
            size = f" of {', '.join(got['shapes'])}" if got["shapes"] else ""  # type: ignore[arg-type]
            print(
                f"| {path.name} | {got['frames']}{size} | {expected(path)} | {got['failed']} | {got['end']} "
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
