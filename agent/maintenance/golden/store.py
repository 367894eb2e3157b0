"""Golden records on disk: those of the last few models, in one file of the state directory."""

from __future__ import annotations

import json
from pathlib import Path

import structlog

from agent.core.state_dir import write_atomic
from agent.core.untrusted import BadInput, parse_object, take_list
from agent.maintenance.golden.record import GoldenRecord, from_json, to_json

log = structlog.get_logger("vedette.golden")

FILE_NAME = "golden.json"
_MOST_MODELS = 8


class GoldenStore:
    """Belongs to one thread. A file that cannot be read is replaced by the next record."""

    def __init__(self, state_directory: Path, images: int) -> None:
        self._path, self._images = state_directory / FILE_NAME, images

    def find(self, model: str) -> GoldenRecord | None:
        """The record of a model."""
        return next((record for record in self._read() if record.model == model), None)

    def put(self, record: GoldenRecord) -> None:
        """Keep a record in place of the model's former one; raises OSError."""
        others = [one for one in self._read() if one.model != record.model]
        kept = [record, *others][:_MOST_MODELS]
        body = {"records": [to_json(one) for one in kept]}
        write_atomic(self._path, json.dumps(body, separators=(",", ":")).encode())

    def _read(self) -> list[GoldenRecord]:
        try:
            body = parse_object(self._path.read_bytes())
            return [from_json(entry, self._images) for entry in take_list(body, "records", longest=64)]
        except FileNotFoundError:
            return []
        except (OSError, BadInput) as error:
            log.warning(
                "golden check: the record cannot be read, recording again", file=FILE_NAME, reason=str(error)
            )
            return []
