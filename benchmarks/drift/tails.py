"""How often the largest of a normal feature's weighted scores over all ages exceeds a level: what tail.py rests on.

    python -m benchmarks.drift.tails            # a minute

For each of three kinds of noise: episodes a window above each level, beside the formula.
"""

from __future__ import annotations

import numpy as np
from scipy.signal import lfilter

from agent.drift.memory import AGE_WEIGHTS, KEEP
from agent.drift.noise import CAUTIOUS, DECAYS, matched_filters
from agent.drift.tail import episode_peaks, normal_level

NOISES = {
    "white": np.array([1.0, 0, 0, 0, 0, 0, 4e-4, 0]),
    "minutes": np.array([0.4, 0.4, 0.2, 0, 0, 0, 4e-4, 0]),
    "weather": CAUTIOUS,
}
LEVELS = np.arange(3.0, 5.51, 0.5)
WINDOWS, STREAMS, WARM = 20_000, 8, 2_000


def wandering(weights: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Evidence (W, N) of the given noise."""
    series = np.zeros((WINDOWS, STREAMS))
    for weight, decay in zip(weights, DECAYS, strict=True):
        keep = np.exp(-1 / decay) if decay else 0.0
        news = random.standard_normal(series.shape) * np.sqrt(weight * (1 - keep**2))
        series += lfilter([1.0], [1.0, -keep], news, axis=0)
    return series


def rates(weights: np.ndarray, repeats: int) -> np.ndarray:
    """Episodes a window above each level."""
    random, found = np.random.default_rng(0), np.zeros(LEVELS.size)
    filters = matched_filters(weights, 2520)
    for _ in range(repeats):
        series = wandering(weights, random)
        memory = np.stack([lfilter([1 - keep], [1, -keep], series, axis=0) for keep in KEEP], axis=-1)
        scores = (np.abs(memory @ filters.T) * AGE_WEIGHTS).max(axis=-1)[WARM:]
        found += [sum(episode_peaks(column, level).size for column in scores.T) for level in LEVELS]
    return found / (repeats * STREAMS * (WINDOWS - WARM))


def main() -> None:
    print("| noise | " + " | ".join(f"{level:g}" for level in LEVELS) + " |")
    print("|---" * (LEVELS.size + 1) + "|")
    for name, weights in NOISES.items():
        print(f"| {name} | " + " | ".join(f"{rate:.1e}" for rate in rates(weights, 15)) + " |")
    at = np.geomspace(1e-2, 1e-8, 2000)
    formula = np.interp(LEVELS, [normal_level(rate) for rate in at], at)
    print("| formula | " + " | ".join(f"{rate:.1e}" for rate in formula) + " |")


if __name__ == "__main__":
    main()
