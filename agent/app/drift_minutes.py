"""A camera's last days from the observation log, a row a minute, to find the course of its drift."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from agent.alerts.runtime import observation_log
from agent.drift.course import Minutes
from agent.features import FEATURES

_COLUMNS = {f"camera.feature_{name}_mean": column for column, name in enumerate(FEATURES)}
_RATIO = "drift.ratio"


def minutes_of(state: Path, camera: str, since: float) -> Minutes:
    """What was recorded of a camera since then (Unix time); half a second for a week."""
    rows: dict[float, np.ndarray[tuple[int], np.dtype[np.float64]]] = {}
    first = observation_log.day_of(since)
    for day, path in observation_log.days(state).items():
        if day < first:
            continue
        for one in observation_log.read(path, camera=camera):
            column = len(_COLUMNS) if one.metric == _RATIO else _COLUMNS.get(one.metric)
            if column is not None and one.at >= since:
                rows.setdefault(one.at, np.full(len(_COLUMNS) + 1, np.nan))[column] = one.value
    times = sorted(rows)
    table = np.array([rows[at] for at in times]).reshape(len(times), len(_COLUMNS) + 1)
    return Minutes(times=np.array(times), values=table[:, :-1], ratios=table[:, -1])
