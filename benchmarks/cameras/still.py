"""A still but living scene through an encoder: is its sensor noise enough not to be taken for a freeze?

python -m benchmarks.cameras still
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from agent.cameras.health.features import small_image
from agent.cameras.health.judge import HealthState, observe
from agent.cameras.kinds.synthetic.camera import SyntheticCamera, SyntheticOptions
from benchmarks.cameras.health import STEADY, glances

ENCODERS = {
    "H.264, 300 kbit/s": "libx264 -preset veryfast -tune zerolatency -g 50 -b:v 300k -maxrate 300k -bufsize 300k",
    "H.264, 1 Mbit/s": "libx264 -preset veryfast -tune zerolatency -g 50 -b:v 1M -maxrate 1M -bufsize 1M",
    "H.264, crf 28": "libx264 -preset veryfast -tune zerolatency -g 50 -crf 28",
    "motion JPEG": "mjpeg -q:v 6 -pix_fmt yuvj420p",
}


def still(path: Path, hour: float, noise: float, encoder: str, seconds: int) -> None:
    """A drawn scene that stands still, with the noise of a sensor, encoded into `path`."""
    camera = SyntheticCamera("s", SyntheticOptions(start_hour=hour, pace="fast", fps=10, seed=4))
    camera.open()
    scene = camera.read()
    assert scene is not None
    clean = cv2.GaussianBlur(scene.image, (0, 0), 0.8)
    height, width = clean.shape[:2]
    command = f"ffmpeg -v error -y -f rawvideo -pix_fmt bgr24 -s {width}x{height} -r 10 -i - -c:v {encoder}"
    process = subprocess.Popen(
        [*command.split(), *([] if "mjpeg" in encoder else ["-pix_fmt", "yuv420p"]), str(path)],
        stdin=subprocess.PIPE,
    )
    assert process.stdin is not None
    rng = np.random.default_rng(1)
    for _ in range(seconds * 10):
        grain = rng.normal(0, noise, clean.shape).astype(np.float32)
        process.stdin.write(np.clip(clean + grain, 0, 255).astype(np.uint8).tobytes())
    process.stdin.close()
    process.wait()


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60)
    args = parser.parse_args(argv)
    print("| noise, levels | encoder | noon | night |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for noise in (0.5, 1.0, 2.0, 4.0):
            for name, encoder in ENCODERS.items():
                told = []
                for hour in (12, 1):
                    path = Path(folder) / "still.mkv"
                    still(path, hour, noise, encoder, args.seconds)
                    state = HealthState()
                    states: list[Any] = []
                    for now, image in glances(path, 1):
                        state, verdict = observe(state, small_image(image), now, STEADY)
                        if not states or states[-1] != verdict.state.value:
                            states.append(verdict.state.value)
                    told.append(" → ".join(states))
                print(f"| {noise:g} | {name} | {told[0]} | {told[1]} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
