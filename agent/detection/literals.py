"""Values in Python's notation, as Ultralytics writes them into a model: read within limits, nothing is evaluated.

`ast.literal_eval` takes more than that (sets, complex numbers, sums), and deep or odd text makes it raise whatever
it likes; here there are texts, numbers, true, false, none, lists and dicts, or BadInput.
"""

from __future__ import annotations

import math
import re
from typing import Any

from agent.core.printable import printable
from agent.core.untrusted import LARGEST_INTEGER, BadInput

LARGEST_TEXT = 1024 * 1024
DEEPEST = 8

_TOKEN = re.compile(
    r"""\s*(?:
    (?P<text>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
    |(?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
    |(?P<word>[A-Za-z]+)
    |(?P<mark>[\[\](){}:,])
    )""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))", re.DOTALL)
_SIGNS = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\", "'": "'", '"': '"', "/": "/"}
_WORDS = {"True": True, "False": False, "None": None, "true": True, "false": False, "null": None}
_CLOSING = {"[": "]", "(": ")", "{": "}"}


def parse_literal(text: str) -> Any:
    """The value of `text`: str, int, float, bool, None, list (of a tuple too) or dict; raises BadInput.

    >>> parse_literal("{0: 'person', 1: \\"it's\\"}")
    {0: 'person', 1: "it's"}
    """
    if len(text) > LARGEST_TEXT:
        raise BadInput(f"{len(text)} characters, at most {LARGEST_TEXT} are accepted")
    reader = _Reader(text)
    value = reader.value(0)
    if reader.kind:
        raise BadInput(f"more follows after its end: '{printable(reader.token, 40)}'")
    return value


class _Reader:
    """One look ahead: `kind` is that of the next token ("" at the end), `token` its text."""

    def __init__(self, text: str) -> None:
        self._text = text.rstrip()
        self._at = 0
        self.kind = self.token = ""
        self._next()

    def value(self, depth: int) -> Any:
        kind, token = self.kind, self.token
        if kind == "mark" and token in _CLOSING:
            if depth >= DEEPEST:
                raise BadInput(f"nested more than {DEEPEST} levels deep")
            self._next()
            return self._dict(depth) if token == "{" else self._list(_CLOSING[token], depth)
        if kind in ("", "mark"):
            raise BadInput(f"a value is missing {f'before {token!r}' if token else 'at the end'}")
        self._next()
        if kind == "text":
            return _unescaped(token[1:-1])
        return _number(token) if kind == "number" else _word(token)

    def _list(self, closing: str, depth: int) -> list[Any]:
        found = []
        while self.token != closing or self.kind != "mark":
            found.append(self.value(depth + 1))
            self._separate(closing)
        self._next()
        return found

    def _dict(self, depth: int) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        while self.token != "}" or self.kind != "mark":
            key = self.value(depth + 1)
            if isinstance(key, (list, dict)):
                raise BadInput("a list or dict stands where a key is expected")
            if key in found:
                raise BadInput(f"the key {printable(key, 40)} stands there twice")
            self._take(":")
            found[key] = self.value(depth + 1)
            self._separate("}")
        self._next()
        return found

    def _separate(self, closing: str) -> None:
        if self.kind != "mark" or self.token != closing:
            self._take(",")

    def _take(self, mark: str) -> None:
        if self.kind != "mark" or self.token != mark:
            raise BadInput(f"{mark!r} is missing before '{printable(self.token, 40)}'")
        self._next()

    def _next(self) -> None:
        if self._at >= len(self._text):
            self.kind = self.token = ""
            return
        found = _TOKEN.match(self._text, self._at)
        if found is None:
            raise BadInput(f"cannot be read from '{printable(self._text[self._at :], 20)}' on")
        self._at = found.end()
        self.kind = str(found.lastgroup)
        self.token = found[self.kind]


def _number(digits: str) -> int | float:
    if re.fullmatch(r"[+-]?\d+", digits):
        if len(digits) > 20 or abs(int(digits)) > LARGEST_INTEGER:
            raise BadInput(f"the number {printable(digits, 24)} is out of range")
        return int(digits)
    value = float(digits)
    if not math.isfinite(value):
        raise BadInput(f"the number {printable(digits, 24)} is out of range")
    return value


def _word(word: str) -> bool | None:
    if word not in _WORDS:
        raise BadInput(f"'{printable(word, 40)}' is neither a text in quotes nor a number")
    return _WORDS[word]


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(_sign, text) if "\\" in text else text


def _sign(found: re.Match[str]) -> str:
    digits = found[1] or found[2] or found[3]
    if digits:
        code = int(digits, 16)
        if code > 0x10FFFF:
            raise BadInput(f"\\U{digits} is not a character")
        return chr(code)
    return _SIGNS.get(found[4], found[0])
