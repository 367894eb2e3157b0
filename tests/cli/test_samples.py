"""`vedette samples`: from the running agent's frames to labels and back."""

import json
import random

import cv2
import numpy as np
import pytest

from agent.__main__ import main
from agent.cli.samples import _FORMATS
from agent.maintenance.samples.formats import FORMATS
from agent.maintenance.samples.store import SampleStore
from tests.maintenance.samples.conftest import MODEL, NOON, box, sample
from tests.waiting import wait_until


@pytest.fixture
def state(tmp_path):
    """A state directory with thirty samples drawn at random, and two others."""
    store = SampleStore(tmp_path / "state")
    store.set_classes(MODEL, ("person", "car"))
    for number in range(32):
        image = np.full((60, 80, 3), 8 * number, np.uint8)
        reason = "audit" if number < 30 else "blink"
        one = sample(3600.0 * number, reason, boxes=[box(0.4, class_id=number % 2)] if number % 3 else [])
        store.put(one, cv2.imencode(".jpg", image)[1].tobytes())
    return tmp_path / "state"


@pytest.fixture
def samples(state, capsys):
    def run(*words, code=0):
        assert main(["samples", *map(str, words), "--state", str(state)]) == code
        out, err = capsys.readouterr()
        return err if code else out

    return run


def test_labels_go_out_are_corrected_and_come_back_as_accuracy(samples, state, tmp_path):
    assert "none of 30 samples drawn at random has labels" in samples("accuracy", code=1)
    assert "32 samples, 0 labelled" in samples("export", "--out", tmp_path / "set")
    chance = random.Random(1)
    for file in sorted((tmp_path / "set" / "labels" / "test").rglob("*.txt")):
        if chance.random() < 0.25:  # what the model had missed
            file.write_text(file.read_text() + "2 0.8 0.8 0.1 0.1\n")
    data = tmp_path / "set" / "data.yaml"
    data.write_text(data.read_text().replace('"car"', '"Car "') + '  2: "van"\n')
    out = samples("import-labels", tmp_path / "set")
    assert "32 samples labelled" in out and "classes that the model does not have: van" in out
    rows = {
        (row["camera"], row["class"]): row for row in json.loads(samples("accuracy", "--json"))["accuracy"]
    }
    assert rows["all", "all"]["precision"] == 1.0 and rows["all", "all"]["frames"] == 30
    assert rows["all", "van"]["recall"] == 0.0 and rows["all", "person"]["recall"] == 1.0
    assert rows["all", "car"]["recall"] == 1.0, "a name is the model's, however a tool writes it"
    low, high = rows["all", "all"]["recall_interval"].values()
    assert 0.3 < low < rows["all", "all"]["recall"] < high < 1.0
    assert "30 of 30 samples drawn at random are labelled" in samples("accuracy")
    assert "32 samples, 32 labelled" in samples("export", "--labelled", "--out", tmp_path / "again")
    assert '2: "van"' in (tmp_path / "again" / "data.yaml").read_text()


def test_labels_of_a_model_without_names_have_the_numbers_that_it_finds(samples, state, tmp_path):
    (state / "samples" / "classes.json").unlink()
    samples("export", "--out", tmp_path / "set")
    data = tmp_path / "set" / "data.yaml"
    assert "class1" in data.read_text()
    data.write_text(data.read_text() + '  2: "van"\n')
    for file in sorted((tmp_path / "set" / "labels" / "test").rglob("*.txt"))[:20]:
        file.write_text(file.read_text() + "2 0.8 0.8 0.1 0.1\n")
    samples("import-labels", tmp_path / "set")
    rows = {
        (row["camera"], row["class"]): row for row in json.loads(samples("accuracy", "--json"))["accuracy"]
    }
    assert rows["all", "class1"]["f1"] == rows["all", "class0"]["f1"] == 1.0
    assert rows["all", "van"]["recall"] == 0.0


def test_they_are_listed_shown_and_deleted(samples, tmp_path):
    assert samples("list").split()[:2] == ["camera", "reason"]
    assert len(json.loads(samples("list", "--json", "--reason", "blink"))) == 2
    assert "5 samples" in samples("show", "--out", tmp_path / "s.png", "--last", 5)
    sheet = cv2.imread(str(tmp_path / "s.png"))
    assert sheet.shape == (2 * 196, 4 * 320, 3)
    assert ((sheet[..., 1] > 180) & (sheet[..., 0] < 100)).any(), "the boxes are green"
    assert "give --camera, --reason or --before, or --all" in samples("purge", code=1)
    assert "2 samples deleted" in samples("purge", "--reason", "blink")
    assert "there are no such samples" in samples("list", "--reason", "blink", code=1)
    assert "expected one of audit, near_threshold" in samples("list", "--reason", "blnk", code=1)
    assert "30 samples deleted" in samples("purge", "--all")


def test_an_export_replaces_nothing_and_labels_of_others_are_refused(samples, tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "mine.txt").write_text("precious")
    assert "is there and not empty" in samples("export", "--out", tmp_path / "set", code=1)
    (tmp_path / "set" / "data.yaml").write_text("train: images\nnames: [a]\n")
    assert "has no labels of samples" in samples("import-labels", tmp_path / "set", code=1)
    assert "class names" in samples("import-labels", tmp_path / "none", code=78)
    assert tuple(FORMATS) == _FORMATS


CONFIG = """
state_directory = "{state}"
[windows]
length = "1s"
[samples]
enabled = true
per_day = 100000
[[cameras]]
name = "gate"
kind = "synthetic"
pace = "real"
fps = 8
"""


def test_the_running_agent_keeps_samples_of_what_it_sees(tmp_path, run_agent):
    running = run_agent(config=CONFIG.format(state=tmp_path / "live"))
    store = SampleStore(tmp_path / "live")
    wait_until(lambda: {"audit"} < {one.sample.reason for one in store.samples()}, 60, running.journal)
    assert running.stop() == 0
    kept = list(store.samples())
    assert all(cv2.imread(str(one.image)).shape[:2] == (one.sample.height, one.sample.width) for one in kept)
    assert {one.sample.model for one in kept} == set(store.classes())
    assert any(one.sample.found for one in kept)
    assert abs(kept[-1].sample.captured_at - NOON) > 1, "its own time"


@pytest.mark.parametrize(
    "words", [("list", "--since"), ("show", "--out", "x.png", "--since"), ("purge", "--before")]
)
def test_an_age_that_is_none_is_named_with_its_option(samples, words):
    """It ended in a traceback."""
    assert f"{words[-1]}: 'soon' is not a duration; expected such as 12h or 7d" in samples(
        *words, "soon", code=78
    )
