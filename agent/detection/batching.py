"""How many frames a model run should take: the size that costs the least time a frame, found while running.

On a GPU frames that share a run cost less; on a CPU of few cores they cost more (YOLO11n on two cores: 13 % more CPU
time a frame in eights than singly, since eight frames do not fit into the cache). Nobody knows beforehand, so
now and then a run is made half or twice as big, and the size moves where that is clearly faster.
"""

from __future__ import annotations

from collections import deque
from statistics import median

TRY_EVERY = 25  # each so many runs, one of another size
SAMPLES = 9  # runs of a size that are remembered, and that its median is taken over: machines are noisy
LEAST_SAMPLES = 5
GAIN = 0.9  # another size must cost less than this share of the chosen one's time
FEW_THREADS = (
    3  # so few are busy with a single frame; a trial would only take memory (42 MB for YOLO11n in twos)
)


class BatchSizer:
    """Chooses among 1, 2, 4, ... and `most`, beginning with `first`. One thread at a time."""

    def __init__(self, most: int, first: int) -> None:
        self._sizes = _sizes(most)
        self._costs: dict[int, deque[float]] = {}
        self._place = self._place_of(first)
        self._runs = 0

    @property
    def chosen(self) -> int:
        """The size found best so far."""
        return self._sizes[self._place]

    def next(self) -> int:
        """How many frames the next run may take: the chosen size, or a trial of its neighbours in turn."""
        trial, rest = divmod(self._runs, TRY_EVERY)
        neighbours = self._neighbours()
        return neighbours[trial % len(neighbours)] if trial and not rest and neighbours else self.chosen

    def ran(self, frames: int, seconds: float) -> None:
        """A run of `frames` took `seconds`; one of another size is ignored."""
        self._runs += 1
        if frames not in self._sizes:
            return
        self._costs.setdefault(frames, deque(maxlen=SAMPLES)).append(seconds / frames)
        cost = self._cost(self.chosen)
        better = [size for size in self._neighbours() if self._cost(size) < GAIN * cost]
        if better:
            self._place = self._place_of(min(better, key=self._cost))

    def at_most(self, most: int) -> None:
        """From now on no size over `most`: memory is too small for it."""
        chosen, self._sizes = self.chosen, _sizes(most)
        self._place = self._place_of(chosen)

    def _place_of(self, size: int) -> int:
        return max(place for place, known in enumerate(self._sizes) if known <= max(size, 1))

    def _neighbours(self) -> list[int]:
        around = (self._place - 1, self._place + 1)
        return [self._sizes[place] for place in around if 0 <= place < len(self._sizes)]

    def _cost(self, size: int) -> float:
        known = self._costs.get(size, ())
        return median(known) if len(known) >= LEAST_SAMPLES else float("inf")


def sizes(most: int, threads: int) -> tuple[int, int]:
    """The largest size to try, and the one to begin with, on so many threads of the CPU (0: on a device beside it)."""
    if threads == 0:
        return most, most
    return (1 if threads <= FEW_THREADS else most), 1


def _sizes(most: int) -> list[int]:
    """1, 2, 4, ... and `most`."""
    return sorted({most, *(1 << power for power in range(most.bit_length()))} - {0})
