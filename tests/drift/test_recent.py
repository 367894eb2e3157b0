import json

import numpy as np
import pytest

from agent.core.untrusted import BadInput
from agent.drift.evidence import look
from agent.drift.recent import DIRECTIONS, HOUR_SECONDS, KEPT_BLOCKS, SHORT_SECONDS, RecentWeek
from agent.drift.sketch import Window
from tests.drift.conftest import MIDNIGHT, NAMES, Camera

NOTHING = np.zeros(DIRECTIONS)


def window(start, seconds=60.0, values=3):
    collector = Window("front", NAMES, "1", interval=2.0)
    rows = np.tile(np.arange(len(NAMES), dtype=np.float32), (values, 1)) + start % 7
    collector.extend(rows, [0, 1], at=start + 2.0 * np.arange(values))
    return collector.close(start, start + seconds)


def filled(hours, start=MIDNIGHT, every=60.0):
    recent = RecentWeek()
    for number in range(int(hours * 3600 / every)):
        recent.add(window(start + every * number, every), NOTHING, 0, alarmed=False)
    return recent


def test_blocks_are_short_at_first_and_hours_later_and_lose_no_window():
    recent = filled(8)
    lengths = [each.end - each.start for each in recent.blocks]
    assert lengths[0] == HOUR_SECONDS
    assert lengths[-1] == SHORT_SECONDS
    assert sum(each.windows for each in recent.blocks) == 8 * 60
    assert sum(each.classes[1] for each in recent.blocks) == 8 * 60


def test_a_week_is_kept_and_no_more_in_bounded_room():
    recent = filled(15 * 24, every=600.0)
    assert 7 <= (recent.blocks[-1].end - recent.blocks[0].start) / 86400.0 <= 9
    assert len(recent.blocks) == KEPT_BLOCKS
    assert len(json.dumps(recent.state())) < 400_000


def test_since_leaves_out_the_block_that_began_before():
    recent = filled(1)
    assert recent.since(MIDNIGHT + 601)[0].start == MIDNIGHT + 900
    assert recent.since(MIDNIGHT + 600)[0].start == MIDNIGHT + 600
    assert not recent.since(MIDNIGHT + 7200)


def test_where_the_clock_goes_back_what_lay_ahead_is_discarded():
    recent = filled(1)
    recent.add(window(MIDNIGHT + 1200), NOTHING, 0, alarmed=True)
    assert max(each.start for each in recent.blocks) <= MIDNIGHT + 1200
    starts = [each.start for each in recent.blocks]
    assert starts == sorted(starts)


@pytest.mark.parametrize("ahead", [3600.0, 10 * 86400.0, 3650 * 86400.0])
def test_a_clock_that_is_ahead_for_a_while_empties_nothing(ahead):
    """After ten days ahead for some minutes there was nothing left to accept."""
    recent, hours = filled(8), 8 * HOUR_SECONDS
    for number in range(10):
        recent.add(window(MIDNIGHT + ahead + hours + 60.0 * number), NOTHING, 0, alarmed=False)
    recent.add(window(MIDNIGHT + hours + 600), NOTHING, 0, alarmed=False)
    assert sum(each.windows for each in recent.since(MIDNIGHT)) == 8 * 60 + 1


def test_means_are_those_of_the_windows():
    recent, camera = RecentWeek(), Camera(4)
    windows = list(camera.windows(5))
    for each in windows:
        recent.add(each, NOTHING, 0, alarmed=False)
    (block,) = recent.blocks
    medians = np.mean([each.sketches[0].quantiles([0.5])[0] for each in windows])
    assert np.median(block.knots[0]) == pytest.approx(medians, rel=0.02)
    assert block.steps[0] == pytest.approx(np.mean([each.steps[0] for each in windows]), rel=1e-5)
    assert block.frames == sum(each.frames for each in windows)


def test_logarithms_are_those_of_the_windows_and_known_where_all_were_positive():
    recent, camera = RecentWeek(), Camera(4)
    windows = list(camera.windows(5))
    for each in windows:
        recent.add(each, NOTHING, 0, alarmed=False)
    (block,) = recent.blocks
    sharpness, boxes, constant = (NAMES.index(name) for name in ("sharpness", "boxes", "constant"))
    logs = [np.log(look(each).knots[0, sharpness]).mean() for each in windows]
    assert block.logs[sharpness] == pytest.approx(np.mean(logs), rel=1e-5)
    assert block.logs[sharpness] < np.log(block.knots[sharpness]).mean() - 0.05
    assert np.isnan(block.logs[boxes]), "a count that is 0 at times has none"
    steps = [np.log(each.steps[sharpness]) for each in windows]
    assert block.log_steps[sharpness] == pytest.approx(np.mean(steps), rel=1e-5)
    assert np.isnan(block.log_steps[constant])


def test_blocks_of_an_earlier_version_are_read_and_know_no_logarithms():
    state = filled(1).state()
    for block in state:
        del block["log_sums"], block["squares"]
    again = RecentWeek.restore(state, len(NAMES))
    assert again.blocks[0].windows == filled(1).blocks[0].windows
    assert np.isnan(again.blocks[0].logs).all()
    assert np.isnan(again.blocks[0].squares).all()
    assert "squares" not in again.state()[0]


def test_squares_say_how_far_levels_were_from_their_mean_across_blocks_that_were_joined():
    recent, camera = RecentWeek(), Camera(4)
    windows = list(camera.windows(60))
    for each in windows:
        recent.add(each, NOTHING, 0, alarmed=False)
    whole = recent.blocks[0]
    for each in recent.blocks[1:]:
        whole.add(each)
    levels = np.array([look(each).knots[0].mean(axis=1) for each in windows])
    assert whole.squares[0, 0] == pytest.approx(
        ((levels - levels.mean(axis=0)) ** 2).sum(axis=0)[0], rel=1e-4
    )
    logs = np.array([np.log(look(each).knots[0, 1]).mean() for each in windows])
    assert whole.squares[1, 1] == pytest.approx(((logs - logs.mean()) ** 2).sum(), rel=1e-4)


def test_it_goes_on_after_a_restart():
    recent = filled(2)
    recent.add(window(MIDNIGHT + 7200), np.ones(DIRECTIONS), 3, alarmed=True)
    again = RecentWeek.restore(json.loads(json.dumps(recent.state())), len(NAMES))
    assert json.dumps(again.state()) == json.dumps(recent.state())
    assert again.blocks[-1].alarmed == 1
    assert again.blocks[-1].embeddings == 3


@pytest.mark.parametrize(
    "damage",
    [
        lambda state: state[0].pop("sums"),
        lambda state: state[0].update(sums="AAAA"),
        lambda state: state[0].update(log_sums="AAAA"),
        lambda state: state[0].update(squares="AAAA"),
        lambda state: state[0].update(windows=0),
        lambda state: state[0].update(start=1e300),
        lambda state: state[0].update(classes={"-1": 2}),
        lambda state: state[0].update(classes={"x": 2}),
        lambda state: state[0].update(embeddings=-1),
        lambda state: state.reverse(),
        lambda state: state.append(7),
        lambda state: state.extend(state * 1000),
    ],
)
def test_what_is_damaged_is_refused(damage):
    state = filled(1).state()
    damage(state)
    with pytest.raises(BadInput):
        RecentWeek.restore(state, len(NAMES))


def test_something_else_is_refused():
    with pytest.raises(BadInput):
        RecentWeek.restore({"blocks": 1}, len(NAMES))
