"""Labels find their sample whatever a tool has made of its file's name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.errors import ConfigError
from agent.maintenance.samples.label_names import by_sample
from tests.maintenance.samples.conftest import sample

KNOWN = [sample(0.25, camera=camera).id for camera in ("front", "gate-2", "2", "gate-front")]
FRONT, GATE, TWO, BOTH = KNOWN


@pytest.mark.parametrize("known", KNOWN)
@pytest.mark.parametrize(
    "name",
    [
        "{id}",
        "1a2b3c4d-{id}",  # uploaded to Label Studio
        "ab12cd__{id}",  # fetched by Label Studio
        "{dashed}_jpg.rf.0123456789abcdef0123456789abcdef",  # Roboflow
        "{dotted}_jpg",
        "frames_{id} (1)",
    ],
)
def test_what_tools_add_to_a_name_does_not_hide_the_sample(known, name):
    stem = name.format(id=known, dashed=known.replace(".", "-"), dotted=known.replace(".", "_"))
    assert by_sample({stem: "labels"}, KNOWN) == {known: "labels"}


@pytest.mark.parametrize(
    "stem",
    [
        "",
        "README",
        FRONT[1:],
        f"x{FRONT}",
        FRONT.replace("audit", "blink"),
        sample(9.0).id,
        "front",
        "classes",
    ],
)
def test_other_files_are_of_no_sample(stem):
    assert by_sample({stem: "labels"}, KNOWN) == {}


@given(st.text(max_size=60), st.text(max_size=20))
def test_any_name_is_of_one_sample_or_none(before, after):
    found = by_sample({f"{before}{FRONT}{after}": 1}, KNOWN)
    assert len(found) <= 1 and set(found) <= set(KNOWN)


def test_an_image_that_a_tool_wrote_several_times_is_refused_unless_its_labels_are_the_same():
    twice = {f"{FRONT}_jpg.rf.{'a' * 32}": (1,), f"{FRONT}_jpg.rf.{'b' * 32}": (1,)}
    assert by_sample(twice, KNOWN) == {FRONT: (1,)}
    with pytest.raises(ConfigError, match="without augmentation"):
        by_sample({**twice, f"{FRONT}_jpg.rf.{'c' * 32}": (2,)}, KNOWN)
