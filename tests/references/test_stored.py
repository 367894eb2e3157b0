import json

import numpy as np
import pytest

from agent.core.errors import ReferenceMismatch
from agent.drift.storage import sealed
from agent.references.stored import StoredReference


def test_a_reference_survives_being_written(stored):
    again = StoredReference.from_text(stored.to_text())
    assert again.id == stored.id
    assert again.low == pytest.approx(stored.low, rel=1e-6, nan_ok=True)
    assert again.embedding.limit() == stored.embedding.limit()
    assert again.about() == stored.about()


def test_it_says_what_it_is_in_a_line(stored):
    about = stored.about()
    assert about["made_by"] == "asked"
    assert about["covered"] == 3600.0
    assert about["provisional"] is True
    assert about["hours"] == [12]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not JSON"),
        ("{", "not JSON, or was cut off"),
        ("[1]", "something else"),
        ('{"name": "a tool of another kind"}', "something else"),
        ('{"format": "vedette-reference", "version": 99}', "format version 99"),
        (b"\xff\xfe\x00", "not JSON"),
    ],
)
def test_a_foreign_file_is_refused_with_clear_words(text, said):
    with pytest.raises(ReferenceMismatch, match=said):
        StoredReference.from_text(text)


def test_a_truncated_or_tampered_file_is_refused(stored):
    text = stored.to_text()
    for share in (0.01, 0.3, 0.6, 0.99):
        with pytest.raises(ReferenceMismatch):
            StoredReference.from_text(text[: int(share * len(text))])
    for change in ({"frames": None}, {"frames": {}}, {"hours": {}}, {"origin": {}}, {"calibration": {}}):
        with pytest.raises(ReferenceMismatch):
            StoredReference.from_text(json.dumps(json.loads(text) | change))
        with pytest.raises(ReferenceMismatch):
            StoredReference.from_text(sealed(json.loads(text) | change))
    body = json.loads(text)
    body["frames"]["low"] = body["frames"]["low"][:-1]
    with pytest.raises(ReferenceMismatch, match="checksum"):
        StoredReference.from_text(json.dumps(body))
    with pytest.raises(ReferenceMismatch, match="another length"):
        StoredReference.from_text(sealed(body))


def test_features_that_were_never_seen_have_no_limits(stored):
    body = json.loads(stored.to_text())
    body["frames"]["low"][3] = None
    assert np.isnan(StoredReference.from_text(sealed(body)).low[3])
