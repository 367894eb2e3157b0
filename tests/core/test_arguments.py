"""Arguments are known by name and read within ranges; pages fit a message and together hold every row once."""

import json
import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.arguments import (
    LARGEST_PAGE,
    LATEST,
    Page,
    check_names,
    take_duration,
    take_moment,
    take_word,
)
from agent.core.errors import VedetteError

ANY = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.lists(st.integers())
    | st.just(10**400)
)
NOW = 1_790_000_000.0


@pytest.mark.parametrize(
    "take",
    [
        lambda args: take_word(args, "k"),
        lambda args: take_duration(args, "k", "2h"),
        lambda args: take_moment(args, "k", None, NOW),
        lambda args: take_moment(args, "k", "24h", NOW, backwards=True),
        lambda args: Page.of({"limit": args["k"], "offset": args["k"]}),
    ],
    ids=["word", "duration", "moment", "ago", "page"],
)
@given(value=ANY)
def test_whatever_is_given_is_taken_or_refused_in_one_printable_line(take, value):
    try:
        taken = take({"k": value})
    except VedetteError as error:
        assert str(error).isprintable() and len(str(error)) < 300
    else:
        assert not isinstance(taken, float) or (math.isfinite(taken) and 0 <= taken <= LATEST)


@given(st.from_regex(r"\A[0-9:TZ+ .-]{1,30}\Z"))
def test_times_that_are_nearly_some(text):
    try:
        assert 0 <= take_moment({"k": text}, "k", None, NOW) <= LATEST
    except VedetteError as error:
        assert "not a time" in str(error)


def test_what_is_understood():
    assert take_moment({}, "since", "24h", NOW, backwards=True) == NOW - 86400
    assert take_moment({"until": 1.5e9}, "until", None, NOW) == 1.5e9
    assert take_moment({"until": "2026-01-31T18:00Z"}, "until", None, NOW) == 1769882400.0
    assert time.localtime(take_moment({"until": "07:30"}, "until", None, NOW))[3:5] == (7, 30)
    assert take_duration({"for": "1h30m"}, "for", "2h") == 5400
    assert take_word({"who": ""}, "who", "somebody") == ""


def test_an_argument_that_is_not_known_is_refused_with_the_nearest():
    check_names({"camera": 1}, "camera", "for")
    with pytest.raises(VedetteError, match="no argument 'camra'; did you mean 'camera'"):
        check_names({"camra": 1}, "camera", "for")
    with pytest.raises(VedetteError) as caught:
        check_names({"\x1b]0;x" * 500: 1})
    assert str(caught.value).isprintable() and len(str(caught.value)) < 300


@given(st.lists(st.text(max_size=20_000), max_size=40), st.integers(1, 20))
def test_pages_hold_every_row_once(rows, limit):
    seen, offset = [], 0
    while offset is not None:
        page = Page.of({"limit": limit, "offset": offset})
        shown = page.cut(rows)
        assert len(shown) <= limit
        assert (
            len(shown) <= 1
            or len(json.dumps(shown, ensure_ascii=False).encode("utf-8", "replace")) < LARGEST_PAGE + 100
        )
        about = page.about(shown, len(rows))
        assert about["count"] == len(rows)
        seen, offset = [*seen, *shown], about.get("next")
    assert seen == rows
