"""A reference of several days is built in a process of its own."""

import pytest

from agent.core.errors import ReferenceMismatch
from agent.references import growth_process
from agent.references.growth_process import build_beside, joined
from agent.references.store import DAYS, ReferenceStore
from tests.references.conftest import NOON, Source, recorded


@pytest.fixture
def store(tmp_path):
    """Two recordings of an hour, one after the other."""
    made, source = ReferenceStore(tmp_path), Source()
    for name in DAYS[:2]:
        made.write("front", name, recorded(source=source).to_text())
    return made


def test_it_is_what_both_together_make(store):
    made = build_beside(store, "front", 2)
    assert made.final
    assert made.reference.origin.covered == 7200.0
    assert (made.reference.origin.start, made.reference.origin.end) == (NOON, NOON + 7200.0)
    assert made.reference.origin.made_at == NOON + 7200.0
    assert made.reference.seen == joined(store, "front", 2).make(NOON, final=True).reference.seen
    assert made.embedding.count == 60 * 8, (
        "what is known of single frames is the last day's, which goes on from day to day"
    )


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda store: store.delete("front", DAYS[1]), r"day-2\.json\.gz is missing"),
        (lambda store: store.write("front", DAYS[0], "{"), "damaged"),
        (lambda store: store.write("front", DAYS[0], '{"format": "vedette-recording"}'), "damaged"),
    ],
)
def test_what_cannot_be_read_is_told_and_nothing_is_built(store, damage, words):
    damage(store)
    with pytest.raises(ReferenceMismatch, match=words):
        build_beside(store, "front", 2)


def test_no_day_makes_none(store):
    with pytest.raises(ReferenceMismatch, match="no day is recorded"):
        joined(store, "front", 0)


def test_a_process_that_takes_too_long_is_ended(store, monkeypatch):
    monkeypatch.setattr(growth_process, "LONGEST_SECONDS", 0.01)
    with pytest.raises(ReferenceMismatch, match="it took over 0 s"):
        build_beside(store, "front", 2)


def test_how_it_ended_is_told(store, monkeypatch):
    for code, words in [
        ("raise SystemExit(7)", "with code 7"),
        ("import os; os.kill(os.getpid(), 9)", "by signal 9"),
    ]:
        monkeypatch.setattr(
            growth_process,
            "own_python",
            lambda _module, code=code: [growth_process.sys.executable, "-c", code],
        )
        with pytest.raises(ReferenceMismatch, match=words):
            build_beside(store, "front", 2)
