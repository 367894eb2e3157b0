"""What comes from outside is a plain value within limits, or BadInput with one printable line; nothing else."""

import json
import math
import random
import sys
import threading
import time
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.errors import VedetteError
from agent.core.untrusted import (
    DEEPEST,
    LARGEST_INTEGER,
    BadInput,
    TOMLDecodeError,
    parse_json,
    parse_kept,
    parse_object,
    parse_toml,
    parse_yaml,
    restore_kept,
    take_flag,
    take_integer,
    take_list,
    take_number,
    take_object,
    take_text,
)

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-LARGEST_INTEGER, LARGEST_INTEGER)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
TEXT = st.text(st.characters(codec="utf-8"))


def same(one, other):
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def is_one_printable_line(error):
    text = str(error)
    return len(text) < 600 and text.isprintable()


# -- JSON ----------------------------------------------------------------------------------------------------


@given(PLAIN)
def test_what_python_writes_is_read_back(value):
    try:
        text = json.dumps(value, allow_nan=False)
        text.encode()
        json.loads(text)
    except ValueError:
        return
    if any("\ud800" <= sign <= "\udfff" for sign in json.dumps(value, ensure_ascii=False)):
        with pytest.raises(BadInput, match="surrogate"):
            parse_json(text)
    else:
        assert same(parse_json(text), value)
        assert same(parse_kept(text), value)
        assert same(parse_json(text.encode()), value)


@pytest.mark.parametrize("ensure_ascii", [True, False])
@given(value=PLAIN)
def test_text_with_halves_of_pairs_never_gets_through(ensure_ascii, value):
    try:
        read = parse_json(json.dumps(value, ensure_ascii=ensure_ascii, allow_nan=False))
    except BadInput:
        return
    json.dumps(read, ensure_ascii=False).encode()


PIECES = [
    b'"', b"\\", b'\\"', b"\\\\", b"[", b"]", b"{", b"}", b",", b":", b"1", b"-", b".5", b"e9", b"1e999", b"NaN",
    b"-Infinity", b"true", b"null", b'"a"', b'"a":', b"\\ud800", b"\\udc00", b"\xff", b"\x00", b" ", b"\n", b"9" * 25,
    "é".encode(), "\ud7ff".encode(), b"\xed\xa0\x80", b"[[[[[[[[", b"]]]]]]]]",
]  # fmt: skip


def check_against_python(data):
    """The same value as Python's own parser, or BadInput; and where Python's refuses, so does ours."""
    try:
        expected = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError):
        expected = BadInput
    try:
        read = parse_json(data)
    except BadInput as error:
        assert is_one_printable_line(error)
        return
    assert expected is not BadInput and same(read, expected)


@pytest.mark.parametrize("seed", range(4))
def test_broken_json_is_read_as_python_reads_it_or_refused(seed):
    shuffled = random.Random(seed)
    for _ in range(1500):
        check_against_python(b"".join(shuffled.choices(PIECES, k=shuffled.randint(1, 30))))


@pytest.mark.slow
def test_hundred_thousand_broken_inputs():
    shuffled = random.Random(5)
    for _ in range(100_000):
        check_against_python(b"".join(shuffled.choices(PIECES, k=shuffled.randint(1, 40))))


@pytest.mark.parametrize(
    "text",
    [
        "NaN",
        "[Infinity]",
        "-Infinity",
        "1e999",
        "-1e400",
        "9" * 400,
        str(LARGEST_INTEGER + 1),
        '"\\ud800"',
        "",
        "{",
    ],
)
def test_what_the_next_step_could_not_bear_is_refused(text):
    with pytest.raises(BadInput) as caught:
        parse_json(text)
    assert is_one_printable_line(caught.value)
    assert isinstance(caught.value, VedetteError) and isinstance(caught.value, ValueError)


def test_depth_ends_where_it_is_said_to():
    assert parse_json("[" * DEEPEST + "]" * DEEPEST) is not None
    with pytest.raises(BadInput, match="nested"):
        parse_json("[" * (DEEPEST + 1) + "]" * (DEEPEST + 1))
    with pytest.raises(BadInput, match="nested"):
        parse_json('{"a":' * 40 + "1" + "}" * 40)


def test_brackets_in_strings_are_no_depth():
    text = json.dumps(["[" * 5000, '"[' * 500, "\\" * 7 + "[" * 100, {"{" * 50: '\\"{{{'}])
    assert same(parse_json(text), json.loads(text))


@pytest.mark.parametrize("quotes", ['\\"', "\\\\", '"', '\\\\"', "\\"])
def test_hostile_strings_do_not_hide_depth(quotes):
    for count in range(1, 8):
        deep = '["' + quotes * count + '",' + "[" * 100
        try:
            json.loads(deep + "]" * 101)
        except ValueError:
            continue
        with pytest.raises(BadInput, match="nested"):
            parse_json(deep)


@pytest.mark.parametrize(
    "hostile",
    ['"' + '\\"' * 400_000, '"' + "\\" * 900_000, '"a",' * 200_000, "[" * 900_000, "[]" * 400_000, "{" + '"a":[],' * 100_000],
    ids=["escaped-quotes", "backslashes", "strings", "open", "pairs", "lists"],
)  # fmt: skip
def test_a_megabyte_of_malice_costs_no_more_than_a_megabyte(hostile):
    """Measured at half the size too: what is worse than linear is told by the ratio, on a busy machine as well."""

    def seconds(text):
        best = math.inf
        for _ in range(3):
            began = time.thread_time()
            with pytest.raises(BadInput):
                parse_json(text, largest=2 * 1024 * 1024)
            best = min(best, time.thread_time() - began)
        return best

    whole = seconds(hostile)
    assert whole < 2.0
    assert whole < 0.05 or whole < 6 * seconds(hostile[: len(hostile) // 2])
    tracemalloc.start()
    try:
        with pytest.raises(BadInput):
            parse_json(hostile)
        assert tracemalloc.get_traced_memory()[1] < 64 * 1024 * 1024
    finally:
        tracemalloc.stop()


def test_deep_input_is_refused_on_a_shallow_stack_too():
    """The stack that is left belongs to the caller: a thread near its limit gets BadInput, not RecursionError."""
    said = []

    def near_the_end(left):
        if left:
            near_the_end(left - 1)
        else:
            for text in ("[" * 1500, '{"a":' * 1500, "[" * 1500 + "]" * 1500):
                with pytest.raises(BadInput):
                    parse_json(text)
                said.append(text)

    worker = threading.Thread(target=near_the_end, args=(sys.getrecursionlimit() - 100,))
    worker.start()
    worker.join()
    assert len(said) == 3


def test_size_is_bounded():
    with pytest.raises(BadInput, match="11 bytes, at most 10"):
        parse_json(b'"123456789"', largest=10)
    assert parse_json(b'"12345678"', largest=10) == "12345678"


def test_an_object_is_asked_for():
    assert parse_object('{"a": 1}') == {"a": 1}
    with pytest.raises(BadInput, match="this is a list"):
        parse_object("[1]")


def test_what_the_agent_keeps_may_hold_no_numbers():
    values = parse_kept("[NaN, Infinity, -Infinity, 1.5]")
    assert math.isnan(values[0]) and values[1:] == [math.inf, -math.inf, 1.5]
    for damaged in ("[" * 2000, "[NaN", "9" * 5000, b"\xff", ""):
        with pytest.raises(BadInput):
            parse_kept(damaged)


# -- TOML and YAML --------------------------------------------------------------------------------------


def test_toml():
    assert parse_toml('a = 1\n[b]\nc = "x"') == {"a": 1, "b": {"c": "x"}}
    with pytest.raises(TOMLDecodeError):
        parse_toml("a = ")


@pytest.mark.parametrize(
    "text",
    ["a = " + "[" * 1500 + "]" * 1500, "a = " + "{b = " * 900, ".".join("a" * 100) + " = 1", "a = " + "9" * 5000,
     "[" + ".".join("a" * 60) + "]\nb = 1", "a = 1\n" * 200_000],
    ids=["lists", "inline-tables", "dotted", "digits", "header", "large"],
)  # fmt: skip
def test_toml_that_is_too_much(text):
    with pytest.raises((BadInput, TOMLDecodeError)):
        parse_toml(text)


def test_yaml():
    yaml = pytest.importorskip("yaml")
    assert yaml and parse_yaml("train: images\nnames: {0: a}") == {"train": "images", "names": {0: "a"}}


LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + step)}: &{chr(98 + step)} [{','.join(['*' + chr(97 + step)] * 9)}]\n" for step in range(20)
)


@pytest.mark.parametrize(
    "text",
    ["[" * 300, "a: &a [*a]", "!!int ''", "!!float x", "!!bool x", "!!timestamp x", "2001-99-99", "? {a: 1}\n: 2",
     "? [a]\n: 2", "a: !!python/object/apply:os.system [id]", "\x00", "9" * 5000, "a: b: c", "- - " * 100],
)  # fmt: skip
def test_yaml_that_is_none(text):
    pytest.importorskip("yaml")
    with pytest.raises(BadInput) as caught:
        parse_yaml(text)
    assert is_one_printable_line(caught.value)


def test_yaml_that_laughs_a_billion_times_is_looked_at_once():
    pytest.importorskip("yaml")
    began = time.thread_time()
    parse_yaml(LAUGHS)
    assert time.thread_time() - began < 2.0


def test_what_a_version_before_did_not_keep_is_as_without_it():
    assert restore_kept({"kept": {"a": 1}}, "kept", dict, {}) == {"a": 1}
    assert restore_kept({}, "kept", dict, None) is None
    assert restore_kept({"kept": None}, "kept", dict, None) is None
    with pytest.raises(BadInput):
        restore_kept({"kept": 3}, "kept", dict, None)


# -- entries ---------------------------------------------------------------------------------------------------

TAKERS = [take_text, take_number, take_integer, take_flag, take_object, take_list]


@pytest.mark.parametrize("take", TAKERS)
@given(value=PLAIN | st.floats() | st.integers())
def test_an_entry_is_what_was_asked_for_or_refused(take, value):
    kinds = {
        take_text: str,
        take_number: float,
        take_integer: int,
        take_flag: bool,
        take_object: dict,
        take_list: list,
    }
    try:
        taken = take({"key": value}, "key")
    except BadInput as error:
        assert "`key`" in str(error) and is_one_printable_line(error)
        return
    assert type(taken) is kinds[take] and taken == kinds[take](value)


@pytest.mark.parametrize("take", TAKERS)
def test_an_entry_that_is_not_there(take):
    with pytest.raises(BadInput, match="`key` is missing"):
        take({}, "key")
    assert take({}, "key", None) is None
    assert take({"key": None}, "key", "otherwise") == "otherwise"
    with pytest.raises(BadInput):
        take({"key": None}, "key")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 10**400, -(10**400), True, "1", [1]])
def test_numbers_that_are_none(value):
    for take in (take_number, take_integer):
        with pytest.raises(BadInput):
            take({"key": value}, "key")


def test_ranges():
    assert take_number({"n": 3}, "n", minimum=0, maximum=3) == 3.0
    assert take_integer({"n": 2**60 + 1}, "n") == 2**60 + 1
    assert take_integer({"n": 2.0}, "n") == 2
    for body in ({"n": -1}, {"n": 4}, {"n": 1e300}):
        with pytest.raises(BadInput, match="from 0 to 3"):
            take_number(body, "n", minimum=0, maximum=3)
    with pytest.raises(BadInput, match="whole"):
        take_integer({"n": 1.5}, "n")
    with pytest.raises(BadInput, match="at most 3"):
        take_text({"t": "long"}, "t", longest=3)
    with pytest.raises(BadInput, match="at most 1 "):
        take_list({"l": [1, 2]}, "l", longest=1)


@given(TEXT)
def test_a_refusal_never_carries_what_a_terminal_obeys(text):
    for take in (take_number, take_flag, take_object):
        with pytest.raises(BadInput) as caught:
            take({"key": text}, "key")
        assert is_one_printable_line(caught.value)
