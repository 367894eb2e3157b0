"""Draws what each camera state looks like: python scripts/state_pictures.py --out docs/images/camera-states.webp.

The drawn street is shown to the product's own inspector four times a second, with the changes of `benchmarks/health`, at
another rate, with stamps that stand, or as a file and a camera that the product's own reader reads to their end. Each
picture is the frame at which the state was named (of `down` and `ended` the last one), with its words. A change that is
not named ends the script with an error: no picture shows what is not told.
"""

from __future__ import annotations

import argparse
import contextlib
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from agent.cameras.health.inspector import Inspector  # noqa: E402  (the package stands beside this folder)
from agent.cameras.kinds.synthetic.drawing.scene import Scene  # noqa: E402  (as above)
from agent.core.types import Frame  # noqa: E402  (as above)
from benchmarks.cameras.bench import Told, Watched, stream  # noqa: E402  (as above)
from benchmarks.health import faults, pixels, weather  # noqa: E402  (as above)

Image = NDArray[np.uint8]
WIDTH, HEIGHT = 480, 270
STEP = 0.25
WARM_SECONDS, MOST_SECONDS = 40.0, 420.0
COLUMNS = 3
CAPTION = 46


def branch(image: Image, t: float) -> Image:
    """Leaves close to the lens, out of focus."""
    random = np.random.default_rng(3)
    spots = cv2.GaussianBlur(random.random((HEIGHT, WIDTH), dtype=np.float32), (0, 0), 5)
    leaves = cv2.normalize(spots, None, 20, 120, cv2.NORM_MINMAX).astype(np.uint8)
    out, edge = image.copy(), int(WIDTH * 0.45)
    out[:, :edge] = cv2.merge([leaves // 2, leaves, leaves // 2])[:, :edge]
    return pixels.grain(out, t, 1.5)


def unchanged(image: Image, _t: float) -> Image:
    """As it is."""
    return image


def smaller(image: Image, _t: float) -> Image:
    """At three quarters of its size."""
    return cv2.resize(image, (WIDTH * 3 // 4, HEIGHT * 3 // 4), interpolation=cv2.INTER_AREA)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What is shown for a state: a change of the frames, seconds between them, and whether their stamps stand still."""

    change: Callable[[Image, float], Image] = unchanged
    step: float = STEP
    stamps_stand: bool = False


CASES: dict[str, Case] = {
    "online": Case(),
    "black": Case(change=weather.dark(0.01, 2)),
    "overexposed": Case(change=lambda image, _: pixels.lit(image, 2.0, 120)),
    "covered": Case(change=faults.covered),
    "frozen": Case(change=faults.Held()),
    "resized": Case(change=smaller),
    "moved": Case(change=lambda image, _: weather.toured(1e9)(image, 0.0)),
    "fogged": Case(change=lambda image, t: pixels.grain(faults.fogged(image, 0.75), t, 1.5)),
    "blurred": Case(change=lambda image, _: faults.defocused(image, 1 / 110)),
    "obstructed": Case(change=branch),
    "slow": Case(step=1.0),
    "bad_timestamps": Case(stamps_stand=True),
}


def drawn(scene: Scene, index: int) -> Image:
    """The street at a frame of four a second."""
    return pixels.grain(scene.draw(index * STEP, 12.0, index).image, index * STEP, 1.0)


def shown(state: str, case: Case) -> tuple[Image, str]:
    """The frame at which `state` was named in this case, and the reason in words."""
    inspector, scene = Inspector(by_media=False), Scene("street", 3, WIDTH, HEIGHT)
    before = faults.clocked if isinstance(case.change, faults.Held) else unchanged
    t, index = -WARM_SECONDS, 0
    while t < MOST_SECONDS:
        image = (case.change if t >= 0 else before)(drawn(scene, index), t)
        verdict = inspector.inspect(
            Frame(
                camera="street", index=index, image=image, captured_at=0.0, monotonic_ns=int((1000.0 + t) * 1e9),
                media_seconds=min(t, 0.0) if case.stamps_stand else t,
            )
        )  # fmt: skip
        if t >= 0 and verdict.state.value == state:
            words = verdict.reason.partition(":")[0]
            return image, f"after {t:.0f} s: {words}" if words else "nothing is wrong"
        index += 1
        t += case.step if t >= 0 else STEP
    raise SystemExit(f"{state}: not named within {MOST_SECONDS:.0f} s")


def ended(images: Sequence[Image]) -> tuple[Image, str]:
    """A file of these frames, played to its end."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "street.mp4"
        with av.open(str(path), "w") as container:
            video = container.add_stream("libx264", rate=4)
            video.width, video.height = WIDTH, HEIGHT
            for image in images:
                container.mux(video.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
            container.mux(video.encode(None))
        with Watched(stream(str(path))) as watched:
            told = watched.wait("ended")
    return images[-1], _words("ended", told, "")


def down(images: Sequence[Image]) -> tuple[Image, str]:
    """A camera of motion JPEG that is switched off after these frames."""
    with camera_of(images) as url, Watched(stream(url, timeout=2.0)) as watched:
        watched.wait("online")
        told = watched.wait("down")
    return images[-1], _words("down", told, url)


def _words(state: str, told: Told | None, url: str) -> str:
    if told is None:
        raise SystemExit(f"{state}: not named")
    return (told.reason.replace(url, "the camera") if url else told.reason).partition(";")[0]


@contextlib.contextmanager
def camera_of(images: Sequence[Image]) -> Iterator[str]:
    """The address of a camera that sends these frames once, ten a second, and is gone then."""
    listener = socket.create_server(("127.0.0.1", 0))

    def send() -> None:
        channel, _ = listener.accept()
        listener.close()
        with channel:
            channel.recv(4096)
            channel.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=b\r\n\r\n")
            for image in images:
                data = cv2.imencode(".jpg", image)[1].tobytes()
                head = f"--b\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
                channel.sendall(head.encode() + data + b"\r\n")
                time.sleep(0.1)  # as a camera does

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/video"
    finally:
        thread.join(10)


def captioned(state: str, image: Image, words: str) -> Image:
    """The image with its state and words below."""
    band = np.full((CAPTION, WIDTH, 3), 255, dtype=np.uint8)
    cv2.putText(band, state, (8, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.55, (0, 0, 0), 1, cv2.LINE_AA)
    cv2.putText(band, words, (8, 37), cv2.FONT_HERSHEY_SIMPLEX, 0.37, (60, 60, 60), 1, cv2.LINE_AA)
    return cv2.copyMakeBorder(
        np.vstack((image, band)), 4, 4, 4, 4, cv2.BORDER_CONSTANT, value=(255, 255, 255)
    )


def main() -> int:
    """Draw the sheet."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    scene = Scene("street", 3, WIDTH, HEIGHT)
    images = [drawn(scene, index) for index in range(20)]
    pictures = {"online": shown("online", CASES["online"]), "down": down(images), "ended": ended(images)}
    pictures |= {state: shown(state, case) for state, case in CASES.items() if state not in pictures}
    tiles = []
    for state, (image, words) in pictures.items():
        print(f"{state}: {words}", flush=True)
        tiles.append(captioned(state, cv2.resize(image, (WIDTH, HEIGHT)), words))
    while len(tiles) % COLUMNS:
        tiles.append(np.full_like(tiles[0], 255))
    rows = [np.hstack(tiles[start : start + COLUMNS]) for start in range(0, len(tiles), COLUMNS)]
    cv2.imwrite(str(args.out), np.vstack(rows), [cv2.IMWRITE_WEBP_QUALITY, 80])
    return 0


if __name__ == "__main__":
    sys.exit(main())
