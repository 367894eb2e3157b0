"""Drawn frames with their true boxes, as labelled data sets and as labelled samples of the audit."""

import json

import cv2

from agent.cameras.kinds.synthetic.drawing.scene import Scene
from agent.cameras.kinds.synthetic.drawing.sprites import CLASSES
from agent.maintenance.samples.sample import Box, Sample, id_of
from agent.maintenance.samples.store import SampleStore

SIZE = (320, 192)
NOON = 1_800_000_000.0


def frames(count, seed=5, **look):
    """`count` images of one drawn street, each with its rows of (class, cx, cy, w, h) in shares."""
    scene, (width, height) = Scene("street", seed, *SIZE), SIZE
    for number in range(count):
        frame = scene.draw(7.0 * number, 12.0, number, **look)
        yield (
            frame.image,
            [
                (c, (x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height)
                for c, (x1, y1, x2, y2) in zip(frame.class_ids.tolist(), frame.boxes.tolist(), strict=True)
            ],
        )


def write_data(folder, splits, seed=5, names=CLASSES):
    """A data.yaml with `splits` images of each kind; class numbers by `names`."""
    images = frames(sum(splits.values()), seed)
    for split, count in splits.items():
        for kind in ("images", "labels"):
            (folder / kind / split).mkdir(parents=True)
        for number in range(count):
            image, rows = next(images)
            cv2.imwrite(str(folder / "images" / split / f"{number}.png"), image)
            lines = [f"{names.index(CLASSES[c])} {' '.join(map(str, box))}\n" for c, *box in rows]
            (folder / "labels" / split / f"{number}.txt").write_text("".join(lines))
    lines = [f"{split}: images/{split}\n" for split in splits]
    (folder / "data.yaml").write_text("".join([*lines, f"names: {json.dumps(list(names))}\n"]))
    return folder / "data.yaml"


def put_samples(state, count, camera="yard", seed=5, after=0, model="ab" * 32):
    """Labelled audit samples in the state directory, as one model found nothing in them."""
    store = SampleStore(state)
    for number, (image, rows) in enumerate(frames(count, seed), after):
        sample = Sample(
            id=id_of(camera, NOON + number, "audit"), camera=camera, captured_at=NOON + number, reason="audit",
            width=SIZE[0], height=SIZE[1], model=model, threshold=0.25, found=(),
        )  # fmt: skip
        store.put(sample, cv2.imencode(".jpg", image)[1].tobytes())
        kept = next(one for one in store.samples(camera) if one.sample.id == sample.id)
        store.label(kept, tuple(Box(class_id=c, x=x, y=y, width=w, height=h) for c, x, y, w, h in rows))
    store.set_classes(model, tuple(CLASSES))
    return store
