"""An RTSP camera whose pictures a program makes: real frames, encoded by x264, sent by GStreamer's server."""

import contextlib
import subprocess
import threading
import time
from pathlib import Path

import cv2
import numpy as np

SERVER = Path(__file__).with_name("rtsp.py")
SYSTEM_PYTHON = "/usr/bin/python3"


def moved(image):
    """A view turned aside by a tenth."""
    height, width = image.shape[:2]
    matrix = np.float32([[1, 0, 0.1 * width], [0, 1, 0.03 * height]])
    return cv2.warpAffine(image, matrix, (width, height), borderMode=cv2.BORDER_REFLECT)


def noisy(image, level, spread):
    """Only the sensor's noise around `level`."""
    noise = np.random.default_rng().normal(level, spread, image.shape)
    return np.clip(noise, 0, 255).astype(np.uint8)


# What is done to each picture, by the state that it must lead to.
FAULTS = {
    "black": lambda image: noisy(image, 4, 3),
    "overexposed": lambda image: cv2.convertScaleAbs(image, alpha=2.0, beta=120),
    "covered": lambda image: noisy(image, 90, 3),
    "blurred": lambda image: cv2.GaussianBlur(image, (0, 0), image.shape[1] / 150),
    "moved": moved,
    "resized": lambda image: cv2.resize(
        image, (image.shape[1] * 3 // 4 // 8 * 8, image.shape[0] * 3 // 4 // 8 * 8)
    ),
}


class FeedCamera(threading.Thread):
    """Serves pictures of `pictures()` (an endless iterator of BGR arrays) at `fps`; `fault` may be set at any time.

    `fault` is a name of FAULTS, "frozen" (the last picture again and again), "slow" (a quarter of the rate) or "".
    """

    def __init__(self, port, pictures, fps):
        super().__init__(daemon=True)
        self.port, self.url = port, f"rtsp://127.0.0.1:{port}/live"
        self.pictures, self.fps, self.fault = pictures, fps, ""
        self._stop = threading.Event()
        self.process = subprocess.Popen(
            [SYSTEM_PYTHON, str(SERVER), str(port), "feed"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self.process.stdout.readline() == b"ready\n"

    def run(self):
        due, last = time.monotonic(), None
        with contextlib.suppress(BrokenPipeError, ValueError):
            for image in self.pictures:
                if self._stop.is_set():
                    return
                fault = self.fault
                if fault == "frozen" and last is not None:
                    shown = last
                else:
                    shown = last = FAULTS.get(fault, lambda image: image)(image)
                height, width = shown.shape[:2]
                self.process.stdin.write(np.uint32([width, height]).tobytes() + shown.tobytes())
                self.process.stdin.flush()
                due = max(due + (4 if fault == "slow" else 1) / self.fps, time.monotonic() - 1)
                time.sleep(max(0.0, due - time.monotonic()))

    def close(self):
        self._stop.set()
        self.process.kill()
        self.process.wait()
