"""Each layout's decoding against a loop that is plainly right."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from agent.config.schema import ModelSettings
from agent.detection.layouts import LAYOUTS
from agent.detection.recognise import NAMES

unit = st.floats(0, 1, width=16)
SIZE = (64, 128)
BY_NAME = {layout.name: layout for layout in LAYOUTS}


def plain(rows, threshold):
    """Rows (cx, cy, w, h, class scores...) to (box, score, class) above the threshold, one by one."""
    found = []
    for cx, cy, w, h, *scores in rows.astype(np.float32).tolist():
        if max(scores) > threshold:
            box = (cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2)
            found.append((*box, max(scores), scores.index(max(scores))))
    return np.array(found, np.float32).reshape(-1, 6)


def decoded(output, layout, threshold):
    found = BY_NAME[layout].decode(output, threshold, SIZE)
    assert found.boxes.dtype == found.scores.dtype == np.float32
    assert found.class_ids.dtype == np.int64
    return np.concatenate((found.boxes, found.scores[:, None], found.class_ids[:, None]), axis=1)


@settings(max_examples=40, deadline=None)
@given(hnp.arrays(np.float32, st.tuples(st.just(7), st.integers(0, 30)), elements=unit), unit)
def test_channels_and_the_same_transposed(output, threshold):
    assert np.allclose(decoded(output, "channels", threshold), plain(output.T, threshold))
    assert np.allclose(decoded(output.T, "transposed", threshold), plain(output.T, threshold))


@settings(max_examples=40, deadline=None)
@given(hnp.arrays(np.float16, st.tuples(st.just(7), st.integers(0, 30)), elements=unit), unit)
def test_channels_in_half_precision(output, threshold):
    assert np.allclose(decoded(output, "channels", threshold), plain(output.T, threshold))


@settings(max_examples=40, deadline=None)
@given(hnp.arrays(np.float32, st.tuples(st.integers(0, 30), st.just(8)), elements=unit), unit)
def test_rows_score_objectness_times_class(output, threshold):
    rows = np.concatenate((output[:, :4], output[:, 4:5] * output[:, 5:]), axis=1)
    assert np.allclose(decoded(output, "rows", threshold), plain(rows, threshold))


def test_of_one_class_the_objectness_counts_as_its_class_score_is_not_trained():
    output = np.array([[10, 10, 4, 4, 0.9, 0.5], [10, 10, 4, 4, 0.2, 0.99998]], np.float32)
    assert np.allclose(decoded(output, "rows", 0.25), [[8, 8, 12, 12, 0.9, 0]])


def test_end_to_end_is_taken_as_it_is():
    output = np.array([[1, 2, 3, 4, 0.9, 5], [1, 2, 3, 4, 0.25, 7], [0, 0, 0, 0, 0, 0]], np.float32)
    assert np.allclose(decoded(output, "end2end", 0.25), output[:1])


@settings(max_examples=40, deadline=None)
@given(hnp.arrays(np.float32, st.tuples(st.integers(0, 30), st.just(7)), elements=unit), unit)
def test_rtdetr_gives_shares_of_the_input(output, threshold):
    rows = output * ([SIZE[1], SIZE[0]] * 2 + [1] * 3)
    assert np.allclose(decoded(output, "rtdetr", threshold), plain(rows, threshold), atol=1e-4)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_not_a_number_is_no_detection_and_an_infinite_box_is_none_either(layout):
    by_row = layout.name != "channels"
    output = np.full((7, 6) if by_row else (7, 8), np.nan, np.float32)
    assert len(layout.decode(output, 0.25, SIZE)) == 0
    output = np.ones_like(output)
    assert len(layout.decode(output, 0.25, SIZE)) == len(output if by_row else output.T)
    output[(slice(None), 0) if by_row else 0] = np.inf
    assert len(layout.decode(output, 0.25, SIZE)) == 0


def test_the_config_knows_every_layout():
    assert tuple(ModelSettings.__dataclass_fields__["layout"].metadata["choices"]) == NAMES
