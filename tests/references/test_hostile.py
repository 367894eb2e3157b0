"""References that nobody signed: a checksum that fits proves nothing, so every value is held to what one can be."""

import base64
import dataclasses
import json
import random
import resource
import time
import tracemalloc

import numpy as np
import pytest
import structlog

from agent.core.errors import ReferenceMismatch, VedetteError
from agent.core.kll import Sketch
from agent.drift.judge import DriftJudge
from agent.drift.storage import sealed
from agent.features.distance import EmbeddingModel
from agent.references.offline.compare import compare
from agent.references.outliers import OutlierLimits
from agent.references.sampling import SampledFrame
from agent.references.store import JUDGE, ReferenceStore
from agent.references.stored import StoredReference
from tests.references.conftest import NOON, Source


@pytest.fixture(scope="module")
def text(stored):
    return stored.to_text()


def forged(text, *path, value):
    """The same file with one value changed and a checksum that fits."""
    body = json.loads(text)
    place = body
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return sealed(body)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("frames", "low", 0), 1e39, "`low`"),
        (("frames", "low", 0), "1", "`low` is a string"),
        (("frames", "high"), 7, "`high` is a number"),
        (("frames", "final"), 1, "`final` is a number; expected true or false"),
        (("frames", "made_by"), {}, "`made_by` is an object"),
        (("frames", "embedding"), [], "`embedding` is a list"),
        (("frames", "embedding", "count"), -1, "`count`"),
        (("frames", "embedding", "count"), 10**18, "`count`"),
        (("frames", "embedding", "count"), 1.5, "whole number"),
        (("frames", "embedding", "dimensions"), "32", "`dimensions`"),
        (("frames", "embedding", "mean"), "A" * 4_000_000, "`mean` has 4000000 characters"),
        (("frames", "embedding", "scatter"), "AAAA", "`scatter`"),
        (("origin", "made_at"), 1e300, "`made_at`"),
        (("origin", "camera"), ["front"], "`camera` is a list"),
        (("calibration", "tails", "joint"), [1e-320], "`joint`"),
        (("hours", "12", "sketches", 0), "A" * 1_000_000, "more than 65536 bytes"),
        (("hours", "12", "log_steps"), None, "`log_steps` is null"),
    ],
)
def test_what_no_reference_holds_is_refused_by_the_fields_name(text, path, value, words):
    with pytest.raises(ReferenceMismatch) as caught:
        StoredReference.from_text(forged(text, *path, value=value))
    assert words in str(caught.value)
    assert len(str(caught.value)) < 300
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999", "9" * 5000, "-1e400"])
def test_what_strict_json_refuses_is_refused(text, number):
    body = text.replace('"final":true', f'"final":{number}')
    assert body != text
    with pytest.raises(ReferenceMismatch, match="not JSON"):
        StoredReference.from_text(body)


def test_deep_and_large_files_are_refused_at_once():
    began = time.monotonic()
    for raw in ("[" * 1_000_000, '{"a":' * 100_000, "x" * (17 << 20), b"\xff" * 99):
        with pytest.raises(ReferenceMismatch):
            StoredReference.from_text(raw)
    assert time.monotonic() - began < 5


def test_names_out_of_a_file_are_printable(text):
    read = StoredReference.from_text(forged(text, "origin", "camera", value="\x1b]52;c;cm0=\x07"))
    assert read.reference.origin.camera.isprintable()
    with pytest.raises(ReferenceMismatch, match="not a feature's name"):
        StoredReference.from_text(forged(text, "origin", "features", 0, value="../../../root/x"))


def test_a_scatter_that_no_embeddings_have_is_refused(stored):
    data = stored.embedding.to_json()
    upper = np.zeros(32 * 33 // 2)
    upper[0] = -1e6
    data["scatter"] = base64.b64encode(upper.astype("<f8").tobytes()).decode()
    with pytest.raises(ReferenceMismatch, match="`scatter`"):
        EmbeddingModel.from_json(data)
    assert EmbeddingModel.from_json(EmbeddingModel().to_json()).count == 0


# -- sketches -----------------------------------------------------------------------------------------------


def blob(count=1, k=200, levels=1, coarsest=200, starts=(199,), ends=(0.0, 0.0), items=(0.0,)):
    head = np.array([5, 1, 15, 0], np.uint8).tobytes() + np.array([k], "<u2").tobytes() + b"\x08\0"
    full = np.array([count], "<u8").tobytes() + np.array([coarsest], "<u2").tobytes() + bytes([levels, 0])
    return head + full + np.array(starts, "<u4").tobytes() + np.array([*ends, *items], "<f4").tobytes()


def test_the_blob_of_these_tests_is_one():
    assert Sketch.from_bytes(blob()).count == 1
    assert Sketch.from_bytes(blob(2, starts=(198,), ends=(1, 2), items=(2, 1))).quantiles([1.0]) == [2.0]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"count": 2**63}, "nobody has seen"),
        ({"count": 2**50}, "nobody has seen"),
        ({"count": 0}, "nobody has seen"),
        ({"count": 5}, "does not fit"),
        ({"k": 65535, "starts": (65534,)}, "finer than"),
        ({"coarsest": 0}, "smallest k"),
        ({"coarsest": 400}, "smallest k"),
        ({"levels": 61}, "too short"),
        ({"starts": (2**31,)}, "out of order"),
        ({"ends": (float("nan"), 0)}, "not a number"),
        ({"ends": (1, 2)}, "beyond its own ends"),
        ({"items": (float("inf"),)}, "not a number"),
    ],
)
def test_sketches_that_claim_more_than_they_hold_are_refused(wrong, words):
    with pytest.raises(ValueError, match=words):
        Sketch.from_bytes(blob(**wrong))


def test_a_level_out_of_order_is_refused():
    values = np.random.default_rng(1).standard_normal(5000).astype(np.float32)
    sketch = Sketch()
    sketch.update(values)
    raw = bytearray(sketch.to_bytes())
    raw[-8:-4], raw[-4:] = raw[-4:], raw[-8:-4]
    with pytest.raises(ValueError, match="out of order"):
        Sketch.from_bytes(bytes(raw))


@pytest.mark.parametrize("text", [None, 7, [], "", "?", "AAAA", "A" * 10_000_000, "\x00", "é"])
def test_texts_that_are_no_sketches_are_refused(text):
    with pytest.raises(ValueError, match="not a KLL sketch"):
        Sketch.from_text(text)


def fuzz_sketches(inputs, seed):
    """Damaged sketches: what is read can be used and merged; returns how many were."""
    draw, total, read = random.Random(seed), Sketch(), 0
    wholes = []
    for count in (0, 1, 2, 150, 3000):
        sketch = Sketch()
        sketch.update(np.random.default_rng(count).standard_normal(count).astype(np.float32))
        wholes.append(sketch.to_bytes())
    for _ in range(inputs):
        raw = bytearray(draw.choice(wholes))
        for _ in range(draw.randrange(1, 4)):
            at = draw.randrange(len(raw)) if draw.random() < 0.5 else draw.randrange(min(len(raw), 40))
            raw[at] = draw.randrange(256)
        if draw.random() < 0.2:
            del raw[draw.randrange(len(raw)) :]
        try:
            sketch = Sketch.from_bytes(bytes(raw))
        except ValueError:
            continue
        read += 1
        assert np.isfinite(sketch.quantiles([0.0, 0.5, 1.0])).all() or not sketch.count
        total.merge(sketch.compact(32))
    return read


def test_damaged_sketches_are_refused_or_usable():
    assert fuzz_sketches(2_000, seed=1) > 50


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_hundred_thousand_damaged_sketches_are_refused_or_usable():
    fuzz_sketches(2_000, seed=2)
    tracemalloc.start()
    assert fuzz_sketches(100_000, seed=3) > 2_000
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 2_000_000


# -- whole references -----------------------------------------------------------------------------------------

VALUES = [
    None, True, False, 0, -1, 1, 2**31, -(2**31), 2**63 - 1, 1e-320, 1e30, -1e300, 1.7e308, 0.5, "", "x", "AAAA", "\x1b[2J",
    "A" * 9000, [], {}, [[]], [0] * 300, {"0": 0},
]  # fmt: skip


def places(value, path=()):
    """Where the values of a body are."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield from places(one, (*path, key))


def mutated_array(draw, text):
    """Other numbers in the bytes of an array."""
    raw = bytearray(base64.b64decode(text))
    if len(raw) >= 8:
        at = draw.randrange(len(raw) // 8) * 8
        raw[at : at + 8] = np.array(
            [draw.choice([0, -1, 1e-300, 1e300, np.nan, np.inf, 1e29, -1e29])]
        ).tobytes()
    return base64.b64encode(bytes(raw)).decode()


def change(draw, body, known):
    """Change one or two values of a body; what undoes it."""
    undo = []
    for _ in range(draw.randrange(1, 3)):
        path, place = draw.choice(known), body
        try:
            for key in path[:-1]:
                place = place[key]
            old = place[path[-1]]
        except (KeyError, IndexError, TypeError):
            continue  # inside of what was replaced before
        if not isinstance(place, (dict, list)):
            continue
        whole = isinstance(old, str) and len(old) > 60 and draw.random() < 0.7
        place[path[-1]] = mutated_array(draw, old) if whole else draw.choice(VALUES)
        undo.append((place, path[-1], old))
    return undo[::-1]


def fuzz(text, inputs, seed, *, whole=True, judged=False):
    """References with a few values changed and right checksums: refused, or good to judge by. How many were read.

    Not `whole`: the values alone, without writing and parsing a file each time.
    """
    draw, body = random.Random(seed), json.loads(text)
    del body["checksum"]
    known = [path for path in places(body) if path]
    windows = [Source().window()[0] for _ in range(3)]
    other, read = StoredReference.from_text(text), 0
    for _ in range(inputs):
        undo = change(draw, body, known)
        try:
            found = StoredReference.from_text(sealed(body)) if whole else StoredReference.from_body(body)
            read += 1
        except ReferenceMismatch as error:
            assert len(str(error)) < 500
            continue
        finally:
            for place, key, old in undo:
                place[key] = old
        if judged:
            use(found, windows, other)
    return read


def use(found, windows, other):
    """Whatever is read can be judged by, shown and compared: nothing but an error of the tree comes of it."""
    found.about()
    with np.errstate(all="ignore"):
        try:
            judge = DriftJudge(found.reference)
            for window in windows:
                judge.judge(window, window.end)
            frame = SampledFrame(
                vector=np.zeros(len(found.low), np.float32), embedding=np.ones(64, np.float32)
            )
            OutlierLimits(found).count([frame])
            compare(found.reference, other.reference)
        except (VedetteError, ValueError) as error:
            assert isinstance(error, VedetteError) or "features" in str(error), repr(error)


def test_forged_references_are_refused_or_can_be_judged_by(text):
    assert fuzz(text, 150, seed=5, judged=True) > 10


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_thousand_forged_references_are_refused_or_can_be_judged_by(text):
    assert fuzz(text, 2_000, seed=6, judged=True) > 200


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_hundred_thousand_forged_references_are_refused_or_read(text):
    fuzz(text, 2_000, seed=7, whole=False)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert fuzz(text, 100_000, seed=8, whole=False) > 1_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 30_000  # kB


# -- in the running agent -------------------------------------------------------------------------------------


def test_the_agent_says_once_what_is_wrong_with_a_reference_and_goes_on_without(room, stored, source):
    place = room(auto_reference=False)
    version = place.store.put("front", dataclasses.replace(stored))
    path = place.store.folder("front") / version.name
    path.write_text(forged(path.read_text(), "origin", "made_at", value=1e300))
    with structlog.testing.capture_logs() as logs:
        place.monitor.open(NOON)
        place.feed(source, 3)
        place.monitor.reload(NOON)
    said = [entry for entry in logs if "cannot be judged by" in entry["event"]]
    assert len(said) == 1
    assert version.name in said[0]["reason"]
    assert "`made_at`" in said[0]["reason"]
    assert place.monitor.status()["reference"] is None


def test_state_of_the_judge_that_somebody_changed_is_left_aside(room, stored, source, tmp_path):
    place = room(auto_reference=False)
    place.store.put("front", stored)
    for raw in ("[1]", '{"judge": [], "history": []}', '{"judge": {}, "history": 3}', "[" * 50_000, "\x00"):
        ReferenceStore(tmp_path).write("front", JUDGE, raw)
        monitor = place.new()
        with structlog.testing.capture_logs() as logs:
            monitor.open(NOON)
        assert [entry for entry in logs if "cannot be used" in entry["event"]], raw
        place.feed(source, 1)
