"""Requests about the references on disk: list, export, import, roll back, remove. With or without a running agent."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent.core.arguments import Handler, Page, check_names, take_word
from agent.core.errors import ReferenceMismatch
from agent.core.untrusted import take_text
from agent.drift import storage
from agent.references.store import ReferenceStore, ReferenceVersion, parse_file

CHANGING = frozenset({"reference_import", "reference_rollback", "reference_remove"})
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
        check_names(args, "camera", "file", "text")
        text = take_text(args, "text", longest=storage.LARGEST_BYTES)
        stored = parse_file(Path(take_word(args, "file", "") or "the file"), text)
        version = self._store.put(take_word(args, "camera"), stored)
        return {"camera": version.camera, "id": version.id}

    def roll_back(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        """Put `camera`'s version `id`, or the one before the current, in force."""
        check_names(args, "camera", "id")
        version = self._store.roll_back(take_word(args, "camera"), take_word(args, "id", ""))
        return {"camera": version.camera, "id": version.id}

    def remove(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        """Delete `camera`'s version `id`."""
        check_names(args, "camera", "id")
        version = self._store.remove(take_word(args, "camera"), take_word(args, "id"))
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
