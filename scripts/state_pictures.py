"""Draws what each camera state looks like: python scripts/state_pictures.py --out docs/images/camera-states.webp.

The drawn street is shown to the product's own inspector four times a second, with the changes of
`benchmarks/health`; each picture is the frame at which it named the state, with its words. A change that the
inspector does not name ends the script with an error: no picture shows what is not told.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from agent.cameras.health.inspector import Inspector  # noqa: E402  (the package stands beside this folder)
from agent.cameras.kinds.synthetic.drawing.scene import Scene  # noqa: E402  (as above)
from agent.core.types import Frame  # noqa: E402  (as above)
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


CHANGES: tuple[tuple[str, Callable[[Image, float], Image]], ...] = (
    ("online", unchanged),
    ("black", weather.dark(0.01, 2)),
    ("overexposed", lambda image, _: pixels.lit(image, 2.0, 120)),
    ("covered", faults.covered),
    ("frozen", faults.Held()),
    ("moved", lambda image, _: weather.toured(1e9)(image, 0.0)),
    ("fogged", lambda image, t: pixels.grain(faults.fogged(image, 0.75), t, 1.5)),
    ("blurred", lambda image, _: faults.defocused(image, 1 / 110)),
    ("obstructed", branch),
)


def shown(state: str, change: Callable[[Image, float], Image]) -> tuple[Image, str]:
    """The frame at which `state` was named under this change, and the reason in words."""
    inspector, scene = Inspector(by_media=False), Scene("street", 3, WIDTH, HEIGHT)
    before = faults.clocked if isinstance(change, faults.Held) else unchanged
    for index in range(int((WARM_SECONDS + MOST_SECONDS) / STEP)):
        t = index * STEP - WARM_SECONDS
        drawn = pixels.grain(scene.draw(index * STEP, 12.0, index).image, index * STEP, 1.0)
        image = (change if t >= 0 else before)(drawn, t)
        at = int((1000.0 + index * STEP) * 1e9)
        verdict = inspector.inspect(
            Frame(camera="street", index=index, image=image, captured_at=0.0, monotonic_ns=at)
        )
        if t >= 0 and verdict.state.value == state:
            words = verdict.reason.partition(":")[0]
            return image, f"after {t:.0f} s: {words}" if words else "nothing is wrong"
    raise SystemExit(f"{state}: not named within {MOST_SECONDS:.0f} s")


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
    tiles = []
    for state, change in CHANGES:
        image, words = shown(state, change)
        print(f"{state}: {words}", flush=True)
        tiles.append(captioned(state, image, words))
    rows = [np.hstack(tiles[start : start + COLUMNS]) for start in range(0, len(tiles), COLUMNS)]
    cv2.imwrite(str(args.out), np.vstack(rows), [cv2.IMWRITE_WEBP_QUALITY, 80])
    return 0


if __name__ == "__main__":
    sys.exit(main())
