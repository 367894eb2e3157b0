import numpy as np
import pytest

from agent.drift.contexts import Context, Contexts, informativeness, mix, overall_spread, pooled

RNG = np.random.default_rng(9)


def context(level, *, classes=(1.0, 3.0), step=0.0):
    values = np.sort(RNG.normal(level, 1.0, 400)).astype(np.float32)
    return Context(
        samples=[(values, np.ones(400, dtype=np.int64))],
        log_steps=np.array([step]),
        classes=np.array(classes),
    )


def contexts(**hours):
    every = {int(name[1:]): value for name, value in hours.items()}
    return Contexts(hours=every, spread=overall_spread(every, 1))


def middle_of(expected):
    return float(expected.table.values_at(np.array([[0.5]]))[0, 0])


def test_the_middle_of_an_hour_is_that_hour():
    found = contexts(h3=context(30), h4=context(40)).at(3.5 * 3600)
    assert middle_of(found) == pytest.approx(30.8, abs=0.5)  # the slot's middle, five minutes later
    assert found.hour == 3
    assert found.distance < 0.1


def test_between_two_hours_normal_moves_from_one_to_the_other():
    found = contexts(h3=context(30, step=0.0), h4=context(40, step=1.0)).at(4.0 * 3600)
    assert middle_of(found) == pytest.approx(35.8, abs=1.0)  # the slot's middle, five minutes later
    assert found.log_steps[0] == pytest.approx(0.583, abs=0.01)


def test_hours_go_round_midnight():
    every = contexts(h23=context(10), h0=context(20))
    assert every.around(0.0) == (23, 0, 0.5, 0.5)
    assert middle_of(every.at(86400 * 5 - 300)) == pytest.approx(14.5, abs=1.0)


def test_how_far_the_nearest_hour_is_known():
    assert contexts(h3=context(30)).around(9.5)[3] == 6.0
    assert contexts(h3=context(30)).at(9.4 * 3600).hour == 3


def test_counts_are_mixed_not_shifted():
    def counting(value):
        return Context(
            samples=[(np.full(50, value, np.float32), np.full(50, 2))],
            log_steps=np.array([np.nan]),
            classes=np.zeros(2),
        )

    found = contexts(h3=counting(0.0), h4=counting(4.0)).at(3.9 * 3600)
    used = found.table.values[0][: found.table.used[0]]
    assert used.tolist() == [0.0, 4.0]
    assert np.isnan(found.log_steps[0])
    assert np.isnan(found.shares).all()


def test_only_the_last_tables_are_kept():
    every = contexts(h3=context(30), h4=context(40))
    for slot in range(40):
        every.at(3 * 3600 + 600.0 * slot)
    assert len(every._made) == every.remember


def test_mixing_nothing_is_nothing():
    empty = (np.empty(0, np.float32), np.empty(0, np.int64))
    assert mix([(empty, 0.5), (empty, 0.5)])[0].size == 0
    assert pooled([])[0].size == 0


@pytest.mark.parametrize(
    ("commonest", "informative"), [(0.3, 1.0), (0.6, 1.0), (0.725, 0.5), (0.85, 0.0), (1.0, 0.0)]
)
def test_an_hour_of_nearly_one_value_says_little(commonest, informative):
    values = np.array([0, 1, 2, 3], np.float32)
    weights = np.array([commonest, *[(1 - commonest) / 3] * 3]) * 12000
    assert informativeness(values, weights.astype(np.int64)) == pytest.approx(informative, abs=0.01)
    assert informativeness(np.empty(0, np.float32), np.empty(0, np.int64)) == 0.0


def busy(*hours):
    """A count of which these hours say all, and the others nothing."""
    none, many = (np.zeros(100, np.float32), np.arange(100, dtype=np.float32) % 9)
    return contexts(
        **{
            f"h{hour}": Context(
                samples=[(np.sort(many if hour in hours else none), np.ones(100, dtype=np.int64))],
                log_steps=np.zeros(1),
                classes=np.zeros(2),
            )
            for hour in range(24)
        }
    )


def speaking(every):
    return [hour for hour in np.arange(0.0, 24.0, 0.5).tolist() if every.speaks(3600.0 * hour + 1, 3600.0)[0]]


def test_a_window_speaks_where_its_surroundings_do():
    """At dusk a change looks like an earlier one, and is gone with it."""
    assert speaking(busy(*range(8, 18))) == [9.5 + 0.5 * step for step in range(15)]


@pytest.mark.parametrize("hours", [(10,), (10, 11), (6, 7, 8)])
def test_what_is_busy_for_a_short_time_only_speaks_in_the_middle_of_it(hours):
    """It spoke never: an alarm of such a count was never over."""
    middle = np.mean(hours) + 0.5
    found = speaking(busy(*hours))
    assert found
    assert max(abs(hour - middle) for hour in found) <= 0.5
