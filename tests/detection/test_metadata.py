"""What a model file says of itself: limits as the config's, and an error that names file, entry and what to do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.errors import ModelError
from agent.detection.metadata import LARGEST_SIDE, Metadata, parse
from agent.pipeline.camera_window import class_fields


def refusal(**entries):
    with pytest.raises(ModelError) as caught:
        parse(entries, "m.onnx")
    text = str(caught.value)
    assert "model m.onnx: its metadata" in text
    assert "export the model again, or remove that entry" in text
    assert text.isprintable()
    assert len(text) < 400
    return text


def test_what_ultralytics_writes_is_read():
    found = parse(
        {
            "names": "{0: 'person', 1: 'it\\'s'}",
            "imgsz": "[384, 640]",
            "stride": "64",
            "task": "detect",
            "args": "{'batch': 1, 'opset': None, 'nms': True}",
            "description": "Ultralytics YOLO11n model ",
        },
        "m.onnx",
    )
    assert found.names == ("person", "it's")
    assert found.image_size == (384, 640)
    assert found.stride == 64
    assert parse({"stride": "16"}, "m").stride == 32, "the least that a backbone can need"
    assert found.end_to_end
    assert found.description == "Ultralytics YOLO11n model"
    assert parse({}, "m") == Metadata()
    assert parse({"names": "['a', 'b']", "imgsz": "320"}, "m").names == ("a", "b")
    assert parse({"names": '{"0": "a"}'}, "m").names == ("a",)
    assert parse({"imgsz": "320"}, "m").image_size == (320, 320)
    assert not parse({"args": "['nms']", "end2end": "False"}, "m").end_to_end


@pytest.mark.parametrize(
    ("key", "text", "words"),
    [
        ("names", "{[]:1}", "where a key is expected"),
        ("names", "-" * 5000, "cannot be read"),
        ("names", "[" * 100_000, "levels deep"),
        ("names", "{2: 'a'}", "not numbered from 0 to 0"),
        ("names", "{'x': 'a'}", "not numbered from 0"),
        ("names", "{0: ['a']}", "the name of class 0 is a list"),
        ("names", "'person'", "it is a string"),
        ("names", f"['{'x' * 1_000_000}']", "1000000 characters; at most 200"),
        ("names", "x" * 3_000_000, "at most 1048576"),
        ("names", str(["a"] * 200_000), "200000 classes, at most 10000"),
        ("stride", "0", "from 1 to 1024"),
        ("stride", "-32", "from 1 to 1024"),
        ("stride", "True", "it is true or false"),
        ("stride", "'32'", "it is a string"),
        ("stride", "32.5", "it is 32.5; expected a whole number"),
        ("stride", "1e400", "out of range"),
        ("imgsz", "[60000, 60000]", "it is 60000; expected a whole number from 1 to 4096"),
        ("imgsz", "[0, 640]", "from 1 to 4096"),
        ("imgsz", "[640]", "it has 1 numbers"),
        ("imgsz", "big", "'big' is neither"),
        ("imgsz", "{}", "it is an object"),
        ("args", "__import__('os')", "cannot be read"),
        ("end2end", "[True", "is missing before ''"),
        ("end2end", "1", "expected True or False"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(key, text, words):
    assert words in refusal(**{key: text})


@pytest.mark.parametrize(
    "text",
    ['{"0": "person", "1": "car"}', '["person", "car"]', "{1: 'person', 2: 'car'}", "person,car", "person\ncar\n",
     " person , car "],
)  # fmt: skip
def test_names_are_read_in_every_notation_that_tools_write(text):
    assert parse({"names": text}, "m").names == ("person", "car")


def test_names_are_printable_and_no_two_become_one_field():
    found = parse({"names": str(["[/x]", "\x1b]52;c;cm0=\x07", "a b", "a-b", "車", "\u202e", "dog"])}, "m")
    assert all(name.isprintable() for name in found.names)
    fields = class_fields(found.names)
    assert len(set(fields)) == 7
    assert fields[0] == "detections_x"
    assert fields[2:5] == ("detections_a_b_2", "detections_a_b_3", "detections_4")
    assert fields[6] == "detections_dog"


def test_words_are_cut_and_escaped():
    found = parse({"task": "x" * 10_000, "description": "\x1b[31mred", "version": "8\n"}, "m")
    assert len(found.task) < 100
    assert found.description == "\\x1b[31mred"
    assert found.version == "8"


def test_the_limit_of_a_side_is_the_configs():
    from agent.config.schema import ModelSettings

    assert ModelSettings.__dataclass_fields__["input_size"].metadata["maximum"] == LARGEST_SIDE


@given(
    st.lists(
        st.sampled_from(["per frame", "Per-Frame", "a", "A", "a 0", "a_1", "a 0 0", "", "_", "車"]),
        max_size=8,
    )
)
def test_each_class_has_a_field_of_its_own(names):
    fields = class_fields(tuple(names))
    assert len(set(fields)) == len(names)
    assert all(field.startswith("detections_") for field in fields)
    assert "detections_per_frame" not in fields
