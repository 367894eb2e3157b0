"""A quantile sketch of one stream of numbers: Apache DataSketches' KLL with numpy in and out.

The library's reader crashes the process on a truncated blob, so blobs are checked here first, against the
layout of `kll_floats_sketch` (serial versions 1 and 2 of the C++ and Java libraries):

    byte 0 preamble ints · 1 serial version · 2 family (15) · 3 flags · 4-5 k · 6 m · 7 unused
    8-15 n · 16-17 smallest k · 18 levels · 19 unused · one u32 per level · minimum · maximum · items

An item of level L stands for 2^L values. Level L ends where level L+1 begins; the offset at which the last
one ends is not written, it follows from k, m and the number of levels (`_capacity`).
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Callable
from typing import Any

import datasketches
import numpy as np
from numpy.typing import NDArray

from agent.core.untrusted import kind_of

DEFAULT_K = 200
_FAMILY = 15
_EMPTY, _LEVEL_ZERO_SORTED, _SINGLE = 1, 2, 4
_SMALLEST_LEVEL = 8  # m: no level is allowed fewer items (the library's constant)
_HEAD, _FULL_HEAD = 8, 20
_MOST_LEVELS = 60  # weights are powers of two in 64 bits

MOST_K = 4096
"""The finest sketch that is read: it takes 50 kB, whatever its sender says that it holds (65,535 would take 1 MB)."""

MOST_VALUES = 2**48
"""Values a sketch may stand for: sums of such counts stay within 64 bits."""

LARGEST_BYTES = 64 * 1024


class Sketch:
    """A mergeable summary of a stream of numbers.

    Up to about `k` values are kept as they are; beyond, ranks are known within 1.3 % (for k=200).
    NaN is counted in `missing` and, like infinities, not summarised. `missing` is not part of `to_bytes`.

    >>> sketch = Sketch()
    >>> sketch.update(np.array([3.0, 1.0, 2.0, np.nan], dtype=np.float32))
    >>> sketch.count, sketch.missing, sketch.quantiles([0.5]).tolist()
    (3, 1, [2.0])
    """

    __slots__ = ("_kll", "missing")

    def __init__(self, k: int = DEFAULT_K) -> None:
        self._kll: Any = datasketches.kll_floats_sketch(k)
        self.missing = 0

    @classmethod
    def evenly(
        cls, values: NDArray[np.float32], minimum: float, maximum: float, k: int = DEFAULT_K
    ) -> Sketch:
        """A sketch of ascending `values` (n,), at least one and `k` at most, with ends that lie at them or beyond.

        >>> Sketch.evenly(np.array([1.0, 2.0], np.float32), 0.0, 5.0).maximum
        5.0
        """
        kept = np.ascontiguousarray(values, dtype="<f4")
        return cls.from_bytes(_serialised([kept], kept.size, minimum, maximum, k))

    def update(self, values: NDArray[np.float32]) -> None:
        """Add `values` (any shape, float32)."""
        values = np.asarray(values, dtype=np.float32).ravel()
        finite = np.isfinite(values)
        if not finite.all():
            self.missing += int(np.isnan(values).sum())
            values = values[finite]
        if values.size:
            self._kll.update(np.ascontiguousarray(values))

    def merge(self, other: Sketch) -> None:
        """Add everything that `other` has seen; `other` is left as it is."""
        self.missing += other.missing
        if other.count:
            self._kll.merge(other._kll)

    @property
    def k(self) -> int:
        """The accuracy parameter."""
        return int(self._kll.k)

    @property
    def count(self) -> int:
        """How many values are summarised."""
        return int(self._kll.n)

    @property
    def minimum(self) -> float:
        """The smallest value, exact; NaN if empty."""
        return float(self._kll.get_min_value()) if self.count else float("nan")

    @property
    def maximum(self) -> float:
        """The largest value, exact; NaN if empty."""
        return float(self._kll.get_max_value()) if self.count else float("nan")

    def quantiles(self, ranks: Any) -> NDArray[np.float64]:
        """The values at normalised `ranks` (0..1), float64 of the same length; NaN if empty."""
        ranks = np.asarray(ranks, dtype=np.float64).ravel()
        if not self.count:
            return np.full(ranks.shape, np.nan)
        return np.asarray(self._kll.get_quantiles(ranks.tolist(), True), dtype=np.float64)

    def cdf(self, points: Any, *, inclusive: bool = True) -> NDArray[np.float64]:
        """The share of values <= each of `points` (< where not `inclusive`), float64; NaN if empty."""
        points = np.asarray(points, dtype=np.float64).ravel()
        if not self.count:
            return np.full(points.shape, np.nan)
        values, weights = self.weighted()
        below = np.concatenate(([0], np.cumsum(weights)))
        # Compare as float32: that is what was stored, and 0.1 is not float32(0.1).
        found = np.searchsorted(values, points.astype(np.float32), side="right" if inclusive else "left")
        return np.asarray(below[found] / below[-1], dtype=np.float64)

    def weighted(self) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The kept values (n,) float32 in ascending order and how many each stands for (n,) int64."""
        items, weights = _parse(self.to_bytes())[:2]
        order = np.argsort(items, kind="stable")
        return items[order], weights[order]

    def compact(self, items: int) -> Sketch:
        """A sketch of the same values that keeps about `items` of them or fewer, for the wire and storage.

        Halving the sorted whole (each pass keeps every other value at twice its weight) bends ranks by less
        than a value's weight; a sketch with a smaller `k` of the same size errs several times as much.
        """
        return _compacted(self, items)

    def even(self, items: int) -> Sketch:
        """A sketch of `items` of the same values that all stand for as many; of fewer values it has all, as they are.

        Each lies in the middle of its share, so they are neither higher nor lower than the whole; those of `compact`
        may be by half a value's weight. How many there were is not kept.
        """
        values, weights = self.weighted()
        if values.size <= items:
            return self.copy()
        return Sketch.evenly(drawn(values, weights, items), self.minimum, self.maximum, self.k)

    def mapped(self, change: Callable[[NDArray[np.float32]], NDArray[np.float32]]) -> Sketch:
        """A sketch of values changed by `change`, which takes ascending values and gives them ascending."""
        values, weights, minimum, maximum = _parse(self.to_bytes())
        ends = change(np.array([minimum, maximum], dtype=np.float32))
        twin = Sketch(self.k)
        twin.missing = self.missing
        if values.size:
            order = np.argsort(values, kind="stable")
            new = np.clip(change(values[order]), *ends)
            levels = [new[weights[order] == 1 << each] for each in range(int(weights.max()).bit_length())]
            twin = Sketch.from_bytes(_serialised(levels, self.count, float(ends[0]), float(ends[1]), self.k))
            twin.missing = self.missing
        return twin

    def copy(self) -> Sketch:
        """An independent sketch of the same values."""
        twin = Sketch(self.k)
        twin.merge(self)
        return twin

    def to_bytes(self) -> bytes:
        """The sketch in DataSketches' own format, readable by its C++, Java and Python libraries."""
        return bytes(self._kll.serialize())

    @classmethod
    def from_bytes(cls, blob: bytes) -> Sketch:
        """The sketch that `to_bytes` (here or in another DataSketches library) wrote; else ValueError.

        Whatever the bytes are: what they claim is checked against what they hold before anything is made of them.
        """
        items, weights, *ends = _parse(blob)
        _check_order(items, weights, (ends[0], ends[1]), blob[3])
        sketch = cls.__new__(cls)
        sketch.missing = 0
        try:
            sketch._kll = datasketches.kll_floats_sketch.deserialize(blob)
        except (RuntimeError, ValueError, IndexError) as error:
            raise ValueError(f"not a KLL sketch: {error}") from error
        return sketch

    @classmethod
    def from_text(cls, text: object) -> Sketch:
        """The sketch whose bytes are base64 in `text`, as messages and references hold them; else ValueError."""
        if not isinstance(text, str):
            raise ValueError(f"not a KLL sketch: a string is expected, this is {kind_of(text)}")
        _check(len(text) <= 4 * LARGEST_BYTES // 3 + 4, f"more than {LARGEST_BYTES} bytes")
        try:
            blob = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raise ValueError("not a KLL sketch: no base64") from None
        return cls.from_bytes(blob)


def _level_capacity(k: int, levels: int, level: int) -> int:
    """How many items level `level` of `levels` may hold: k * (2/3)^depth, rounded as the library rounds."""

    def shrink(size: int, depth: int) -> int:
        return int((((size << 1) << depth) // 3**depth + 1) >> 1)

    depth = levels - level - 1
    size = shrink(k, depth) if depth <= 30 else shrink(shrink(k, depth // 2), depth - depth // 2)
    return max(_SMALLEST_LEVEL, size)


def _capacity(k: int, levels: int) -> int:
    return sum(_level_capacity(k, levels, level) for level in range(levels))


def _check(condition: bool, what: str) -> None:
    if not condition:
        raise ValueError(f"not a KLL sketch: {what}")


def _parse(blob: bytes) -> tuple[NDArray[np.float32], NDArray[np.int64], float, float]:
    """Items, weights, minimum and maximum of a serialised sketch, checked; ValueError where it is none."""
    _check(_HEAD <= len(blob) <= LARGEST_BYTES, "too short or too long")
    _, version, family, flags, k, m, _ = struct.unpack_from("<BBBBHBB", blob)
    _check(family == _FAMILY and version in {1, 2} and m == _SMALLEST_LEVEL and k >= m, "foreign bytes")
    _check(k <= MOST_K, f"finer than {MOST_K}")
    nothing = np.empty(0, np.float32), np.empty(0, np.int64)
    if flags & _EMPTY:
        _check(len(blob) == _HEAD, "an empty sketch with content")
        return *nothing, float("nan"), float("nan")
    if flags & _SINGLE:
        _check(len(blob) == _HEAD + 4, "wrong length")
        only = np.frombuffer(blob, "<f4", 1, _HEAD)
        _check(bool(np.isfinite(only[0])), "a value that is not a number")
        return only, np.ones(1, np.int64), float(only[0]), float(only[0])
    return _parse_full(blob, k)


def _parse_full(blob: bytes, k: int) -> tuple[NDArray[np.float32], NDArray[np.int64], float, float]:
    _check(len(blob) >= _FULL_HEAD, "too short")
    count, coarsest, levels, _ = struct.unpack_from("<QHBB", blob, _HEAD)
    _check(1 <= count <= MOST_VALUES, "a count that nobody has seen")
    _check(_SMALLEST_LEVEL <= coarsest <= k, "a smallest k that does not fit")
    _check(1 <= levels <= _MOST_LEVELS and len(blob) >= _FULL_HEAD + 4 * levels + 8, "too short")
    ends = np.append(np.frombuffer(blob, "<u4", levels, _FULL_HEAD).astype(np.int64), _capacity(k, levels))
    sizes = np.diff(ends)
    _check(bool((sizes >= 0).all()), "levels out of order")
    _check(len(blob) == _FULL_HEAD + 4 * levels + 8 + 4 * int(sizes.sum()), "wrong length")
    total = sum(size << level for level, size in enumerate(sizes.tolist()))
    _check(total == count, "a count that does not fit")
    numbers = np.frombuffer(blob, "<f4", offset=_FULL_HEAD + 4 * levels)
    _check(bool(np.isfinite(numbers).all()), "a value that is not a number")
    weights = np.repeat(np.int64(1) << np.arange(levels, dtype=np.int64), sizes)
    return numbers[2:], weights, float(numbers[0]), float(numbers[1])


def _check_order(
    items: NDArray[np.float32], weights: NDArray[np.int64], ends: tuple[float, float], flags: int
) -> None:
    """The library takes levels for sorted without a look: ranks of one that is not would mean nothing."""
    _check(bool(((items >= ends[0]) & (items <= ends[1])).all()), "values beyond its own ends")
    falls = (np.diff(items) < 0) & (np.diff(weights) == 0)
    if not flags & _LEVEL_ZERO_SORTED:
        falls &= weights[1:] > 1
    _check(not falls.any(), "values out of order")


def drawn(
    values: NDArray[np.float32], weights: NDArray[np.floating | np.integer], items: int, part: float = 0.5
) -> NDArray[np.float32]:
    """Of ascending values (n,) with weights, `items` (m,): the one at `part`, 0..1, of each of as many equal shares.

    >>> drawn(np.arange(6, dtype=np.float32), np.ones(6), 2)
    array([1., 4.], dtype=float32)
    """
    ends = np.cumsum(weights)
    found = np.searchsorted(ends, (np.arange(items) + part) / items * ends[-1])
    return np.asarray(values[np.minimum(found, values.size - 1)])


def _compacted(sketch: Sketch, items: int) -> Sketch:
    values, weights, minimum, maximum = _parse(sketch.to_bytes())
    levels = [
        np.sort(values[weights == 1 << level]) for level in range(int(weights.max(initial=1)).bit_length())
    ]
    level = 0
    while sum(kept.size for kept in levels) > items and level < len(levels):
        if levels[level].size > 1:
            _halve(levels, level)
        level += 1
    if sum(kept.size for kept in levels) == values.size:
        return sketch.copy()
    twin = Sketch.from_bytes(_serialised(levels, sketch.count, minimum, maximum, sketch.k))
    twin.missing = sketch.missing
    return twin


def _halve(levels: list[NDArray[np.float32]], level: int) -> None:
    """Move every other value of `level` one level up, where it weighs twice as much; an odd one stays."""
    kept = levels[level]
    spare, pairs = kept[: kept.size % 2], kept[kept.size % 2 :]
    if level + 1 == len(levels):
        levels.append(np.empty(0, np.float32))
    # First or second of each pair, in turn by level: the two errors point in opposite directions.
    levels[level + 1] = np.sort(np.concatenate((levels[level + 1], pairs[(level + 1) % 2 :: 2])))
    levels[level] = spare


def _serialised(
    levels: list[NDArray[np.float32]], count: int, minimum: float, maximum: float, k: int
) -> bytes:
    sizes = [kept.size for kept in levels]
    first = _capacity(k, len(levels)) - sum(sizes)
    starts = first + np.concatenate(([0], np.cumsum(sizes[:-1]))).astype(np.int64)
    head = struct.pack("<BBBBHBB", 5, 1, _FAMILY, _LEVEL_ZERO_SORTED, k, _SMALLEST_LEVEL, 0)
    full = struct.pack("<QHBB", count, k, len(levels), 0)
    extremes = struct.pack("<ff", minimum, maximum)
    return b"".join(
        (head, full, starts.astype("<u4").tobytes(), extremes, *(kept.tobytes() for kept in levels))
    )
