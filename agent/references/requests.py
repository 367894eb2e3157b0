"""Requests about the references on disk: list, export, import, roll back, undo, remove; with or without an agent."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent.core import clock
from agent.core.arguments import Handler, Page, check_names, take_word
from agent.core.errors import ReferenceMismatch
from agent.core.untrusted import take_text
from agent.drift import storage
from agent.references.changes import changes, note
from agent.references.frame_store import FrameStore
from agent.references.store import ReferenceStore, ReferenceVersion, parse_file

CHANGING = frozenset({"reference_import", "reference_rollback", "reference_undo", "reference_remove"})
"""After these the running agent has to look at the disk again."""


class StoreRequests:
    """Each method takes the arguments of a command and gives JSON values; ReferenceMismatch where it cannot."""

    def __init__(self, store: ReferenceStore) -> None:
        self._store = store

    def handlers(self) -> dict[str, Handler]:
        """The commands by name."""
        return {
            "references": self.references,
            "reference_export": self.export,
            "reference_import": self.take_in,
            "reference_rollback": self.roll_back,
            "reference_undo": self.undo,
            "reference_history": self.history,
            "reference_remove": self.remove,
        }

    def references(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        """All versions of `camera`, or of all cameras, with their origin; a damaged one with its problem."""
        check_names(args, "camera", "limit", "offset")
        page, camera = Page.of(args), take_word(args, "camera", "") if args.get("camera") is not None else ""
        cameras = [camera] if camera else self._store.cameras()
        versions = [version for name in cameras for version in self._store.versions(name)]
        wanted = [self._entry(version) for version in versions[page.offset :][: page.limit]]
        shown = page.cut(wanted, skipped=page.offset)
        return {"versions": shown, **page.about(shown, len(versions))}

    def export(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        """The text of `camera`'s version `id` (empty: the one in force)."""
        check_names(args, "camera", "id")
        version = self._store.find(take_word(args, "camera"), take_word(args, "id", ""))
        return {"camera": version.camera, "id": version.id, "text": self._store.text(version)}

    def take_in(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        """Put the reference in `text` in force for `camera`."""
        check_names(args, "camera", "file", "text", "who", "why")
        text = take_text(args, "text", longest=storage.LARGEST_BYTES)
        stored = parse_file(Path(take_word(args, "file", "") or "the file"), text)
        return self._changed("imported", args, self._store.put(take_word(args, "camera"), stored))

    def roll_back(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        """Put `camera`'s version `id`, or the one before the current, in force."""
        check_names(args, "camera", "id", "who", "why")
        version = self._store.roll_back(take_word(args, "camera"), take_word(args, "id", ""))
        return self._changed("rolled back", args, version)

    def undo(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        """Put the reference in force into which the one in force now took something in."""
        check_names(args, "camera", "who", "why")
        camera = take_word(args, "camera")
        accepted = self._store.load(camera).accepted
        if accepted is None:
            raise ReferenceMismatch(
                f"camera {camera!r}: nothing was accepted into the reference in force; "
                "`vedette reference rollback` goes back to the version before it"
            )
        return self._changed("undone", args, self._store.roll_back(camera, accepted.base))

    def remove(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        """Delete `camera`'s version `id`, with the frames that were kept of it if it was in force."""
        check_names(args, "camera", "id", "who", "why")
        version = self._store.remove(take_word(args, "camera"), take_word(args, "id"))
        if version.current or not self._store.versions(version.camera):
            FrameStore(self._store).clear(version.camera)
        return self._changed("removed", args, version)

    def history(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        """The last changes of which reference of `camera` is in force, oldest first: what, when, by whom, why."""
        check_names(args, "camera")
        camera = take_word(args, "camera")
        return {"camera": camera, "changes": changes(self._store, camera)}

    def _changed(self, what: str, args: Mapping[str, Any], version: ReferenceVersion) -> Mapping[str, Any]:
        """The answer to a change, noted with who asked for it."""
        note(
            self._store, version.camera, what, version.id, at=clock.unix_now(),
            who=take_word(args, "who", "unknown"), why=take_word(args, "why", ""),
        )  # fmt: skip
        return {"camera": version.camera, "id": version.id}

    def _entry(self, version: ReferenceVersion) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "camera": version.camera,
            "id": version.id,
            "made_at": version.made_at,
            "bytes": version.size,
            "current": version.current,
        }
        try:
            return {**self._store.load(version.camera, version.id).about(), **entry}
        except ReferenceMismatch as error:
            return {**entry, "problem": str(error)}
