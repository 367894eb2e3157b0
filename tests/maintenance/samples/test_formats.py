import json
import os
import zipfile

import pytest

from agent.core.dataset import class_names, images_of
from agent.core.errors import ConfigError
from agent.maintenance.evaluation.labels import parse_labels
from agent.maintenance.samples.formats import FORMATS
from agent.maintenance.samples.formats.labelled import export_of
from agent.maintenance.samples.labels import numbered, read_labels
from agent.maintenance.samples.sample import MOST_BOXES
from agent.maintenance.samples.store import SampleStore
from tests.maintenance.samples.conftest import MODEL, box, sample

CLASSES = {MODEL: ("person", "a: 'car' \"é\"")}


@pytest.fixture
def kept(tmp_path, jpeg):
    store = SampleStore(tmp_path / "state")
    boxes = [box(0.3, 0.4, 0.2, 0.1, class_id=1, score=0.7), box(0.9, 0.9, 0.2, 0.2, score=0.4)]
    for second in range(10):
        store.put(sample(second, "blink", boxes=boxes), jpeg)
    store.put(sample(20, "audit", camera="gate", boxes=boxes), jpeg)
    return sorted(store.samples(), key=lambda one: one.sample.captured_at)


def exported(kept, tmp_path, name):
    out = tmp_path / "out"
    out.mkdir()
    FORMATS[name](export_of(kept, CLASSES, out, lambda each, _total: each))
    return out


def test_a_data_set_for_ultralytics_is_split_by_time_and_the_audit_is_its_test(kept, tmp_path):
    out = exported(kept, tmp_path, "yolo")
    assert class_names(out / "data.yaml") == CLASSES[MODEL]
    splits = {
        split: [path.stem for path in images_of(out / "data.yaml", split).paths]
        for split in ("train", "val", "test")
    }
    newest = [one.sample.id for one in kept if one.sample.camera == "front"]
    assert {path.parent.name for path in images_of(out / "data.yaml", "train").paths} == {"front"}, (
        "an evaluation has its figures by camera"
    )
    assert splits == {"train": newest[:8], "val": newest[8:], "test": [kept[-1].sample.id]}
    text = (out / "labels" / "test" / "gate" / f"{kept[-1].sample.id}.txt").read_text()
    assert parse_labels(text, 2) == [
        pytest.approx((1, 0.3, 0.4, 0.2, 0.1)),
        pytest.approx((0, 0.9, 0.9, 0.2, 0.2)),
    ]


def test_what_is_trained_on_is_no_frame_of_the_audit_nor_one_taken_beside_it(tmp_path, jpeg):
    store = SampleStore(tmp_path / "state")
    for second in range(0, 40, 4):
        store.put(sample(second, "audit"), jpeg)
        for later in (0.0, 0.5, 2.0):
            store.put(sample(second + later, "drift"), jpeg)
    store.put(sample(0.0, "drift", camera="gate"), jpeg)
    out = exported(list(store.samples()), tmp_path, "yolo")
    names = {
        split: [path.stem for path in images_of(out / "data.yaml", split).paths]
        for split in ("train", "val", "test")
    }
    assert len(names["test"]) == 10 and all(name.endswith("audit") for name in names["test"])
    assert len(names["train"]) + len(names["val"]) == 11, "those two seconds later, and another camera's"


def test_coco_has_boxes_in_pixels(kept, tmp_path):
    body = json.loads(
        (exported(kept, tmp_path, "coco") / "annotations" / "instances_default.json").read_text()
    )
    assert len(body["images"]) == 11 and len(body["annotations"]) == 22
    first = body["annotations"][0]
    assert first["segmentation"] == []
    assert first["bbox"] == pytest.approx([16.0, 21.0, 16.0, 6.0])
    assert {one["id"]: one["name"] for one in body["categories"]}[first["category_id"]] == CLASSES[MODEL][1]
    assert (tmp_path / "out" / "images" / body["images"][0]["file_name"]).exists()


def test_cvat_takes_images_and_annotations(kept, tmp_path):
    out = exported(kept, tmp_path, "cvat")
    with zipfile.ZipFile(out / "images.zip") as archive:
        assert archive.testzip() is None and len(archive.namelist()) == 11
    with zipfile.ZipFile(out / "annotations.zip") as archive:
        body = json.loads(archive.read("annotations/instances_default.json"))
    assert {one["file_name"] for one in body["images"]} == {f"{one.sample.id}.jpg" for one in kept}


def test_cvat_takes_what_a_box_without_a_clock_kept(kept, tmp_path):
    """ZIP knows no year before 1980: the samples of a box that held that it was 1970 could not be exported."""
    for one in kept:
        os.utime(one.image, (100.0, 100.0))
    with zipfile.ZipFile(exported(kept, tmp_path, "cvat") / "images.zip") as archive:
        assert {one.date_time[0] for one in archive.infolist()} == {1980}


def test_label_studio_has_the_boxes_as_predictions(kept, tmp_path):
    out = exported(kept, tmp_path, "label-studio")
    task = json.loads((out / "tasks.json").read_text())[0]
    value = task["predictions"][0]["result"][0]["value"]
    assert (value["x"], value["y"], value["width"], value["height"]) == pytest.approx((20, 35, 20, 10))
    assert value["rectanglelabels"] == [CLASSES[MODEL][1]]
    assert "&quot;" in (out / "interface.xml").read_text() or "'" in (out / "interface.xml").read_text()


@pytest.mark.parametrize("name", ["yolo", "coco"])
def test_labels_come_back_as_they_went(kept, tmp_path, name):
    out = exported(kept, tmp_path, name)
    labels = read_labels(out / "annotations" / "instances_default.json" if name == "coco" else out)
    assert set(labels) == {one.sample.id for one in kept}
    for one in kept:
        for came, went in zip(numbered(labels[one.sample.id], CLASSES[MODEL]), one.sample.found, strict=True):
            assert (came.class_id, came.score) == (went.class_id, 1.0)
            assert (came.x, came.y, came.width, came.height) == pytest.approx(
                (went.x, went.y, went.width, went.height), abs=1e-3
            )


@pytest.mark.parametrize("names", ["classes.txt", "obj.names"])
@pytest.mark.parametrize("zipped", [True, False])
def test_labels_come_back_from_other_tools_folders(kept, tmp_path, names, zipped):
    """Label Studio's YOLO export and CVAT's YOLO 1.1, whose names lie in a list; whole or in an archive with a folder in it."""
    out = exported(kept, tmp_path, "yolo")
    (out / "data.yaml").unlink()
    (out / names).write_text("".join(f"{name}\n" for name in CLASSES[MODEL]))
    (out / "notes.json").write_text('{"categories": []}')
    if zipped:
        with zipfile.ZipFile(tmp_path / "out.zip", "w") as archive:
            for file in out.rglob("*"):
                archive.write(file, f"project-1/{file.relative_to(out)}")
    labels = read_labels(tmp_path / "out.zip" if zipped else out)
    assert set(labels) == {one.sample.id for one in kept}
    assert all(
        [name for name, _ in boxes] == [CLASSES[MODEL][1], CLASSES[MODEL][0]] for boxes in labels.values()
    )


def test_files_of_one_name_in_two_folders_must_say_the_same(kept, tmp_path):
    out = exported(kept, tmp_path, "yolo")
    file = next((out / "labels" / "train" / "front").iterdir())
    again = out / "labels" / "second" / file.name
    again.parent.mkdir()
    again.write_text(file.read_text())
    assert len(read_labels(out)) == len(kept)
    again.write_text("0 0.1 0.1 0.1 0.1\n")
    with pytest.raises(ConfigError, match=file.stem):
        read_labels(out)


def test_labels_come_back_from_a_folder_with_coco_in_it(kept, tmp_path):
    out = exported(kept, tmp_path, "coco")
    assert len(read_labels(out)) == len(kept)
    below = tmp_path / "export" / "train"  # as Roboflow lays it
    below.mkdir(parents=True)
    (out / "annotations" / "instances_default.json").rename(below / "_annotations.coco.json")
    (below / "._annotations.coco.json").write_bytes(b"\x00\x05\x16\x07")
    assert len(read_labels(tmp_path / "export")) == len(kept)


def test_coco_of_another_making_is_read_as_it_is_meant(kept, tmp_path):
    """Numbers as text, a mark before it, each image twice (of two splits), and a crowd, which is no object."""
    (file,) = exported(kept, tmp_path, "coco").rglob("*.json")
    wanted, body = read_labels(file), json.loads(file.read_text())
    for image in list(body["images"]):
        body["images"].append(
            {**image, "id": f"again {image['id']}", "file_name": f"val/{image['file_name']}"}
        )
    for one in list(body["annotations"]):
        body["annotations"].append({**one, "image_id": f"again {one['image_id']}"})
    crowd = {**body["annotations"][0], "bbox": [0, 0, 80, 30], "iscrowd": 1}
    file.write_text(json.dumps({**body, "annotations": [*body["annotations"], crowd]}), encoding="utf-8-sig")
    assert read_labels(file) == wanted


def coco(tmp_path, *changes, **more):
    """A COCO file of one sample of 80 x 60 pixels, with an annotation for each of `changes`."""
    plain = {"image_id": 1, "category_id": 1, "bbox": [20, 15, 40, 30]}
    body = {
        "images": [{"id": 1, "file_name": f"{sample(1).id}.jpg", "width": 80, "height": 60}],
        "categories": [{"id": 1, "name": "person"}],
        "annotations": [{**plain, "id": number, **one} for number, one in enumerate(changes)],
        **more,
    }
    (tmp_path / "labels.json").write_text(json.dumps(body))
    return tmp_path / "labels.json"


def test_coco_of_an_image_that_was_turned_is_refused_and_of_one_that_was_shrunk_is_not(tmp_path):
    """Its boxes came in elsewhere, and nobody noticed."""
    sizes = {sample(1).id: (80, 60)}
    for width, height in ((80, 60), (40, 30), (640, 640), (640, 480)):
        image = {"id": 1, "file_name": f"1a2b-{sample(1).id}.jpg", "width": width, "height": height}
        assert read_labels(coco(tmp_path, {}, images=[image]), sizes)
    for width, height in ((60, 80), (480, 640)):
        image = {"id": 1, "file_name": f"1a2b-{sample(1).id}.jpg", "width": width, "height": height}
        with pytest.raises(
            ConfigError, match=rf"has {width}×{height} pixels, and it has 80×60: it was turned"
        ):
            read_labels(coco(tmp_path, {}, images=[image]), sizes)
        assert read_labels(coco(tmp_path, {}, images=[image]), {sample(1).id: (60, 60)})


@pytest.mark.parametrize(
    ("changes", "boxes"),
    [
        ([{}, {}], 1),
        ([{"iscrowd": "0"}], 1),
        ([{"iscrowd": "1"}], 0),
        ([{"bbox": [], "segmentation": [[20, 15, 60, 15, 60, 45, 20, 45]]}], 1),
        ([{"bbox": None, "segmentation": [[20, 15, 60, 15], [60, 45, 20, 45]]}], 1),
        ([{"bbox": [20, 15, 0, 30]}], 0),
        ([{"bbox": [200, 200, 40, 30]}], 0),
        ([{"bbox": [-1e308, 15, 1e308, 30]}], 0),
    ],
)
def test_annotations_of_other_makings_are_read_as_they_are_meant(tmp_path, changes, boxes):
    found = read_labels(coco(tmp_path, *changes))[sample(1).id]
    assert found == (("person", box(0.5, 0.5, 0.5, 0.5, score=1.0)),) * boxes


@pytest.mark.parametrize(
    ("changes", "more", "reason"),
    [
        ([{"bbox": [60, 45, -40, -30]}], {}, "negative width or height"),
        ([{"bbox": [1, 2, 3]}], {}, "neither a `bbox` of four numbers nor a polygon"),
        ([{"bbox": [], "segmentation": {"counts": [0, 9], "size": [3, 3]}}], {}, "nor a polygon"),
        ([{"bbox": [1, 2, 3 + n / 2**20, 4]} for n in range(MOST_BOXES + 1)], {}, "10001 boxes"),
        ([], {"annotations": [None]}, "`annotations` has null in it"),
        ([{}], {"categories": [{"id": 1, "name": "person"}, {"id": 1, "name": "car"}]}, "two entries of the `id` 1"),
        ([{}], {"categories": [{"id": 1, "name": " "}]}, "an empty `name`"),
        (
            [{}],
            {"images": [{"id": 1, "file_name": f"{n}.jpg", "width": 8, "height": 6} for n in (1, 2)]},
            "two entries of the `id` 1",
        ),
    ],
)  # fmt: skip
def test_what_would_be_kept_and_never_read_again_is_refused_with_the_reason(tmp_path, changes, more, reason):
    """A sample with a box of a negative width, or with more boxes than a sample may have, was lost by its labels."""
    with pytest.raises(ConfigError, match=rf"labels\.json: cannot be read: .*{reason}"):
        read_labels(coco(tmp_path, *changes, **more))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_labels_of_an_editor_of_another_system_are_read(kept, tmp_path, encoding):
    out = exported(kept, tmp_path, "yolo")
    wanted = read_labels(out)
    for file in list(out.rglob("*.txt")):
        file.with_suffix(".TXT").write_text(file.read_text(), encoding=encoding, newline="\r\n")
        file.unlink()
    assert read_labels(out) == wanted


def test_an_empty_label_file_means_that_nothing_is_there_and_other_files_are_passed_over(kept, tmp_path):
    out = exported(kept, tmp_path, "yolo")
    file = out / "labels" / "test" / "gate" / f"{kept[-1].sample.id}.txt"
    file.write_text("")
    (file.parent / "README.txt").write_text("what is this")
    labels = read_labels(out)
    assert labels[kept[-1].sample.id] == () and len(labels) == 11


@pytest.mark.parametrize(
    "damage",
    [
        "", "[7]", "{", '{"images": 7}', '{"images": [], "annotations": [7], "categories": []}',
        '{"images": [], "annotations": [{"image_id": 1}], "categories": []}',
        '{"images": [{"id": 1, "file_name": "a", "width": 0, "height": 1}], "annotations": [], "categories": []}',
    ],
)  # fmt: skip
def test_a_damaged_coco_file_is_named(tmp_path, damage):
    file = tmp_path / "labels.json"
    file.write_text(damage)
    with pytest.raises(ConfigError, match=r"labels\.json"):
        read_labels(file)


def test_a_damaged_label_file_is_named_with_its_line(kept, tmp_path):
    out = exported(kept, tmp_path, "yolo")
    file = next((out / "labels" / "train" / "front").iterdir())
    file.write_text("0 0.5 0.5 0.1 0.1\n0 12 7 3 3\n")
    with pytest.raises(ConfigError, match=rf"{file.name}.*line 2"):
        read_labels(out)


def test_a_folder_without_names_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="class names"):
        read_labels(tmp_path)
