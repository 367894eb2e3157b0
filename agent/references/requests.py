"""Requests about the references on disk: list, export, import, roll back, remove. With or without a running agent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from agent.errors import ReferenceMismatch
from agent.references.shelf import Shelf, Version, parse_file

Handler = Callable[[Mapping[str, Any]], Mapping[str, Any]]

CHANGING = frozenset({"reference_import", "reference_rollback", "reference_remove"})
"""After these the running agent has to look at the disk again."""


class ShelfRequests:
    """Each method takes the arguments of a command and gives JSON values; ReferenceMismatch where it cannot."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

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
        """All versions of `camera`, or of all cameras, with what they are; a damaged one says so."""
        cameras = [args["camera"]] if args.get("camera") else self._shelf.cameras()
        return {
            "versions": [self._entry(version) for name in cameras for version in self._shelf.versions(name)]
        }

    def export(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        """The text of `camera`'s version `id` (empty: the one in force)."""
        version = self._shelf.find(_camera(args), str(args.get("id", "")))
        return {"camera": version.camera, "id": version.id, "text": self._shelf.text(version)}

    def take_in(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        """Put the reference in `text` in force for `camera`."""
        stored = parse_file(Path(str(args.get("file") or "the file")), str(args.get("text", "")))
        version = self._shelf.put(_camera(args), stored)
        return {"camera": version.camera, "id": version.id}

    def roll_back(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        """Put `camera`'s version `id`, or the one before the current, in force."""
        version = self._shelf.roll_back(_camera(args), str(args.get("id", "")))
        return {"camera": version.camera, "id": version.id}

    def remove(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        """Delete `camera`'s version `id`."""
        if not args.get("id"):
            raise ReferenceMismatch("id: is missing; expected that of the reference to remove")
        version = self._shelf.remove(_camera(args), str(args["id"]))
        return {"camera": version.camera, "id": version.id}

    def _entry(self, version: Version) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "camera": version.camera,
            "id": version.id,
            "made_at": version.made_at,
            "bytes": version.size,
            "current": version.current,
        }
        try:
            return {**self._shelf.load(version.camera, version.id).about(), **entry}
        except ReferenceMismatch as error:
            return {**entry, "problem": str(error)}


def _camera(args: Mapping[str, Any]) -> str:
    camera = args.get("camera")
    if not isinstance(camera, str) or not camera:
        raise ReferenceMismatch("camera: is missing; expected the name of a camera")
    return camera
