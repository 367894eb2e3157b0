"""The language of conditions: text in, a checked `Condition` out. Nothing is ever evaluated as code.

::

    condition  :=  compared ["for" DURATION]
    compared   :=  term OP NUMBER  |  series            (a bare state, `camera.frozen`, means `> 0`)
    term       :=  series  |  FUNCTION "(" series arguments ")"
    series     :=  METRIC ["{" LABEL "=" STRING {"," LABEL "=" STRING} "}"]
    OP         :=  ">" | ">=" | "<" | "<="
    NUMBER     :=  a number, or one with "%" behind it (a hundredth of it)

The functions and their arguments are those of `evaluators`; one whose value is a duration (`absent`) takes no
comparison: its `for` is the limit.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any, NoReturn

from agent.alerts.evaluators import FUNCTIONS, Condition, RuleFunction
from agent.core.printable import printable
from agent.core.units import parse_duration

LONGEST_TEXT = 500


class ExpressionError(ValueError):
    """A condition cannot be read; `position` is where (0-based), `expected` what would be right there."""

    def __init__(self, message: str, position: int, expected: str | None = None) -> None:
        super().__init__(message)
        self.position, self.expected = position, expected


def parse_number(text: str) -> float:
    """A finite number, `%` meaning a hundredth; raises ValueError."""
    number, percent, _ = text.strip().partition("%")
    if len(text) > LONGEST_TEXT or not _NUMBER.fullmatch(text.strip()) or not math.isfinite(float(number)):
        raise ValueError(printable(text, 40))
    return float(number) / 100 if percent else float(number)


_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?%?")
_TOKEN = re.compile(
    r"""\s*(?:
        (?P<duration>(?:\d+(?:\.\d+)?(?:ms|[smhdw]))+)(?![\w.%])
      | (?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?%?)(?![\w.])
      | (?P<word>[A-Za-z_][\w.]*)
      | (?P<text>"[^"]*"|'[^']*')
      | (?P<sign>>=|<=|[><(){},=])
    )""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    at: int


def parse(text: str, hold: float = 0.0) -> Condition:
    """The condition in `text`; raises ExpressionError. `hold` is its `for` (seconds) where `text` gives none."""
    if len(text) > LONGEST_TEXT:
        raise ExpressionError("is too long", LONGEST_TEXT, f"{LONGEST_TEXT} characters at most")
    return _Parser(_tokens(text), len(text), hold).condition()


def _tokens(text: str) -> list[_Token]:
    tokens, at = [], 0
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            start = at + len(text[at:]) - len(text[at:].lstrip())
            raise ExpressionError(f"cannot read {text[start : start + 12]!r}", start, "METRIC > NUMBER")
        tokens.append(_Token(match.lastgroup, match[match.lastgroup], match.start(match.lastgroup)))
        at = match.end()
    return tokens


class _Parser:
    """One pass over the tokens; each method reads what it is named after."""

    def __init__(self, tokens: list[_Token], end: int, hold: float) -> None:
        self._tokens, self._end, self._next, self._default_hold = tokens, end, 0, hold or None

    def condition(self) -> Condition:
        word = self._take("word", "a metric or a function, such as camera.latency_p99_seconds")
        kind = self._kind(word)
        if self._at("("):
            self.expect("(")
            series = self._series(self._take("word", "a metric"))
            function = kind.parse(self)
            self.expect(")")
        else:
            series, function = self._series(word), kind.parse(self)
        compared = {} if kind.is_duration else self._comparison(function)
        hold = self._hold()
        if kind.is_duration:
            if not hold:
                self.fail(f"{kind.name}() must say for how long", f"{kind.name}(METRIC) for 3m")
            compared = {"comparison": ">=", "limit": hold, "compared": False}
        if not self._done():
            self.fail(
                f"does not end where it should, but goes on with {self._peek_text()!r}", "`for 5m` or the end"
            )
        return Condition(function=function, hold=hold, **series, **compared)

    def _kind(self, word: _Token) -> type[RuleFunction]:
        named = self._at("(")
        if named and (word.text not in FUNCTIONS or word.text == "value"):
            names = ", ".join(name for name in FUNCTIONS if name != "value")
            raise ExpressionError(f"unknown function {word.text!r}", word.at, f"one of {names}")
        kind: type[RuleFunction] = FUNCTIONS.load(word.text if named else "value")
        return kind

    def _series(self, word: _Token) -> dict[str, Any]:
        selector = {}
        if self.accept("{"):
            while not self.accept("}"):
                label = self._take("word", "a label, such as camera").text
                self.expect("=")
                selector[label] = self._take("text", 'a text in quotes, such as "front"').text[1:-1]
                if not self._at("}"):
                    self.expect(",")
        return {"metric": word.text, "selector": selector}

    def _comparison(self, function: RuleFunction) -> dict[str, Any]:
        if sign := self.accept(">", ">=", "<", "<="):
            return {"comparison": sign, "limit": self.number()}
        if function.name != "value" or not (self._done() or self._peek_text() == "for"):
            self.fail("has no comparison", "one of > >= < <= and a number")
        return {"compared": False}

    def _hold(self) -> float | None:
        if self._done() or self._peek_text() != "for":
            return self._default_hold
        self._next += 1
        return self.duration()

    def duration(self) -> float:
        token = self._take("duration", "a duration such as 30s or 5m")
        try:
            seconds = parse_duration(token.text)
        except ValueError:  # of ten years and more
            raise ExpressionError(
                "the duration is too long", token.at, "a duration such as 30s or 5m"
            ) from None
        if seconds <= 0:
            raise ExpressionError("the duration is nothing", token.at, "a duration such as 30s or 5m")
        return seconds

    def number(self) -> float:
        token = self._take("number", "a number")
        try:
            return parse_number(token.text)
        except ValueError:
            raise ExpressionError("the number is too large", token.at, "a number") from None

    def _take(self, kind: str, expected: str) -> _Token:
        if self._done() or self._tokens[self._next].kind != kind:
            found = f"{self._peek_text()!r}" if not self._done() else "the end"
            self.fail(f"{found} is not expected here", expected)
        self._next += 1
        return self._tokens[self._next - 1]

    def accept(self, *signs: str) -> str:
        if self._done() or self._tokens[self._next].kind != "sign" or self._peek_text() not in signs:
            return ""
        self._next += 1
        return self._tokens[self._next - 1].text

    def expect(self, sign: str) -> None:
        if not self.accept(sign):
            self.fail(f"{sign!r} is missing", f"{sign!r}")

    def _at(self, sign: str) -> bool:
        return not self._done() and self._peek_text() == sign

    def _done(self) -> bool:
        return self._next >= len(self._tokens)

    def _peek_text(self) -> str:
        return self._tokens[self._next].text

    def fail(self, message: str, expected: str) -> NoReturn:
        position = self._end if self._done() else self._tokens[self._next].at
        raise ExpressionError(message, position, expected)
