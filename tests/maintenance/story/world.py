"""The drawn world of the story, and its truth: which frame a sample is, and what really is in it.

The agent's camera draws frame number n at n / fps seconds; nothing tells which number a sample has. It is found by drawing
the frames around its time and comparing: sensor noise and all, only the right one fits.
"""

import json
from dataclasses import dataclass, field

import cv2
import numpy as np

from agent.cameras.kinds.synthetic.drawing.disturbances import apply
from agent.cameras.kinds.synthetic.drawing.scene import Scene
from agent.cameras.kinds.synthetic.drawing.sprites import CLASSES

NAMES = (*CLASSES, "balloon")
_DRAWN = (*CLASSES, "stranger")
FPS, WIDTH, HEIGHT = 4.0, 480, 270
SAME = 5.0
"""Grey levels by which a JPEG differs from the frame that it was made of, at most; another frame's noise differs more."""

_NEAR, _WIDE = 8, 400


@dataclass
class View:
    """One camera's world: the scene, and since when which disturbances are in it; each starts the camera anew."""

    seed: int
    layout: str = "street"
    spells: list = field(default_factory=list)
    _late: dict = field(default_factory=dict)

    def __post_init__(self):
        self.scene = Scene(self.layout, self.seed, WIDTH, HEIGHT)

    def begin(self, at, strengths):
        """The camera starts anew at `at` (Unix time)."""
        self.spells.append((at, dict(strengths)))

    def drawn(self, number, strengths):
        """Frame `number` as the camera draws it at noon, and its true boxes."""
        at = number / FPS
        shown = self.scene.draw(
            at, 12.0 + at / 86400 * 24, number, strangers=strengths.get("other_objects", 0.0), classes=_DRAWN
        )
        return apply(shown.image, strengths), shown

    def truth(self, captured_at, image):
        """The true rows (class, cx, cy, w, h) in shares, of a frame taken at `captured_at` that looks like `image`."""
        spells = [place for place, (at, _) in enumerate(self.spells) if at <= captured_at][::-1]
        for place in spells[:2]:  # the one before ends a little after the next was ordered
            began, strengths = self.spells[place]
            expected = round((captured_at - began - self._late.get(place, 0.0)) * FPS)
            for reach in (_NEAR, _WIDE):
                numbers = sorted(
                    range(max(0, expected - reach), expected + reach + 1), key=lambda n: abs(n - expected)
                )
                for number in numbers:
                    drawn, shown = self.drawn(number, strengths)
                    if np.abs(drawn.astype(np.int16) - image).mean() < SAME:
                        self._late[place] = captured_at - began - number / FPS
                        return _rows(shown)
                if place not in self._late and reach == _WIDE:
                    break
        raise AssertionError(f"no drawn frame of seed {self.seed} looks like that of {captured_at}")


def _rows(shown):
    return [
        (c, (x1 + x2) / 2 / WIDTH, (y1 + y2) / 2 / HEIGHT, (x2 - x1) / WIDTH, (y2 - y1) / HEIGHT)
        for c, (x1, y1, x2, y2) in zip(shown.class_ids.tolist(), shown.boxes.tolist(), strict=True)
    ]


def label(folder, samples, views):
    """Write the truth over the labels of an exported data set; how many boxes of each class there are.

    `samples` is what `vedette samples list --json` prints.
    """
    counts = dict.fromkeys(NAMES, 0)
    by_id = {one["id"]: one for one in samples}
    data = (folder / "data.yaml").read_text()
    (folder / "data.yaml").write_text(data[: data.index("names:")] + f"names: {json.dumps(list(NAMES))}\n")
    for path in sorted(folder.rglob("*.jpg"), key=lambda path: by_id[path.stem]["captured_at"]):
        one = by_id[path.stem]
        rows = views[one["camera"]].truth(one["captured_at"], cv2.imread(str(path)))
        for class_id, *_ in rows:
            counts[NAMES[class_id]] += 1
        text = "".join(f"{c} {' '.join(f'{value:.6f}' for value in box)}\n" for c, *box in rows)
        labels = folder / "labels" / path.relative_to(folder / "images")
        labels.with_suffix(".txt").write_text(text)
    return counts


def write_known(folder, count=150):
    """A labelled set of what the model that ships was trained on: other streets, at noon, without balloons."""
    for kind in ("images", "labels"):
        (folder / kind / "train").mkdir(parents=True)
    for number in range(count):
        scene = Scene("street", 100 + number // 5, WIDTH, HEIGHT)
        shown = scene.draw(37.0 * (number % 5), 12.0, number)
        cv2.imwrite(str(folder / "images" / "train" / f"{number}.jpg"), shown.image)
        text = "".join(f"{c} {' '.join(map(str, box))}\n" for c, *box in _rows(shown))
        (folder / "labels" / "train" / f"{number}.txt").write_text(text)
    (folder / "data.yaml").write_text(
        f"train: images/train\nval: images/train\nnames: {json.dumps(list(CLASSES))}\n"
    )
    return folder / "data.yaml"
