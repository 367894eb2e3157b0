"""Draws docs/images/causes.webp: what each known cause does to a drawn street.

python scripts/diagnosis_pictures.py
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from agent.cameras.kinds.synthetic.drawing.scene import Scene  # noqa: E402  (as in metrics_page)
from agent.drift.diagnosis import CAUSES  # noqa: E402  (as above)

WIDTH, HEIGHT, BAR, COLUMNS = 256, 144, 22, 4
SEVERITY = 0.7


def titled(image: np.ndarray, title: str) -> np.ndarray:
    """A small picture below its title."""
    bar = np.full((BAR, WIDTH, 3), 255, np.uint8)
    cv2.putText(bar, title, (4, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
    picture = np.vstack([bar, cv2.resize(image, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)])
    return cv2.copyMakeBorder(picture, 2, 2, 2, 2, cv2.BORDER_CONSTANT, value=(255, 255, 255))


def main() -> None:
    """Write the picture."""
    street = np.array(Scene("street", 1, 640, 360).draw(20.0, 12.0, 40).image)
    parts = [titled(street, "as it was")]
    parts += [
        titled(cause.apply(street, SEVERITY, 0), name.replace("_", " ")) for name, cause in CAUSES.items()
    ]
    parts += [np.full_like(parts[0], 255)] * (-len(parts) % COLUMNS)
    rows = [np.hstack(parts[start : start + COLUMNS]) for start in range(0, len(parts), COLUMNS)]
    path = ROOT / "docs" / "images" / "causes.webp"
    cv2.imwrite(str(path), np.vstack(rows), [cv2.IMWRITE_WEBP_QUALITY, 80])
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
