"""What is in force now and was not before: noted once, over restarts, without a secret."""

import dataclasses
import json
import math

import pytest

from agent import __version__
from agent.app import change_log
from agent.app.change_log import ChangeLog, differences
from agent.app.kinds import KINDS
from agent.config.load import parse
from agent.config.render import show
from agent.core.logbook import Logbook, entries
from agent.core.untrusted import LARGEST_BYTES


class Box:
    """A state directory over starts of the agent."""

    def __init__(self, folder, model):
        self.folder, self.model = folder, model
        self.settings = parse("", KINDS)

    def start(self, text=None):
        if text is not None:
            self.settings = parse(text, KINDS)
        log = ChangeLog(self.folder, Logbook(self.folder).note, lambda: self.settings)
        log.open(self.model)
        return log

    def noted(self):
        return [(entry.kind, entry.what, entry.who) for entry in entries(self.folder)]


@dataclasses.dataclass
class Model:
    name: str = "yolo11n"
    sha256: str = "a" * 64


@pytest.fixture
def box(tmp_path):
    return Box(tmp_path, Model())


def test_the_first_start_is_noted_and_an_equal_one_is_not(box):
    box.start()
    first = box.noted()
    assert [kind for kind, _, _ in first] == ["agent", "model"]
    box.start()
    assert box.noted() == first


def test_a_config_changed_between_two_starts_is_noted_key_by_key(box):
    box.start('[broker]\nurl = "mqtt://a"\n')
    box.start('[broker]\nurl = "mqtt://b"\n[[cameras]]\nname = "front"\nurl = "rtsp://c/x"\n')
    added = [what for kind, what, _ in box.noted() if kind == "config"]
    assert sorted(added) == ['broker.url = "mqtt://b" (before: "mqtt://a")', "cameras.front added"]


def test_a_reload_is_noted_with_who_asked_and_not_again_at_the_next_start(box):
    log = box.start()
    box.settings = parse("[drift]\nfalse_alarms_per_month = 5\n", KINDS)
    log.config("ada")
    log.config("bob")
    box.start()
    assert [entry for entry in box.noted() if entry[0] == "config"] == [
        ("config", "drift.false_alarms_per_month = 5 (before: 1)", "ada")
    ]


def test_no_secret_is_kept_or_noted(box):
    text = '[broker]\npassword = "PASS"\n[[cameras]]\nname = "x"\nurl = "rtsp://u:PASS@cam/s"\n'
    box.start(text.replace("PASS", "hunter2"))
    box.start(text.replace("PASS", "swordfish").replace("cam/s", "cam/t"))
    assert any("cam/t" in what for _, what, _ in box.noted())
    kept = b"".join(path.read_bytes() for path in box.folder.iterdir())
    assert b"hunter2" not in kept
    assert b"swordfish" not in kept


def test_another_model_and_version_are_noted_once(box, monkeypatch):
    log = box.start()
    log.model(Model(name="new", sha256="b" * 64), "release", "deployment 1")
    log.model(Model(name="new", sha256="b" * 64), "release", "deployment 1")
    box.model = Model(name="new", sha256="b" * 64)
    monkeypatch.setattr(change_log, "__version__", "9.9")
    box.start()
    assert box.noted()[-2:] == [
        ("model", f"new ({'b' * 12}) instead of yolo11n ({'a' * 12})", "release"),
        ("agent", f"version 9.9 instead of {__version__}", ""),
    ]


@pytest.mark.parametrize("damage", [b"", b"{", b'{"config": 3}', b'{"config": "[", "version": "1"}'])
def test_a_damaged_memory_of_the_last_run_stops_nothing(box, damage):
    box.start()
    (box.folder / "logbook-last.json").write_bytes(damage)
    box.start()
    before = box.noted()
    box.start()
    assert box.noted() == before


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": {"b": [1, 2]}}, {"a": {"b": [1]}}, ["a.b = [1] (before: [1, 2])"]),
        ({"x": [{"name": "p", "k": 1}]}, {"x": [{"name": "q", "k": 1}]}, ["x.p removed", "x.q added"]),
        ({"x": [{"name": "p", "k": 1}]}, {}, ["x.p removed"]),
        ({"x": [{"name": "p", "k": 1}]}, {"x": [{"name": "p"}]}, ["x.p.k = none (before: 1)"]),
        ({}, {"a": {"b": 1}}, ["a added"]),
    ],
)
def test_differences(before, now, expected):
    assert list(differences(before, now)) == expected


def test_many_changes_are_counted(box):
    cameras = "".join(f'[[cameras]]\nname = "c{n}"\nurl = "rtsp://x/{n}"\n' for n in range(80))
    box.start()
    box.start(cameras)
    config = [what for kind, what, _ in box.noted() if kind == "config"]
    assert len(config) == change_log.MOST_CHANGES + 1
    assert config[-1] == "and 30 more keys"


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ({"cameras": [{"name": "a"}]}, {"cameras": 5}),
        ({"cameras": "x"}, {"cameras": [{"name": "a"}]}),
        ({"cameras": [{"name": "a"}, 3]}, {"cameras": [{"name": "a"}]}),
        ({"cameras": 1979}, {"cameras": [1, {"name": "a"}]}),
    ],
)
def test_what_another_version_kept_ends_no_start(before, now):
    (line,) = differences(before, now)
    assert line.startswith("cameras = ")


def test_a_kept_config_with_a_date_in_it_is_compared(box):
    box.start("")
    kept = json.loads((box.folder / change_log.FILE_NAME).read_text())
    kept["config"] = "since = 2026-01-31\n" + kept["config"]
    (box.folder / change_log.FILE_NAME).write_text(json.dumps(kept))
    box.start()
    assert ("config", 'since = none (before: "2026-01-31")', "") in box.noted()


def test_a_config_that_is_longer_with_all_its_defaults_than_a_file_may_be_ends_no_start(box):
    turns = [2 * math.pi * corner / 100 for corner in range(100)]
    round_ = [[round(0.5 + 0.4 * math.cos(turn), 7), round(0.5 + 0.4 * math.sin(turn), 7)] for turn in turns]
    areas = json.dumps([round_] * 32, separators=(",", ":"))
    keys = "".join(f"{key} = {areas}\n" for key in ("ignore_masks", "include_zones", "exclude_zones"))
    text = "".join(f'[[cameras]]\nname = "c{number}"\nurl = "x.mp4"\n{keys}' for number in range(5))
    assert len(text) < LARGEST_BYTES < len(show(parse(text, KINDS)))
    box.start(text)
    box.start(text + '[device]\nsite = "north"\n')
    assert ("config", 'device.site = "north" (before: "default")', "") in box.noted()
