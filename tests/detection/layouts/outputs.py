"""Outputs of one image as detectors of every kind write them, with three objects in an input of (240, 320)."""

import numpy as np

SIZE = (240, 320)
OBJECTS = ((100.0, 60.0, 40.0, 80.0), (200.0, 120.0, 60.0, 30.0), (260.0, 180.0, 50.0, 50.0))  # cx, cy, w, h


def grid(strides=(8, 16, 32)):
    """Centre and stride of each cell, as YOLO orders them: (cells, 3)."""
    height, width = SIZE
    cells = []
    for stride in strides:
        y, x = np.mgrid[0 : -(-height // stride), 0 : -(-width // stride)]
        centres = (np.stack((x, y), axis=-1).reshape(-1, 2) + 0.5) * stride
        cells.append(np.concatenate((centres, np.full((len(centres), 1), stride)), axis=1))
    return np.concatenate(cells)


def dense(classes, anchors=1, seed=0, strides=(8, 16, 32)):
    """Boxes (A, 4) cx, cy, w, h around their cells and scores (A, classes): three objects, the rest background."""
    random = np.random.default_rng(seed)
    cells = np.repeat(grid(strides), anchors, axis=0)
    boxes = np.concatenate(
        (
            cells[:, :2] + random.normal(0, 0.4, (len(cells), 2)) * cells[:, 2:],
            np.exp(random.normal(1, 0.6, (len(cells), 2))) * cells[:, 2:],
        ),
        axis=1,
    )
    scores = random.random((len(cells), classes)) ** 8 * 0.05
    for number, box in enumerate(OBJECTS):
        nearest = int(np.argmin(np.abs(cells[:, :2] - box[:2]).sum(axis=1)))
        boxes[nearest], scores[nearest, number % classes] = box, 0.9
    return boxes.astype(np.float32), scores.astype(np.float32)


def channels(classes=3, **more):
    return np.concatenate(dense(classes, **more), axis=1).T[None]


def transposed(classes=3, **more):
    return np.concatenate(dense(classes, **more), axis=1)[None]


def rows(classes=3, class_score=None, **more):
    boxes, scores = dense(classes, anchors=3, **more)
    objectness = scores.max(axis=1, keepdims=True)
    shares = scores / objectness if class_score is None else np.full_like(scores, class_score)
    return np.concatenate((boxes, objectness, shares), axis=1)[None]


def end_to_end(rows_=300, padded=True):
    found = [(x - w / 2, y - h / 2, x + w / 2, y + h / 2, 0.9, n) for n, (x, y, w, h) in enumerate(OBJECTS)]
    output = np.zeros((1, rows_, 6), np.float32)
    output[0, : len(found)] = found
    if not padded:  # as YOLOv10: what is left are boxes of low scores
        boxes, scores = dense(3)
        half = boxes[:, 2:] / 2
        rest = np.concatenate(
            (boxes[:, :2] - half, boxes[:, :2] + half, scores.max(axis=1, keepdims=True) * 0.1), axis=1
        )
        rest = np.concatenate((rest, scores.argmax(axis=1)[:, None]), axis=1)
        output[0, len(found) :] = rest[: rows_ - len(found)]
    return output


def rtdetr(classes=3, queries=300):
    random = np.random.default_rng(1)
    boxes = np.concatenate((random.random((queries, 2)), random.random((queries, 2)) * 0.3), axis=1)
    scores = random.random((queries, classes)) ** 6 * 0.1
    for number, box in enumerate(OBJECTS):
        boxes[number] = np.array(box) / (SIZE[1], SIZE[0], SIZE[1], SIZE[0])
        scores[number, number % classes] = 0.9
    return np.concatenate((boxes, scores), axis=1).astype(np.float32)[None]


def rotated(classes=3):
    """YOLO-OBB: channels with an angle as last row."""
    boxes, scores = dense(classes)
    angles = np.random.default_rng(2).uniform(-np.pi / 4, 3 * np.pi / 4, (len(boxes), 1))
    return np.concatenate((boxes, scores, angles), axis=1).astype(np.float32).T[None]


def rotated_upright(classes=3):
    """YOLO-OBB of which every angle is near a quarter turn."""
    output = rotated(classes)
    output[0, -1] = 0.785
    return output


def pose(keypoints=17):
    """YOLO-pose: channels with x, y and visibility of each key point."""
    boxes, scores = dense(1)
    points = np.random.default_rng(3).uniform(0, SIZE[1], (len(boxes), keypoints * 3))
    return np.concatenate((boxes, scores, points), axis=1).astype(np.float32).T[None]


def yolox(classes=3):
    """YOLOX: offsets within a cell and logarithms of sizes, a box a cell."""
    random = np.random.default_rng(4)
    _, scores = dense(classes)
    raw = random.normal(0, 1, (len(scores), 4))
    return np.concatenate((raw, scores.max(axis=1, keepdims=True), scores), axis=1).astype(np.float32)[None]


def yolox_decoded(classes=3):
    boxes, scores = dense(classes)
    return np.concatenate((boxes, scores.max(axis=1, keepdims=True), scores), axis=1)[None]


def normalised(classes=3):
    boxes, scores = dense(classes)
    return (
        np.concatenate((boxes / (SIZE[1], SIZE[0], SIZE[1], SIZE[0]), scores), axis=1)
        .astype(np.float32)
        .T[None]
    )


def logits(classes=3):
    boxes, scores = dense(classes)
    return np.concatenate((boxes, np.log(scores + 1e-6)), axis=1).T[None]


def corners(classes=3):
    """Channels whose boxes are undecoded distances (ltrb) of 0 to 15 strides."""
    boxes, scores = dense(classes)
    boxes = np.random.default_rng(5).uniform(0, 15, boxes.shape).astype(np.float32)
    return np.concatenate((boxes, scores), axis=1).T[None]


def queries(classes=3):
    """RT-DETR of today: the best pairs of query and class."""
    rows_ = rtdetr(classes)[0]
    return np.concatenate(
        (rows_[:, :4], rows_[:, 4:].max(axis=1, keepdims=True), rows_[:, 4:].argmax(axis=1)[:, None]), axis=1
    )[None].astype(np.float32)


def begun_at(corner, classes=3, anchors=1):
    """Channels whose boxes begin with their upper left corner, then have width and height, or (`corner`) the other one."""
    boxes, scores = dense(classes, anchors)
    cells = np.repeat(grid(), anchors, axis=0)
    near, far = (cells[:, :2] + sign * boxes[:, 2:] * 0.4 for sign in (-1, 1))  # an anchor lies in its box
    written = np.concatenate((near, far if corner else boxes[:, 2:]), axis=1)
    return np.concatenate((written, scores), axis=1).astype(np.float32).T[None]


def exchanged(classes=3):
    """Channels with y, x, h, w."""
    boxes, scores = dense(classes)
    return np.concatenate((boxes[:, [1, 0, 3, 2]], scores), axis=1).T[None]


def with_objectness(classes=80):
    """Channels of an export that kept the objectness in front of its class scores."""
    boxes, scores = dense(classes)
    return np.concatenate((boxes, scores.max(axis=1, keepdims=True), scores), axis=1).T[None]


def yolov6(classes=3):
    """YOLOv6: a row an anchor, its objectness always 1."""
    boxes, scores = dense(classes)
    return np.concatenate((boxes, np.ones((len(boxes), 1), np.float32), scores), axis=1)[None]


def corner_queries():
    """A short list of corners in 0..1."""
    rows_ = queries()
    centres, halves = rows_[..., :2].copy(), rows_[..., 2:4] / 2
    rows_[..., :2], rows_[..., 2:4] = centres - halves, centres + halves
    rows_[..., :4] = rows_[..., :4].clip(0, 1)
    return rows_
