"""Values in Python's notation out of a model file: what Ultralytics writes is read, everything else is refused."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.untrusted import BadInput
from agent.detection.literals import parse_literal

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63) + 1, 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.integers(0, 99) | texts, inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(values)
def test_what_python_writes_is_read_again(value):
    if _depth(value) <= 8:
        assert parse_literal(repr(value)) == value


def _depth(value):
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth, inner), default=0) if isinstance(value, (dict, list)) else 0


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("(384, 640)", [384, 640]),
        ("[1, 2,]", [1, 2]),
        ("()", []),
        ('{"0": "a"}', {"0": "a"}),
        ("true", True),
        ("{0: 'it\\'s', 1: \"x\\x1b\\u2028\"}", {0: "it's", 1: "x\x1b\u2028"}),
        ("-1.5e3", -1500.0),
    ],
)
def test_what_exporters_write_is_read(text, value):
    assert parse_literal(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "{[]:1}", "{{}: 1}", "-" * 5000, "[" * 100_000, "(" * 99 + ")" * 99, "1 2", "[1", "[1 2]", "{1}",
        "{1: 2", "{1: 2, 1: 3}", "'open", "__import__('os')", "b'bytes'", "f'{1}'", "1+2j", "1e999", "9" * 400,
        "'\\U00110000'", "{1, 2}", "...", "nan", "inf", ",", "'a' 'b'", "\x00", "[,]", "x" * 2_000_000,
    ],
)  # fmt: skip
def test_everything_else_is_refused_in_one_short_line(text):
    with pytest.raises(BadInput) as caught:
        parse_literal(text)
    assert len(str(caught.value)) < 200
    assert str(caught.value).isprintable()


def fuzz(inputs, seed):
    """Mutations of what is well formed, and bits of it in any order: each is read or refused."""
    draw = random.Random(seed)
    whole = "{0: 'person', 1: \"it's\", 'a': [1, -2.5e3, None, True, (1,)], 9: {}}"
    bits = [
        "{",
        "}",
        "[",
        "]",
        "(",
        ")",
        ":",
        ",",
        "'",
        '"',
        "\\",
        "0",
        "1e9",
        "None",
        "é",
        "\x1b",
        "\n",
        "-",
        "\\x",
    ]
    read = 0
    for _ in range(inputs):
        if draw.random() < 0.5:
            text = "".join(draw.choices(bits, k=draw.randrange(30)))
        else:
            at = draw.randrange(len(whole))
            text = whole[:at] + draw.choice(bits) + whole[at + draw.randrange(4) :]
        try:
            parse_literal(text)
            read += 1
        except BadInput:
            continue
    return read


def test_mutations_are_read_or_refused():
    assert fuzz(3_000, seed=12) > 50


@pytest.mark.slow
def test_a_hundred_thousand_mutations_are_read_or_refused():
    assert fuzz(100_000, seed=13) > 1_000
