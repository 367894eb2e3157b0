"""Labels are read as YOLO data sets keep them; what is wrong in one is named with its line."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.dataset import class_names
from agent.core.errors import ConfigError
from agent.maintenance.evaluation.labels import label_file, parse_labels, read_set


@pytest.fixture
def images(tmp_path):
    """Makes images below tmp_path/images, each with the labels given, or none."""

    def make(**labels):
        for name, text in labels.items():
            image = tmp_path / "images" / f"{name.replace('__', '/')}.png"
            image.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(image), np.zeros((8, 8, 3), np.uint8))
            if text is not None:
                label_file(image).parent.mkdir(parents=True, exist_ok=True)
                label_file(image).write_text(text)
        return tmp_path / "images"

    return make


share = st.floats(0.05, 0.95)


@given(st.lists(st.tuples(st.integers(0, 5), share, share, share, share), max_size=20))
def test_what_is_written_is_read(rows):
    text = "\n".join(" ".join(map(str, row)) for row in rows)
    assert parse_labels(text, 6) == list(dict.fromkeys(rows))


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused_with_a_line(text):
    try:
        parse_labels(text, 3)
    except ValueError as error:
        assert str(error).startswith("line ")


def test_a_polygon_is_the_box_around_it():
    ((class_id, *box),) = parse_labels("1 0.2 0.2 0.6 0.3 0.4 0.8", 2)
    assert class_id == 1
    assert box == pytest.approx([0.4, 0.5, 0.4, 0.6])


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("0 0.5 0.5 0.1", "4 values"),
        ("0 120 80 40 40", "not in pixels"),
        ("3 0.5 0.5 0.1 0.1", "whole number from 0 to 2"),
        ("-1 0.5 0.5 0.1 0.1", "whole number from 0 to 2"),
        ("0.5 0.5 0.5 0.1 0.1", "whole number from 0 to 2"),
        ("0 nan 0.5 0.1 0.1", "0..1"),
        ("inf 0.5 0.5 0.1 0.1", "line 2"),
        ("car 0.5 0.5 0.1 0.1", "'car' is not a number"),
        ("0 0.5 0.5 0.1 " + "9" * 5000 + "x", "is not a number"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(line, words):
    with pytest.raises(ValueError, match="line 2") as caught:
        parse_labels(f"0 0.5 0.5 0.1 0.1\n{line}", 3)
    assert words in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("line", ["0 0.5 0.5 0 0.1", "0 0.5 0.5 0.1 -0.001", "1 0.2 0.2 0.4 0.2 0.3 0.2"])
def test_a_slip_of_the_mouse_is_no_object_and_costs_no_other(line):
    assert parse_labels(f"{line}\n0 0.5 0.5 0.1 0.1", 2) == [(0, 0.5, 0.5, 0.1, 0.1)]


@pytest.mark.parametrize(
    ("shape", "points"),
    [
        ("[17, 3]", "0.5 0.5 2 " * 17),
        ("[4, 2]", "0.9 0.9 0.1 0.1 0.9 0.1 0.1 0.9"),
        ("[4, 3]", "0.9 0.1 2 " * 4),
    ],
)
def test_the_box_of_a_pose_is_that_before_its_key_points(images, tmp_path, shape, points):
    images(a=f"0 0.5 0.5 0.2 0.2 {points}\n", b=f"0 0.5 0.5 0.2 0.2 {points} 0.1 0.1\n")
    (tmp_path / "data.yaml").write_text(f"val: images\nnames: [person]\nkpt_shape: {shape}\n")
    data = read_set(tmp_path / "data.yaml", "val", ["person"], most=100)
    (image,) = data.images
    assert image.boxes == pytest.approx(np.array([[0.5, 0.5, 0.2, 0.2]], np.float32))
    assert "of key points" in data.left_out[0][1]


@pytest.mark.parametrize("shape", ["17", "[17]", "[0, 3]", "[a, b]", "[17, 3.0]", "[true, 2]"])
def test_a_shape_of_key_points_that_is_none_is_refused(images, tmp_path, shape):
    images(a="")
    (tmp_path / "data.yaml").write_text(f"val: images\nnames: [person]\nkpt_shape: {shape}\n")
    with pytest.raises(ConfigError, match="kpt_shape"):
        read_set(tmp_path / "data.yaml", "val", ["person"], most=100)


def test_images_of_a_list_that_are_not_there_are_left_out_and_are_not_all(images, tmp_path):
    folder = images(a="0 0.5 0.5 0.2 0.2\n", b="")
    listed = tmp_path / "val.txt"
    listed.write_text(f"{folder}/a.png\n{folder}/b.png\n/home/ann/images/c.png\n")
    data = read_set(listed, "val", ["person"], most=100)
    assert len(data.images) == 2
    assert [(str(path), reason) for path, reason in data.left_out] == [
        ("/home/ann/images/c.png", "is not there")
    ]
    listed.write_text("/home/ann/images/a.png\n")
    with pytest.raises(ConfigError, match=r"1 of 1 images .*/home/ann/images/a.png: is not there"):
        read_set(listed, "val", ["person"], most=100)


def test_images_without_labels_show_nothing_and_broken_ones_are_left_out(images):
    folder = images(a="0 0.5 0.5 0.2 0.2\n", b=None, c="0 5 5 5 5\n", d="")
    data = read_set(folder, "val", ["person"], most=100)
    assert [(image.path.stem, len(image.classes)) for image in data.images] == [("a", 1), ("b", 0), ("d", 0)]
    ((path, reason),) = data.left_out
    assert path.name == "c.txt"
    assert "line 1" in reason


def test_folders_below_are_cameras(images):
    data = read_set(images(front__a="", back__b="", front__c=""), "val", ["person"], most=100)
    assert {image.path.stem: image.group for image in data.images} == {
        "a": "front",
        "b": "back",
        "c": "front",
    }


def test_a_set_without_any_label_is_refused(images):
    with pytest.raises(ConfigError, match=r"no image has labels: .*labels.a\.txt"):
        read_set(images(a=None), "val", ["person"], most=100)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("names: [person, car]", ("person", "car")),
        ("names: {1: car, 0: person}", ("person", "car")),
        ("nc: 2", ()),
        ("names: [1, 2]", ("1", "2")),
        ("names: [car, Car]", ("car", "Car")),
    ],
)
def test_class_names_come_from_the_data_yaml(tmp_path, names, expected):
    (tmp_path / "data.yaml").write_text(f"val: images\n{names}\n")
    assert class_names(tmp_path / "data.yaml") == expected


@pytest.mark.parametrize(
    "names",
    [
        "names: person",
        f"names: {{'{'9' * 5000}': a}}",
        "names: {0: a, 2: b}",
        "names: [car, 'car ']",
        "names: {x: a}",
        "names: [[a]]",
    ],
)
def test_names_that_are_none_are_refused(tmp_path, names):
    (tmp_path / "data.yaml").write_text(f"val: images\n{names}\n")
    with pytest.raises(ConfigError, match="names"):
        class_names(tmp_path / "data.yaml")
