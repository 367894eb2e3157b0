"""Label Studio's JSON, as label-studio-sdk 2.1.2 writes it."""

import pytest

from agent.core.untrusted import BadInput
from agent.maintenance.samples.label_studio import stem_of, tasks


def value(rotation=0.0, **more):
    return {
        "x": 20.0,
        "y": 35.0,
        "width": 20.0,
        "height": 10.0,
        "rotation": rotation,
        "rectanglelabels": ["car"],
        **more,
    }


def result(rotation=0.0):
    return {"type": "rectanglelabels", "original_width": 80, "original_height": 60, "value": value(rotation)}


def task(*annotations, **more):
    return {
        "id": 1,
        "annotations": list(annotations),
        "data": {"image": "/data/upload/3/1a2b3c4d-a.jpg"},
        **more,
    }


def test_the_last_annotation_that_was_not_cancelled_counts():
    first, last = {"result": [result(), result()]}, {"result": [result()], "was_cancelled": False}
    cancelled = {"result": [], "was_cancelled": True}
    ((stem, boxes),) = tasks([task(first, last, cancelled)])
    assert stem == "1a2b3c4d-a"
    assert [name for name, _ in boxes] == ["car"] and boxes[0][1] == pytest.approx((0.2, 0.35, 0.4, 0.45))


def test_what_nobody_annotated_has_no_labels_and_what_was_found_empty_has_none_in_it():
    nothing = task({"result": []})
    assert list(tasks([task(), task({"result": [], "was_cancelled": True}), nothing])) == [("1a2b3c4d-a", [])]


def test_labels_alone():
    short = {"image": "/data/local-files/?d=images%2Fgate%2Fb.jpg", "id": 0, "camera": "gate",
             "label": [value(original_width=80, original_height=60)], "choices": ["x"]}  # fmt: skip
    ((stem, boxes),) = tasks([short])
    assert stem == "b" and boxes[0][1] == pytest.approx((0.2, 0.35, 0.4, 0.45))


def test_a_turned_box_is_the_upright_one_around_it():
    ((_, boxes),) = tasks(
        [task({"result": [result(rotation=90.0)]})]
    )  # 16 x 6 pixels at (16, 21), turned to the left of it
    assert boxes[0][1] == pytest.approx(((16 - 6) / 80, 21 / 60, 16 / 80, (21 + 16) / 60))


SHAPE = {"original_width": 80, "original_height": 60}
CORNERS = [[20.0, 35.0], [40.0, 40.0], [30.0, 45.0]]


@pytest.mark.parametrize(
    "results",
    [
        [{**SHAPE, "type": "polygonlabels", "value": {"points": CORNERS, "polygonlabels": ["car"]}}],
        [{**SHAPE, "type": "ellipselabels", "value": {"x": 30.0, "y": 40.0, "radiusX": 10.0, "radiusY": 5.0,
                                                     "rotation": 0, "ellipselabels": ["car"]}}],
        [{**SHAPE, "type": "ellipselabels", "value": {"x": 30.0, "y": 40.0, "radiusX": 3.75, "radiusY": 10 / 0.75,
                                                     "rotation": 90, "ellipselabels": ["car"]}}],
        [  # the tags Rectangle and Labels: two results of one region
            {**SHAPE, "id": "a", "type": "rectangle", "value": {"x": 20, "y": 35, "width": 20, "height": 10}},
            {**SHAPE, "id": "a", "type": "labels", "value": {"x": 20, "y": 35, "width": 20, "height": 10, "labels": ["car"]}},
        ],
    ],
)  # fmt: skip
def test_other_outlines_are_not_taken_for_an_empty_image(results):
    """Left out, they would say that all the model found there is wrong."""
    more = [
        {"type": "relation", "from_id": "a", "to_id": "b"},
        {"type": "choices", "id": "c", "value": {"choices": ["day"]}},
        {"type": "keypointlabels", "value": {"x": 1, "y": 1, "width": 0.5, "keypointlabels": ["head"]}},
    ]
    ((_, boxes),) = tasks([task({"result": results + more})])
    assert [name for name, _ in boxes] == ["car"] and boxes[0][1] == pytest.approx((0.2, 0.35, 0.4, 0.45))


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("a.b.jpg", "a.b"), ("images\\a.jpg", "a"), ("/data/upload/1/a.jpg", "a"), ("s3://yard/images/a.jpg", "a"),
        ("https://host/a%20b.jpg?X-Amz=1", "a b"), ("/data/local-files/?d=a/b.jpg", "b"), ("", ""),
    ],
)  # fmt: skip
def test_an_image_is_known_by_its_file_s_name(name, stem):
    assert stem_of(name) == stem


@pytest.mark.parametrize(
    "body",
    [
        [7], [{}], [{"annotations": 7}], [task({"result": [{"type": "rectanglelabels", "value": {}}]})],
        [task({"result": [{**result(), "value": value() | {"rectanglelabels": []}}]})],
        [task({"result": [{**result(), "value": value() | {"x": "wide"}}]})],
        [task({"result": [{"type": "brushlabels", "value": {"rle": [1], "brushlabels": ["car"]}}]})],
        [task({"result": [{"type": "rectangle", "id": "a", "value": {"x": 1, "y": 1, "width": 1, "height": 1}}]})],
        [task({"result": [{"type": "polygonlabels", "value": {"points": [], "polygonlabels": ["car"]}}]})],
        [task({"result": [{"type": "polygonlabels", "value": {"points": [[1]], "polygonlabels": ["car"]}}]})],
    ],
)  # fmt: skip
def test_what_is_damaged_is_refused(body):
    with pytest.raises((BadInput, KeyError, AttributeError, TypeError)):
        list(tasks(body))
