"""Makes agent/detection/trial.jpg, the image that a new model is tried on: python scripts/trial_image.py --photos DIR.

DIR holds `astronaut.png` (NASA, public domain) and `chelsea.png` (Stefan van der Walt, CC0), as scikit-image ships
them in `skimage/data`. Below them lies a drawn scene of our own.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from agent.cameras.kinds.synthetic.drawing.scene import Scene  # noqa: E402  (the package stands beside this folder)

SIDE = 320


def square(image: np.ndarray) -> np.ndarray:
    """The middle of an image, as a square of SIDE pixels."""
    side = min(image.shape[:2])
    top, left = ((length - side) // 2 for length in image.shape[:2])
    return cv2.resize(image[top : top + side, left : left + side], (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def fullest_street() -> np.ndarray:
    """Of a drawn street the moment with most objects."""
    scene = Scene("street", 3, 2 * SIDE, SIDE)
    return scene.draw(max(map(float, range(0, 900, 3)), key=lambda t: len(scene.things(t))), 12.0, 0).image


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=ROOT / "agent" / "detection" / "trial.jpg")
    args = parser.parse_args()
    photos = [cv2.imread(str(args.photos / f"{name}.png")) for name in ("astronaut", "chelsea")]
    if any(photo is None for photo in photos):
        parser.error(f"{args.photos}: expected astronaut.png and chelsea.png")
    image = np.vstack((np.hstack([square(photo) for photo in photos]), fullest_street()))
    cv2.imwrite(str(args.out), image, [cv2.IMWRITE_JPEG_QUALITY, 85])
    return 0


if __name__ == "__main__":
    sys.exit(main())
