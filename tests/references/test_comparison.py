"""A feature now against the reference: what goes over the wire is what was seen, around the right hours."""

import json

import numpy as np
import pytest

from agent.core.errors import ReferenceMismatch, VedetteError
from agent.core.kll import Sketch
from agent.dashboard.web.drift import RANKS, compare_answer
from agent.delivery.messages import PAYLOAD_LIMIT, Stamp, encode, reply_draft
from agent.references.comparison import compare_feature
from tests.references.conftest import NOON, Source

VERDICTS = [{"end": NOON, "ratio": 0.2, "alarm": False, "words": "old"}, {"end": NOON, "ratio": 3.0, "alarm": True, "words": "drift of contrast\n  <b>"}]  # fmt: skip


def over_the_wire(body):
    """What a subscriber reads of an answer."""
    stamp = Stamp(prefix="vedette/n/b", device="b", boot="1", seq=1, at=NOON)
    message = encode(reply_draft("c1", {"command": "drift_feature", "id": "c1", "ok": True, **body}), stamp)
    assert len(message.payload) < PAYLOAD_LIMIT / 8
    return json.loads(message.payload)


def test_a_shift_is_seen_by_the_page_as_by_the_reference(stored):
    window, vectors = Source(start=NOON + 1800).window(contrast=6)
    found = compare_feature(stored, window.to_body(64), VERDICTS, "contrast")
    page = compare_answer(over_the_wire(found))
    normal, now = page["parts"]
    column = vectors[:, stored.reference.origin.features.index("contrast")]
    assert now["quantiles"] == pytest.approx(np.quantile(column, RANKS), abs=1.0)
    assert now["quantiles"][1] > normal["quantiles"][1] + 9
    assert normal["count"] > now["count"] == 30
    assert page["hours"] == found["hours"] == stored.reference.hours_around(NOON + 1830)
    assert (page["reference"], page["words"]) == (stored.id, "drift of contrast\n  <b>")
    assert page["start"] == NOON + 1800 and sum(now["share"]) == pytest.approx(1.0, abs=0.05)


def test_hours_around_midnight_are_neighbours(stored):
    reference = stored.reference
    hours = {hour: next(iter(reference.hours.values())) for hour in range(24)}
    whole = type(reference)(
        **{name: getattr(reference, name) for name in reference.__dataclass_fields__} | {"hours": hours}
    )
    day = NOON - NOON % 86400
    assert whole.hours_around(day + 10) == [0, 23]
    assert whole.hours_around(day + 86390) == [23, 0]
    assert whole.hours_around(day + 3600 * 13.9) == [13, 14]
    assert isinstance(whole.around(0, day), Sketch)


def test_what_cannot_be_compared_is_refused_by_name(stored):
    window, _ = Source().window()
    for arguments, words in (
        ((None, window.to_body(), []), "no reference"),
        ((stored, None, []), "no judged window"),
    ):
        with pytest.raises(ReferenceMismatch, match=words):
            compare_feature(*arguments, "contrast")
    with pytest.raises(ReferenceMismatch, match="did you mean 'contrast'"):
        compare_feature(stored, window.to_body(), [], "contrst")
    assert compare_feature(stored, window.to_body(), [], "contrast")["verdict"] is None


@pytest.mark.parametrize(
    "odd",
    [
        {}, {"ok": False, "error": "not allowed"}, {"ok": "yes"}, {"ok": True}, {"ok": True, "feature": 3},
        {"ok": True, "feature": "x", "hours": "all"}, {"ok": True, "feature": "x", "verdict": []},
        {"ok": True, "feature": "x", "hours": [1] * 99}, {"ok": True, "feature": "x", "start": "never"},
        {"ok": True, "feature": "x", "verdict": {"words": 3}}, {"ok": True, "feature": "x", "provisional": "no"},
    ],
)  # fmt: skip
def test_an_answer_that_is_none_is_refused(odd):
    with pytest.raises(VedetteError):
        compare_answer(odd)


def test_an_answer_of_broken_sketches_shows_nothing():
    body = {
        "ok": True,
        "feature": "x",
        "normal_kll": "AAAA",
        "recent_kll": 7,
        "hours": [25, 3, True, None][:2],
    }
    found = compare_answer(body)
    assert (found["parts"], found["axis"], found["hours"], found["words"]) == ([None, None], [], [3], "")
