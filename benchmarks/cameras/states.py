"""Every state by content over a real RTSP stream: how long until it is told, and until it is over.

    python -m benchmarks.cameras states ../shared/videos/car-detection.mp4

One camera: the video's frames, encoded by x264, served by GStreamer, through a proxy that can change time stamps.
A fault is switched on until its state is told, then off until the camera is online again.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from benchmarks.cameras.bench import FAULTS, FeedCamera, Proxy, Watched, free_port, stream

LONGEST = 75.0
BY_PROXY = {"bad_timestamps": ("stamps", "leaps")}


def loop(path: Path) -> Iterator[NDArray[np.uint8]]:
    """The pictures of a video, for ever."""
    while True:
        with av.open(str(path)) as container:
            for picture in container.decode(video=0):
                yield picture.to_ndarray(format="bgr24")


def trial(watched: Watched, state: str, begin, end) -> tuple[float, float, str]:
    """Seconds until `state` is told after `begin()`, until `online` after `end()`, and what was told."""
    began, mark = time.monotonic(), len(watched.told)
    begin()
    seen = watched.wait(state, after=mark, timeout=LONGEST)
    end()
    ended = time.monotonic()
    over = watched.wait("online", after=seen.place + 1 if seen else mark, timeout=LONGEST)
    names = [told.state for told in watched.told[mark:]]
    return (
        seen.at - began if seen else float("nan"),
        over.at - ended if over else float("nan"),
        " → ".join(names) + (f" ({seen.reason})" if seen else ""),
    )


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument(
        "--normal", type=float, default=30.0, help="seconds of good pictures before each fault"
    )
    args = parser.parse_args(argv)
    with av.open(str(args.video)) as container:
        fps = float(container.streams.video[0].average_rate)
    camera = FeedCamera(free_port(), loop(args.video), fps)
    proxy = Proxy(camera.port)
    camera.start()
    proxy.start()
    print("| state | how | told after s | over after s | what was told |\n|---|---|---|---|---|")
    with Watched(stream(camera.url.replace(str(camera.port), str(proxy.port)))) as watched:
        assert watched.wait("online", timeout=20)
        for state in (*FAULTS, "frozen", "slow"):
            time.sleep(args.normal)
            row = trial(
                watched,
                state,
                lambda s=state: setattr(camera, "fault", s),
                lambda: setattr(camera, "fault", ""),
            )
            print(
                f"| {state} | planted before the encoder | {row[0]:.1f} | {row[1]:.1f} | {row[2]} |",
                flush=True,
            )
        for state, modes in BY_PROXY.items():
            for mode in modes:
                time.sleep(args.normal)
                row = trial(
                    watched,
                    state,
                    lambda m=mode: setattr(proxy, "mode", m),
                    lambda: setattr(proxy, "mode", "pass"),
                )
                print(f"| {state} | RTP, {mode} | {row[0]:.1f} | {row[1]:.1f} | {row[2]} |", flush=True)
        counts = watched.reader.take_counts()
    print(f"\n{counts.seen} frames, {counts.failed} damaged, {counts.reconnects} reconnects", flush=True)
    camera.close()
    proxy.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
