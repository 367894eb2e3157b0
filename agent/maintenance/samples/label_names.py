"""Finds the sample of a labelling tool's file: tools add prefixes and suffixes, and replace dots. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TypeVar

from agent.core.errors import ConfigError
from agent.core.printable import printable

_STAMP = re.compile(r"(\d{8}T\d{6})[._-](\d{3})Z-")
_Labels = TypeVar("_Labels")


def may_name_sample(stem: str) -> bool:
    """Whether a file's name may hold that of a sample.

    >>> may_name_sample("3f2a9c1b-front-20260131T120000.250Z-blink"), may_name_sample("README")
    (True, False)
    """
    return _STAMP.search(stem) is not None


def by_sample(labels: Mapping[str, _Labels], known: Iterable[str]) -> dict[str, _Labels]:
    """The labels by the `known` sample that the name of each one's file holds; files of no known sample are left out.

    Raises ConfigError where two files are of one sample and do not say the same: a tool that augments (Roboflow) writes
    an image several times, mirrored and cropped.
    """
    at: dict[tuple[str, ...], list[tuple[str, str, str]]] = {}
    for one in known:
        if found := _STAMP.search(one):
            parts = (one[: found.start()].rstrip("-"), one[found.end() :], one)
            at.setdefault(found.groups(), []).append(parts)
    taken: dict[str, tuple[str, _Labels]] = {}
    for stem, found_labels in labels.items():
        sample = _sample_of(stem, at)
        if sample is None:
            continue
        if sample in taken and taken[sample][1] != found_labels:
            raise ConfigError(
                f"{printable(taken[sample][0])} and {printable(stem)} are both of sample {sample}, with other labels",
                file="import-labels",
                expected="each image once: export from the tool without augmentation",
            )
        taken[sample] = stem, found_labels
    return {sample: found_labels for sample, (_, found_labels) in taken.items()}


def _sample_of(stem: str, at: Mapping[tuple[str, ...], list[tuple[str, str, str]]]) -> str | None:
    """The sample whose camera the name has before its time, as much of it as fits, and whose reason after it."""
    for found in _STAMP.finditer(stem):
        before, after = stem[: found.start()].rstrip("-_"), stem[found.end() :]
        fitting = [
            (len(camera), sample)
            for camera, reason, sample in at.get(found.groups(), ())
            if _ends_with(before, camera) and after.startswith(reason)
        ]
        if fitting:
            return max(fitting)[1]
    return None


def _ends_with(before: str, camera: str) -> bool:
    rest = before.removesuffix(camera)
    return before.endswith(camera) and (not rest or not rest[-1].isalnum())
