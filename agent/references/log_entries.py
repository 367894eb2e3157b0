"""The changes of the references on disk as entries of the logbook."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from agent.core.logbook import Entry
from agent.references.changes import changes
from agent.references.store import ReferenceStore


def reference_entries(state_directory: Path) -> Iterator[Entry]:
    """Which references came in force, by whom, and the versions that the agent recorded itself."""
    store = ReferenceStore(state_directory)
    for camera in store.cameras():
        asked = changes(store, camera)
        for change in asked:
            yield Entry(
                at=change["at"],
                kind="reference",
                what=f"camera {camera}: {change['what']} {change['reference']}".rstrip(),
                who=change["who"],
                why=change["why"],
            )
        known = {change["reference"] for change in asked}
        for version in store.versions(camera):
            if version.id not in known:
                yield Entry(
                    at=version.made_at, kind="reference", what=f"camera {camera}: recorded {version.id}"
                )
