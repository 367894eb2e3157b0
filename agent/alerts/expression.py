"""The language of conditions: text in, a checked `Condition` out. Nothing is ever evaluated as code.

::

    condition  :=  compared ["for" DURATION]  |  "absent(" series ")" "for" DURATION
    compared   :=  term OP NUMBER  |  series            (a bare state, `camera.frozen`, means `> 0`)
    term       :=  series
                |  "rate(" series ["," DURATION] ")"                     change per second
                |  "anomaly(" series ")"  | "anomaly_high(" ... | "anomaly_low(" ...    robust z-score
                |  "burn(" series [OP NUMBER] "," PERCENT ["," DURATION] ")"   error budget burnt, in times
    series     :=  METRIC ["{" LABEL "=" STRING {"," LABEL "=" STRING} "}"]
    OP         :=  ">" | ">=" | "<" | "<="
    NUMBER     :=  a number, or one with "%" behind it (a hundredth of it)
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import NoReturn

from agent.core.printable import printable
from agent.core.units import parse_duration


class Function(str, Enum):
    """What is made of a metric before it is compared."""

    VALUE = "value"
    ABSENT = "absent"
    RATE = "rate"
    ANOMALY = "anomaly"
    ANOMALY_HIGH = "anomaly_high"
    ANOMALY_LOW = "anomaly_low"
    BURN = "burn"


ANOMALIES = (Function.ANOMALY, Function.ANOMALY_HIGH, Function.ANOMALY_LOW)
DEFAULT_RATE_SECONDS = 600.0
DEFAULT_BURN_SECONDS = 3600.0
LONGEST_TEXT = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One condition, as parsed: `function(metric{selector}) comparison limit for hold`.

    `hold` is None where the text says none; `over` is the window of a rate or of a burn (the long one), in
    seconds; `objective` the share of good frames or windows that a burn promises (0..1); `target` what a
    frame or window must not exceed to be good, by `target_comparison`.
    """

    metric: str
    function: Function = Function.VALUE
    comparison: str = ">"
    limit: float = 0.0
    selector: Mapping[str, str] = field(default_factory=dict)
    hold: float | None = None
    over: float = 0.0
    objective: float = 0.0
    target: float | None = None
    target_comparison: str = ">"

    def beyond(self, value: float, limit: float | None = None) -> bool:
        """Whether `value` is on the alarming side of `limit` (default: its own); never for NaN."""
        return compare(value, self.comparison, self.limit if limit is None else limit)


class ExpressionError(ValueError):
    """A condition cannot be read; `position` is where (0-based), `expected` what would be right there."""

    def __init__(self, message: str, position: int, expected: str | None = None) -> None:
        super().__init__(message)
        self.position, self.expected = position, expected


def compare(value: float, comparison: str, limit: float) -> bool:
    """`value comparison limit`; False for NaN."""
    return {
        ">": value > limit,
        ">=": value >= limit,
        "<": value < limit,
        "<=": value <= limit,
    }[comparison]


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


def parse(text: str) -> Condition:
    """The condition that `text` says; raises ExpressionError."""
    if len(text) > LONGEST_TEXT:
        raise ExpressionError("is too long", LONGEST_TEXT, f"{LONGEST_TEXT} characters at most")
    return _Parser(_tokens(text), len(text)).condition()


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

    def __init__(self, tokens: list[_Token], end: int) -> None:
        self._tokens, self._end, self._next = tokens, end, 0

    def condition(self) -> Condition:
        word = self._take("word", "a metric or a function, such as camera.latency_p99_seconds")
        function = self._function(word)
        values = self._series(word) if function is Function.VALUE else self._call(function)
        if function is not Function.ABSENT:
            values |= self._comparison(function)
        hold = self._hold()
        if function is Function.ABSENT and not hold:
            self._fail("absent() must say for how long", "absent(METRIC) for 3m")
        if self._next < len(self._tokens):
            self._fail(
                f"does not end where it should, but goes on with {self._peek_text()!r}", "`for 5m` or the end"
            )
        return Condition(function=function, hold=hold, **values)  # type: ignore[arg-type]

    def _function(self, word: _Token) -> Function:
        if not self._at("("):
            return Function.VALUE
        try:
            return Function(word.text)
        except ValueError:
            names = ", ".join(item.value for item in Function if item is not Function.VALUE)
            raise ExpressionError(f"unknown function {word.text!r}", word.at, f"one of {names}") from None

    def _series(self, word: _Token) -> dict[str, object]:
        selector = {}
        if self._accept("{"):
            while not self._accept("}"):
                label = self._take("word", "a label, such as camera").text
                self._expect("=")
                selector[label] = self._take("text", 'a text in quotes, such as "front"').text[1:-1]
                if not self._at("}"):
                    self._expect(",")
        return {"metric": word.text, "selector": selector}

    def _call(self, function: Function) -> dict[str, object]:
        self._expect("(")
        values = self._series(self._take("word", "a metric"))
        if function is Function.BURN:
            values |= self._burn()
        elif function is Function.RATE:
            values["over"] = self._duration() if self._accept(",") else DEFAULT_RATE_SECONDS
        self._expect(")")
        return values

    def _burn(self) -> dict[str, object]:
        values: dict[str, object] = {}
        if sign := self._accept(">", ">=", "<", "<="):
            values |= {"target_comparison": sign, "target": self._number()}
        self._expect(",")
        objective = self._number()
        if not 0 < objective < 1:
            self._fail(
                "a burn's objective is the share that must be good", "between 0% and 100%, such as 99%"
            )
        over = self._duration() if self._accept(",") else DEFAULT_BURN_SECONDS
        return values | {"objective": objective, "over": over}

    def _comparison(self, function: Function) -> dict[str, object]:
        sign = self._accept(">", ">=", "<", "<=")
        if sign:
            return {"comparison": sign, "limit": self._number()}
        if function is not Function.VALUE or not (self._done() or self._peek_text() == "for"):
            self._fail("has no comparison", "one of > >= < <= and a number")
        return {"comparison": ">", "limit": 0.0}

    def _hold(self) -> float | None:
        if self._done() or self._peek_text() != "for":
            return None
        self._next += 1
        return self._duration()

    def _duration(self) -> float:
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

    def _number(self) -> float:
        token = self._take("number", "a number")
        try:
            return parse_number(token.text)
        except ValueError:
            raise ExpressionError("the number is too large", token.at, "a number") from None

    def _take(self, kind: str, expected: str) -> _Token:
        if self._done() or self._tokens[self._next].kind != kind:
            found = f"{self._peek_text()!r}" if not self._done() else "the end"
            self._fail(f"{found} stands where something else is needed", expected)
        self._next += 1
        return self._tokens[self._next - 1]

    def _accept(self, *signs: str) -> str:
        if self._done() or self._tokens[self._next].kind != "sign" or self._peek_text() not in signs:
            return ""
        self._next += 1
        return self._tokens[self._next - 1].text

    def _expect(self, sign: str) -> None:
        if not self._accept(sign):
            self._fail(f"{sign!r} is missing", f"{sign!r}")

    def _at(self, sign: str) -> bool:
        return not self._done() and self._peek_text() == sign

    def _done(self) -> bool:
        return self._next >= len(self._tokens)

    def _peek_text(self) -> str:
        return self._tokens[self._next].text

    def _fail(self, message: str, expected: str) -> NoReturn:
        position = self._end if self._done() else self._tokens[self._next].at
        raise ExpressionError(message, position, expected)
