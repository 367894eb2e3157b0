import numpy as np
import pytest

from agent.core.errors import VedetteError
from agent.references.frame_store import FrameStore, NormalSpan
from agent.references.requests import StoreRequests
from agent.references.store import ReferenceStore


@pytest.fixture
def ask(tmp_path):
    handlers = StoreRequests(ReferenceStore(tmp_path)).handlers()
    return lambda name, **args: handlers[name](args)


def test_out_of_one_box_and_into_another(ask, stored):
    put = ask("reference_import", camera="front", text=stored.to_text())
    assert put == {"camera": "front", "id": stored.id}
    text = ask("reference_export", camera="front")["text"]
    assert ask("reference_import", camera="back", text=text)["id"] == stored.id
    listed = ask("references")["versions"]
    assert [(entry["camera"], entry["current"]) for entry in listed] == [("back", True), ("front", True)]
    assert listed[0]["made_by"] == "asked"
    assert ask("references", camera="front")["versions"][0]["id"] == stored.id


def test_a_damaged_one_is_listed_with_its_problem(ask, stored, tmp_path):
    ask("reference_import", camera="front", text=stored.to_text())
    (file,) = (tmp_path / "references" / "front").glob("2*.json")
    file.write_text("{")
    assert "not JSON" in ask("references")["versions"][0]["problem"]


@pytest.mark.parametrize(
    ("name", "args", "said"),
    [
        ("reference_export", {}, "`camera` is missing"),
        ("reference_export", {"camera": "nobody"}, "has no reference"),
        (
            "reference_import",
            {"camera": "front", "text": "{}", "file": "x.json"},
            r"x\.json: not a reference",
        ),
        ("reference_import", {"camera": "../x", "text": "{}"}, "not a reference"),
        ("reference_rollback", {"camera": "front"}, "has no reference"),
        ("reference_remove", {"camera": "front"}, "`id` is missing"),
    ],
)
def test_what_cannot_be_done_says_why(ask, name, args, said):
    with pytest.raises(VedetteError, match=said):
        ask(name, **args)


def test_frames_are_removed_with_the_reference_in_force(ask, stored, tmp_path):
    ask("reference_import", camera="front", text=stored.to_text())
    frames, all_times = FrameStore(ReferenceStore(tmp_path)), NormalSpan(0.0, 1e12)
    image = np.zeros((64, 96, 3), np.uint8)
    frames.put("front", "00000000", 1_790_000_000.0, image, kept=None, since=0.0)
    assert frames.names("front", all_times, 9)
    ask("reference_remove", camera="front", id=stored.id)
    assert not frames.names("front", all_times, 9)
