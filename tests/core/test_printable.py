"""Nothing that `printable` gives can move a cursor, set a title, hide or reorder words."""

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.printable import LONGEST, printable, printable_lines

ANY = st.text(st.characters(exclude_categories=[]))


@given(ANY)
def test_every_sign_is_one_that_shows(text):
    safe = printable(text)
    assert "\n" not in safe and "\t" not in safe
    assert not [sign for sign in safe if unicodedata.category(sign) in {"Cc", "Cf", "Cs", "Zl", "Zp"}]
    safe.encode()


@given(ANY)
def test_lines_keep_their_breaks_and_nothing_else(text):
    lines = printable_lines(text)
    assert lines.count("\n") == text.count("\n") and lines.count("\t") == text.count("\t")
    assert printable(lines.replace("\n", " ").replace("\t", " "), 10**9) == lines.replace("\n", " ").replace(
        "\t", " "
    )


@given(ANY)
def test_it_may_be_done_twice(text):
    assert printable(printable(text, 10**6), 10**9) == printable(text, 10**6)


@given(st.text(st.characters(categories=["L", "N", "P", "Zs"]), max_size=LONGEST))
def test_plain_text_stays_as_it_is(text):
    assert printable(text) == text


@pytest.mark.parametrize(
    "text",
    ["\x1b]52;c;cm0=\x07", "\x1b]0;title\x07", "\x9b31m", "a\rb", "\u202edrowssap", "\u2066x", "\ufeff", "\ud800", "\x7f",
     "\u200b", "\U000e0041", "\x00", "\u2028", "\x85"],
)  # fmt: skip
def test_what_was_there_can_be_seen(text):
    safe = printable(text)
    assert re.search(r"\\x[0-9a-f]{2}|\\u[0-9a-f]{4}|\\U[0-9a-f]{8}", safe)
    assert all(sign.isprintable() for sign in safe)


def test_long_text_is_cut_and_says_so():
    assert printable("a" * 600) == "a" * LONGEST + "…"
    assert printable("a" * LONGEST) == "a" * LONGEST
    assert len(printable_lines("a\n" * 100_000)) == 10_000


def test_any_value_has_a_text():
    assert (
        printable(None) == "None" and printable(1.5) == "1.5" and printable(ValueError("a\nb")) == "a\\x0ab"
    )
