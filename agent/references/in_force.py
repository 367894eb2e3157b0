"""Whether what a monitor builds may still be put in force: not where a person has put another reference there."""

from __future__ import annotations

from collections.abc import Callable

from agent.references.store import ReferenceStore, ReferenceVersion
from agent.references.stored import StoredReference

Still = Callable[[], bool]
"""Whether no person has put another reference in force since it was made."""


def always() -> bool:
    """A person has asked for what is built."""
    return True


class VersionInForce:
    """The version of one camera that is judged by (`look`, `still`: the analyst's thread), and those that take its
    place (`put`, `noted` and what `still` gives: the writer's)."""

    def __init__(self, store: ReferenceStore, camera: str) -> None:
        self._store, self._camera = store, camera
        self._seen = self._put = ""

    def look(self) -> None:
        """Take note of the version in force."""
        self._seen = self._store.in_force(self._camera)

    def still(self) -> Still:
        """What tells later whether that is in force still, or what this monitor has put in its place."""
        seen = self._seen
        return lambda: self._store.in_force(self._camera) in ("", seen, self._put)

    def put(self, made: StoredReference, *, replaces: str, still: Still) -> ReferenceVersion:
        """Put a reference in force, `replaces` as `ReferenceStore.put` has it; or else give that of a person."""
        if not still():
            return self._store.find(self._camera)
        return self.noted(self._store.put(self._camera, made, replaces=replaces))

    def noted(self, version: ReferenceVersion) -> ReferenceVersion:
        """Take note of a version that this monitor had put in force."""
        self._put = version.name
        return version
