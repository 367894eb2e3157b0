"""Medians of the columns of a table in which numbers may lack."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def medians(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """The median of each column of `table` (n, d) over the numbers that are known, (d,); NaN where none is.

    >>> medians(np.array([[1.0, np.nan], [3.0, np.nan]]))
    array([ 2., nan])
    """
    known = np.isfinite(table).any(axis=0)
    if not known.any():
        return np.full(table.shape[1], np.nan)
    return np.asarray(np.where(known, np.nanmedian(np.where(known, table, 0.0), axis=0), np.nan))
