"""Both stores, by the same tests: what is added is read back once, rolled up from all its windows, and kept so long."""

import random
from contextlib import ExitStack

import pytest

from agent.dashboard.web import rollup
from agent.dashboard.web.fields import DAY, Update
from agent.dashboard.web.history import FILE, History, SqliteRows
from agent.dashboard.web.queries import Queries, span
from agent.dashboard.web.report_contents import report_of
from agent.dashboard.web.store import HOUR, KEPT_SECONDS, kept, start_of

NOW = 1_800_000_000.0
CAMERA = ("north", "box", "camera/front")


class Opened:
    """A store under test and its reader."""

    def __init__(self, store, rows):
        self.store, self.rows, self.queries = store, rows, Queries(rows)
        store.open()

    def window(self, end, key=CAMERA, **fields):
        self.store.add_window(key, end, 60.0, fields or {"fps_in": 25.0})

    def state(self, state, at, key=CAMERA, *, complete=False, **fields):
        self.store.update(
            key,
            Update(
                family="camera", at=at, fields={"state": state, **fields}, complete=complete, changed_at=at
            ),
        )

    def roll_up(self, now):
        self.store.commit(now)
        while self.store.roll_up(now):
            self.store.commit(now)
        self.store.commit(now)

    def count(self, table):
        return self.rows.rows(f'SELECT count(*) FROM "{table}"')[0][0]

    def hour(self, at):
        (body,) = self.rows.rows("SELECT body FROM hour WHERE at = ?", (float(at),)) or [("{}",)]
        return kept(body[0])


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.xdist_group("postgres"))])
def opened(request, tmp_path):
    with ExitStack() as closing:
        if request.param == "sqlite":
            history = History(tmp_path)
            rows = SqliteRows(history.path)
        else:
            url = request.getfixturevalue("database").url
            from agent.dashboard.web.postgres.address import parse_database
            from agent.dashboard.web.postgres.reader import PostgresRows
            from agent.dashboard.web.postgres.writer import PostgresHistory

            history = PostgresHistory(parse_database(url))
            rows = closing.enter_context(PostgresRows(parse_database(url)))
        closing.callback(history.close)
        yield Opened(history, rows)


def test_what_comes_twice_is_there_once_whatever_is_committed_between(opened):
    for commits in (False, True):
        for _ in range(2):
            opened.window(NOW, fps_in=25.0, drift_ratio=0.4)
            opened.store.add_sketch(CAMERA, NOW, {"brightness_kll": "x", "nul": "\0", "text": "❄"})
            opened.state("online", NOW - 30)
            opened.store.set_alert(("north", "box", "a"), "firing", NOW - 60, NOW, {"what": "slow"})
            if commits:
                opened.store.commit(NOW)
    for table in ("window", "sketch", "mark", "alert", "series", "stale"):
        assert opened.count(table) == 1, table
    within = span(NOW - 600, NOW + 1, NOW)
    found = opened.queries.curves(CAMERA, ["fps_in", "none"], within)
    assert found["times"] == [NOW] and found["series"] == {"fps_in": [25.0], "none": [None]}
    assert opened.queries.names(CAMERA, within) == ["drift_ratio", "fps_in"]
    assert opened.queries.sketches(CAMERA, within) == [{"brightness_kll": "x", "nul": "\0", "text": "❄"}]
    assert opened.queries.cameras() == [CAMERA]
    assert opened.queries.latest("north", "box") == {"camera/front": {"state": "online", "at": NOW - 30}}
    (alert,) = opened.queries.alerts(firing=True, site="north", device="box")
    assert (alert["id"], alert["what"], alert["first_seen"]) == ("a", "slow", NOW - 60)


def test_what_pages_and_reports_ask_for_is_found_in_both(opened):
    for number in range(3):
        opened.window(NOW - 60 * number)
        opened.window(NOW - 3600, key=("south", "other", "host"))
    opened.state("online", NOW - 120, light_mode="day")
    opened.state("online", NOW - 60, light_mode="night")
    for device in ("box", "other"):
        opened.store.set_alert(("north", device, "same"), "resolved", NOW - 60, NOW, {"what": device})
    opened.store.commit(NOW)
    queries = opened.queries
    assert queries.first("north", "box") == NOW - 120 and queries.first("north", "none") is None
    assert queries.last_heard("north", "box") == NOW - 60 and queries.last_heard("north", "none") is None
    assert [tuple(key) for key in queries.devices()] == [("north", "box", ""), ("south", "other", "")]
    lights = queries.states(CAMERA, span(NOW - 600, NOW, NOW), "light")
    assert [row["text"] for row in lights] == ["day", "night"]
    assert [
        row["what"] for row in queries.alerts(firing=False, site="north", device="other", number="same")
    ] == ["other"]
    assert len(queries.alerts(firing=False, number="same")) == 2
    contents = report_of(queries, CAMERA, NOW - 600, NOW)
    assert len(contents.alerts) == 1 and [one.title for one in contents.curves if any(one.lines.values())]


def test_what_was_rolled_back_is_not_there_and_the_store_goes_on(opened):
    opened.window(NOW)
    opened.store.commit(NOW)
    opened.window(NOW + 60, key=("north", "other", "host"))
    opened.store.roll_back()
    opened.window(NOW + 120, key=("north", "third", "host"))
    opened.store.commit(NOW)
    assert opened.count("series") == 2 and opened.count("window") == 2


def test_last_values_and_marks_follow_the_time_of_messages_not_their_order(opened):
    opened.state("online", NOW, complete=True, drift_reference="r1", fps=1)
    opened.state("frozen", NOW + 60, fps=2, none=None)
    opened.store.commit(NOW + 60)
    opened.state("online", NOW + 120)
    opened.store.commit(NOW + 120)
    opened.state("black", NOW + 90, fps=3, late=4)  # late: another collector took it
    opened.store.commit(NOW + 130)
    latest = opened.queries.latest("north", "box")["camera/front"]
    assert latest == {"state": "online", "drift_reference": "r1", "fps": 2, "late": 4, "at": NOW + 120}
    states = opened.queries.states(CAMERA, span(NOW - 10, NOW + 600, NOW + 600))
    assert [(row["at"] - NOW, row["text"]) for row in states] == [
        (0, "online"), (60, "frozen"), (90, "black"), (120, "online"),
    ]  # fmt: skip
    assert len(opened.queries.marks("north", "box", span(NOW - 10, NOW + 600, NOW + 600))) == 4


def test_a_roll_up_is_that_of_all_windows_of_its_hour_in_any_order(opened):
    start = start_of(NOW, HOUR) - 2 * HOUR
    ends = [start + 60.0 * (number + 1) for number in range(120)]
    dice = random.Random(4)
    dice.shuffle(ends)
    values = {end: dice.uniform(1, 30) for end in ends}
    for place, end in enumerate(ends):
        opened.window(end, fps_in=values[end], frames_seen=10)
        if place % 30 == 17:
            opened.roll_up(NOW + HOUR)
    opened.roll_up(NOW + HOUR)
    for hour in (start, start + HOUR):
        inside = {end: value for end, value in values.items() if hour < end <= hour + HOUR}
        wanted = rollup.roll_up((60.0, {"fps_in": inside[end], "frames_seen": 10}) for end in sorted(inside))
        for name, entry in wanted.items():
            assert opened.hour(hour)[name] == pytest.approx(entry), name
    day = opened.rows.rows("SELECT body FROM day")
    assert kept(day[0][0])["frames_seen"][0] == 1200 and len(day) == 1
    assert opened.count("stale") == 0


def test_a_late_window_adds_to_an_hour_whose_windows_are_gone_and_replaces_none_of_it(opened):
    hour = start_of(NOW, HOUR) - 5 * DAY
    for minute in range(60):
        opened.window(hour + 60.0 * (minute + 1), fps_in=20.0)
    opened.roll_up(NOW - 5 * DAY + 2 * HOUR)
    opened.store.prune(NOW)
    opened.store.commit(NOW)
    assert opened.count("window") == 0
    opened.window(hour + 60.0, fps_in=20.0, cpu_ratio=0.5)  # delivered again, with a field that nobody had
    opened.roll_up(NOW)
    found = opened.hour(hour)
    assert found["fps_in"][1] == 3600.0 and found["cpu_ratio"][1] == 60.0


def test_what_is_too_old_is_removed_and_what_is_not_stays(opened):
    ages = {"window": 0.5, "sketch": 0.5, "hour": 5, "day": 20}
    for days in (0.5, 5, 20):
        end = NOW - days * DAY
        opened.window(end)
        opened.store.add_sketch(CAMERA, end, {"x": 1})
    opened.state("online", NOW - 60)
    opened.store.set_alert(("n", "d", "old"), "resolved", NOW, NOW - 100 * DAY, {})
    opened.store.set_alert(("n", "d", "new"), "resolved", NOW, NOW - DAY, {})
    opened.roll_up(NOW)
    for later in range(3):
        opened.store.prune(NOW + later * 2 * HOUR)
        opened.store.commit(NOW)
    assert [opened.count(table) for table in ages] == [1, 2, 3, 3]
    assert opened.count("mark") == 1
    assert [row["id"] for row in opened.queries.alerts(firing=False)] == ["new"]
    later = NOW + KEPT_SECONDS["hour"] + 2 * HOUR
    for step in range(3):
        opened.store.prune(later + step * 2 * HOUR)
        opened.store.commit(later)
    assert opened.count("day") == 3 and opened.count("window") == opened.count("sketch") == 0


def test_a_series_ends_with_the_last_that_is_kept_of_it_and_leaves_its_room_to_others(tmp_path):
    """Two years of devices that came and went took all the room there is for series."""
    opened, old, here = Opened(History(tmp_path), SqliteRows(tmp_path / FILE)), ("n", "old", "host"), CAMERA
    try:
        for key in (old, here):
            opened.window(NOW, key=key)
            opened.state("online", NOW, key=key)
        opened.roll_up(NOW + 2 * HOUR)
        after = NOW + KEPT_SECONDS["day"] + DAY
        opened.state("online", after, key=here)
        opened.store.prune(after)
        opened.store.roll_back()  # a disk that is full: it is still there, and takes windows
        opened.window(after, key=old)
        opened.store.roll_back()
        opened.state("online", after, key=here)
        opened.store.prune(after)
        opened.store.commit(after)
        assert opened.rows.rows("SELECT site, device, entity FROM series") == [here]
        assert opened.count("latest") == 1
        opened.window(after + DAY, key=old)  # it is back
        opened.roll_up(after + DAY + 2 * HOUR)
        found = opened.rows.rows("SELECT device FROM series JOIN day ON day.series = series.id")
        assert found == [("old",)]
    finally:
        opened.store.close()
    again = History(tmp_path)
    again.open()
    again.close()


def test_an_alert_follows_its_last_change_and_one_that_only_seemed_to_have_ended_fires_again(opened):
    key = ("north", "box", "a")
    opened.store.set_alert(key, "resolved", NOW, NOW + 20, {})
    opened.store.commit(NOW)
    opened.store.set_alert(key, "firing", NOW, NOW + 10, {})
    opened.store.commit(NOW)
    assert opened.store.firing() == set()
    opened.store.set_alert(("north", "box", "b"), "firing", NOW, NOW + 10, {})
    opened.store.commit(NOW)
    opened.store.end_alerts({("north", "box", "b"), key, ("no", "such", "alert")}, NOW + 30)
    opened.store.commit(NOW)
    assert {row["id"]: row["state"] for row in opened.queries.alerts(firing=False)} == {
        "a": "resolved", "b": "ended",
    }  # fmt: skip
    opened.store.set_alert(("north", "box", "b"), "firing", NOW, NOW + 10, {})
    opened.store.commit(NOW)
    assert opened.store.firing() == {("north", "box", "b")}


def test_a_device_that_names_cameras_without_end_takes_the_history_of_no_other(opened, monkeypatch):
    """Of 100,000 series one device could take all, for good."""
    monkeypatch.setattr("agent.dashboard.web.store.MOST_SERIES_OF_DEVICE", 5)
    monkeypatch.setattr("agent.dashboard.web.store.MOST_SERIES", 8)
    for number in range(20):
        opened.window(NOW, key=("north", "mad", f"camera/c{number}"))
        if number % 7 == 6:
            opened.store.commit(NOW)
    opened.window(NOW)
    opened.store.commit(NOW)
    opened.window(NOW + 60, key=("north", "mad", "camera/c0"))
    opened.store.commit(NOW)
    assert opened.count("series") == 6 and opened.store.left_out == 15
    assert opened.count("window") == 7
    assert opened.queries.latest("north", "box") == {} and opened.queries.cameras()[0] == CAMERA
    for number in range(3):
        opened.window(NOW, key=("north", f"new-{number}", "host"))
    opened.store.commit(NOW)
    assert opened.count("series") == 8
