import errno
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from agent.core.errors import VedetteError
from agent.core.untrusted import BadInput
from agent.maintenance.samples import store as store_module
from agent.maintenance.samples.sample import from_json, id_of, is_id, to_json
from agent.maintenance.samples.store import SampleStore
from tests.maintenance.samples.conftest import NOON, box, sample


def names(store):
    return [one.sample.id for one in store.samples()]


def test_a_sample_is_kept_with_its_image_and_found_again(tmp_path, jpeg):
    one = sample(boxes=[box()])
    SampleStore(tmp_path).put(one, jpeg)
    [kept] = SampleStore(tmp_path).samples()
    assert kept.sample == one
    assert kept.image.read_bytes() == jpeg
    assert kept.size > len(jpeg)
    assert list(SampleStore(tmp_path).samples("other")) == []


def test_labels_are_kept_beside_what_the_model_found(tmp_path, jpeg):
    store = SampleStore(tmp_path)
    store.put(sample(boxes=[box()]), jpeg)
    [kept] = store.samples()
    store.label(kept, (box(class_id=1, score=1.0),))
    [again] = store.samples()
    assert again.sample == replace(kept.sample, labels=(box(class_id=1, score=1.0),))


def test_the_oldest_go_first_and_those_with_labels_last(tmp_path, jpeg):
    store = SampleStore(tmp_path)
    for second in range(6):
        store.put(sample(1000.0 * second), jpeg)
    first, *_, last = store.samples()
    store.label(first, ())
    size = sum(one.size for one in store.samples())
    gone = store.bound(size - last.size, NOON + 1500)
    assert [one.sample.captured_at - NOON for one in gone] == [1000.0]
    assert len(names(store)) == 5
    store.bound(first.size + 10, NOON)
    assert names(store) == [first.sample.id]
    store.bound(0, NOON)
    assert not list(tmp_path.rglob("*.jp*"))


@pytest.mark.parametrize("write", [1, 2])
def test_a_full_disk_leaves_no_half_of_a_sample(tmp_path, jpeg, monkeypatch, write):
    store, writes, real = SampleStore(tmp_path), [], store_module.write_atomic

    def full(path, data):
        writes.append(path)
        if len(writes) == write:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(path, data)

    monkeypatch.setattr(store_module, "write_atomic", full)
    with pytest.raises(OSError, match="No space"):
        store.put(sample(), jpeg)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_what_a_kill_left_is_removed_and_no_sample(tmp_path, jpeg):
    store = SampleStore(tmp_path)
    store.put(sample(), jpeg)
    [kept] = store.samples()
    alone = kept.image.with_name(id_of("front", NOON + 5, "blink") + ".jpg")
    alone.write_bytes(jpeg)
    half = kept.image.with_name(".x.tmp")
    half.write_bytes(b"")
    assert len(names(store)) == 1
    store.clean()
    assert names(store) == [kept.sample.id]
    assert not alone.exists() and not half.exists() and kept.image.exists()


@pytest.mark.parametrize(
    "damage",
    [
        b"", b"{}", b"[]", b"\xff", b'{"id": "../../../etc/passwd"}', b"null", b"[" * 10_000, b'{"id": 7}',
    ],
)  # fmt: skip
def test_a_damaged_file_is_passed_over_and_the_others_are_read(tmp_path, jpeg, damage):
    store = SampleStore(tmp_path)
    store.put(sample(0.0), jpeg)
    store.put(sample(1.0), jpeg)
    first, second = store.samples()
    first.image.with_suffix(".json").write_bytes(damage)
    assert names(store) == [second.sample.id]


def test_a_link_in_place_of_an_image_is_not_followed(tmp_path, jpeg):
    store = SampleStore(tmp_path)
    store.put(sample(), jpeg)
    [kept] = store.samples()
    kept.image.unlink()
    kept.image.symlink_to("/etc/passwd")
    assert names(store) == []


@pytest.mark.parametrize(
    "change",
    [
        {"id": "x"}, {"id": "../a-20260131T120000.000Z-audit"}, {"width": 0}, {"captured_at": 1e18},
        {"found": [[0, 0.5, 0.5, 0.1]]}, {"found": [[0, 0.5, 0.5, 0.1, 7, 0.5]]}, {"labels": [1]}, {"found": None},
        {"threshold": "high"}, {"model": 7},
    ],
)  # fmt: skip
def test_what_is_no_sample_is_refused(change):
    whole = to_json(sample(boxes=[box()]))
    assert from_json(json.loads(json.dumps(whole))) == sample(boxes=[box()])
    with pytest.raises(BadInput):
        from_json({**whole, **change})


def test_an_id_is_a_plain_file_name():
    assert is_id(id_of("front_2-b", NOON + 0.25, "near_threshold"))
    for text in ("a/b-20260131T120000.000Z-audit", "-", "..", "front-20260131T120000.000Z-", "x" * 300):
        assert not is_id(text)


def test_class_names_that_labels_added_stay_when_the_model_is_seen_again(tmp_path):
    store = SampleStore(tmp_path)
    store.set_classes("m", ("person", "car"))
    store.set_classes("m", ("person", "car", "van"))
    store.set_classes("m", ("person", "car"))
    store.set_classes("n", ("dog",))
    assert store.classes() == {"m": ("person", "car", "van"), "n": ("dog",)}


def test_class_names_that_several_add_at_once_all_stay_and_keep_their_numbers(tmp_path):
    """The agent and commands that import labels: what one wrote, another must not replace by what it read before."""
    begin, given = threading.Barrier(4), {}

    def agent():
        begin.wait()
        for number in range(20):
            SampleStore(tmp_path).set_classes(f"model {number}", ("person", "car"))

    def command(who):
        begin.wait()
        for number in range(20):
            name = f"{who} {number}"
            given[name] = SampleStore(tmp_path).add_classes("m", ("person", "car"), [name, "van"]).index(name)

    with ThreadPoolExecutor() as pool:
        tasks = [pool.submit(agent), *(pool.submit(command, who) for who in "abc")]
    assert not [task.exception() for task in tasks if task.exception()]
    classes = SampleStore(tmp_path).classes()
    assert len(classes) == 21
    assert {name: classes["m"].index(name) for name in given} == given
    assert len(classes["m"]) == len(set(classes["m"])) == 2 + 1 + 60


def test_what_labels_added_stays_where_the_names_of_the_model_come_later(tmp_path):
    """Its own were lost with a damaged file: labels were imported by numbers."""
    store = SampleStore(tmp_path)
    assert store.add_classes("m", ("class0", "class1"), ["van"]) == ("class0", "class1", "van")
    store.set_classes("m", ("person", "car"))
    assert store.classes() == {"m": ("person", "car", "van")}


@pytest.mark.parametrize("damage", ["{", '{"m": "person"}', "[]"])
def test_class_names_that_are_damaged_are_named_and_set_aside_and_never_taken_for_none(tmp_path, damage):
    store = SampleStore(tmp_path)
    store.set_classes("m", ("person", "car"))
    file = store.folder / "classes.json"
    file.write_text(damage)
    with pytest.raises(VedetteError, match=r"classes\.json cannot be read: .*put it back from a backup"):
        store.classes()
    with capture_logs() as logs:
        store.set_classes("n", ("dog",))
    assert store.classes() == {"n": ("dog",)}
    assert file.with_suffix(".damaged").read_text() == damage
    assert [one["event"] for one in logs] == ["the class names of the samples so far are damaged"]


def test_more_class_names_than_a_message_may_have_are_read_again(tmp_path):
    store, names = SampleStore(tmp_path), tuple(f"{number:0200d}" for number in range(10_000))
    store.set_classes("m", names)
    store.set_classes("n", ("dog",))
    assert store.classes() == {"m": names, "n": ("dog",)}


def test_class_names_that_cannot_be_read_just_now_are_not_replaced(tmp_path, monkeypatch):
    store = SampleStore(tmp_path)
    store.set_classes("m", ("person", "car"))
    before = (store.folder / "classes.json").read_bytes()

    def failing(_path, _largest):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(store_module, "read_small", failing)
    with pytest.raises(OSError, match="Input/output"):
        store.set_classes("n", ("dog",))
    with pytest.raises(VedetteError, match="Input/output"):
        store.classes()
    assert (store.folder / "classes.json").read_bytes() == before


def test_the_size_is_told_while_a_command_deletes_samples(tmp_path, jpeg):
    store = SampleStore(tmp_path)
    store.put(sample(), jpeg)
    [kept] = store.samples()
    size = store.size()
    kept.image.with_name("gone.json").symlink_to("nowhere")  # listed, and not there when it is asked
    assert size <= store.size() < size + 100
