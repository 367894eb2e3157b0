import json

import numpy as np
import pytest

from agent.core.errors import ReferenceMismatch
from agent.delivery.messages import Stamp, encode, sketch_draft
from agent.references.offline.fleet_merge import Merger, rows
from tests.references.conftest import NOON, SUBJECT, Source, recorded


def message(window, seq, device="box", model=SUBJECT.model_sha256):
    body = {**window.to_body(24), "model_sha256": model}
    draft = sketch_draft(window.camera, {}, body, start=window.start, end=window.end)
    return encode(draft, Stamp(prefix="v/s/box", device=device, boot="b-1", seq=seq, at=window.end)).payload


def test_a_days_messages_of_two_boxes_give_the_quantiles_of_all_their_frames():
    merger, every = Merger(), []
    for device in ("a", "b"):
        source = Source(seed=ord(device))
        for seq in range(1, 41):
            window, vectors = source.window()
            every.append(vectors)
            merger.process(message(window, seq, device))
    (group,) = merger.groups.values()
    assert (group.windows, group.sources) == (80, {"a/front", "b/front"})
    row = rows(group)[0]
    values = np.concatenate(every)[:, 0]
    assert row.count == values.size
    ranks = [np.mean(values <= quantile) for quantile in row.quantiles]
    assert ranks == pytest.approx([0.01, 0.1, 0.5, 0.9, 0.99], abs=0.03)


def test_against_a_reference_the_feature_that_drifted_stands_first():
    merger, source = Merger(), Source(seed=6)
    for seq in range(1, 21):
        merger.process(message(source.window(tint=2)[0], seq))
    reference = recorded(windows=30).make(NOON, final=True).reference
    (group,) = merger.groups.values()
    found = rows(group, reference)
    assert found[0].feature == "tint"
    assert found[0].ks > 0.6
    assert found[0].psi > 1.0
    assert max(row.ks for row in found[1:]) < 0.2
    assert found[0].quantiles[2] > found[0].normal[2]


def test_other_models_are_kept_apart_and_not_compared_with_the_wrong_reference():
    merger, source = Merger(), Source()
    merger.process(message(source.window()[0], 1))
    merger.process(message(source.window()[0], 2, model="b" * 64))
    assert len(merger.groups) == 2
    reference = recorded(windows=12).make(NOON, final=True).reference
    with pytest.raises(ReferenceMismatch, match="another model"):
        rows(list(merger.groups.values())[1], reference)


def test_what_comes_twice_counts_once_and_what_is_no_sketch_is_counted_apart():
    merger, source = Merger(), Source()
    payload = message(source.window()[0], 1)
    torn = json.loads(payload)
    torn["brightness_kll"] = torn["brightness_kll"][:10]
    merger.hear_lines(
        [
            payload,
            b"vedette/s/box/sketch/front " + payload,
            b'{"schema": "camera/1"}',
            b"",
            b"{",
            json.dumps(torn),
        ]
    )
    assert (merger.twice, merger.others, merger.damaged) == (1, 1, 2)
    assert next(iter(merger.groups.values())).windows == 1


def test_a_message_stays_small():
    assert len(message(Source(samples=120).window()[0], 1)) < 6000
