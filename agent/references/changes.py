"""Who changed which reference is in force, and when: the last changes of each camera, beside its references."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from agent.core.errors import ReferenceMismatch
from agent.core.printable import printable
from agent.core.untrusted import BadInput, parse_kept, take_list, take_number, take_object, take_text
from agent.drift.sketch import LATEST
from agent.references.store import CHANGES, ReferenceStore

MOST_KEPT = 100
_LONGEST = 512


def note(
    store: ReferenceStore, camera: str, what: str, reference: str, *, at: float, who: str, why: str = ""
) -> None:
    """Add a change, such as "accepted", after which `reference` (an id; empty: none) is in force."""
    entry = {"at": at, "what": what, "reference": reference, "who": who, "why": why}
    store.write(camera, CHANGES, json.dumps([*changes(store, camera), entry][-MOST_KEPT:]))


def changes(store: ReferenceStore, camera: str) -> list[Mapping[str, Any]]:
    """The last changes that can be read, oldest first; none where the file cannot be, as nothing depends on it."""
    found: list[Mapping[str, Any]] = []
    with suppress(BadInput, ReferenceMismatch):
        kept = parse_kept(store.read(camera, CHANGES) or "[]")
        for each in take_list({"changes": kept}, "changes", longest=MOST_KEPT):
            with suppress(BadInput):  # it alone: the next change is written beside those that were read
                found.append(_entry(each))
    return found


def _entry(kept: object) -> Mapping[str, Any]:
    entry = take_object({"change": kept}, "change")
    words = {
        name: printable(take_text(entry, name, longest=_LONGEST), _LONGEST)
        for name in ("what", "reference", "who", "why")
    }
    return {"at": take_number(entry, "at", minimum=0.0, maximum=LATEST), **words}
