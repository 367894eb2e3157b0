"""The errors of the agent, named by what the caller does next.

::

    VedetteError
    ├── ConfigError          mend the file: carries file, line, key, what was expected, the nearest known key
    ├── MissingExtra         install an extra: carries the command to run
    ├── NoAgent              start the agent, or do without it
    ├── CameraError          retry by its kind (`refused`, `auth`, `timeout`, ...)
    ├── ModelError           give another model
    ├── InferenceError       open the model anew (`gpu_lost`, `out_of_memory`), else leave that frame out
    ├── ReferenceMismatch    make a new reference
    ├── ProbeUnavailable     do without that probe, look again later
    └── DeliveryError
        ├── RetryableDelivery     try again later
        └── PermanentDelivery     give up on this message or address, and say so
"""

from __future__ import annotations

import math
from enum import Enum

from agent.core.masking import mask


class VedetteError(Exception):
    """Base of every error that the agent raises on purpose; its text is one line for people, without secrets."""

    def __str__(self) -> str:
        """The text, masked: it may quote what a library or a server said."""
        return mask(super().__str__())


class ConfigError(VedetteError):
    """A setting cannot be used.

    `file`, `line` (1-based) and `key` (dotted) say where, `expected` what would be right, `nearest` a known
    key that was perhaps meant; each may be absent.
    """

    def __init__(
        self,
        message: str,
        *,
        file: str | None = None,
        line: int | None = None,
        key: str | None = None,
        expected: str | None = None,
        nearest: str | None = None,
    ) -> None:
        self.message, self.file, self.line = message, file, line
        self.key, self.expected, self.nearest = key, expected, nearest
        super().__init__(str(self))

    def __str__(self) -> str:
        where = f"{self.file or 'config'}{f':{self.line}' if self.line else ''}: "
        subject = f"{self.key}: " if self.key else ""
        expected = f"; expected {self.expected}" if self.expected else ""
        nearest = f"; did you mean {self.nearest!r}?" if self.nearest else ""
        return f"{where}{subject}{mask(self.message)}{expected}{nearest}"


class ConfigErrors(ConfigError):
    """Several settings of one file cannot be used; one line each."""

    def __init__(self, errors: list[ConfigError]) -> None:
        self.errors = errors
        super().__init__(errors[0].message, file=errors[0].file, line=errors[0].line, key=errors[0].key)

    def __str__(self) -> str:
        return (
            "\n".join(str(error) for error in self.errors) if hasattr(self, "errors") else mask(self.message)
        )


class MissingExtra(VedetteError):
    """A library that an optional part needs is not installed; the text says which extra brings it."""


class NoAgent(VedetteError):
    """No agent runs for a state directory: nobody listens at its socket."""


class CameraFailure(str, Enum):
    """Why a camera gives no frames; each kind has its own backoff."""

    AUTH = "auth"
    REFUSED = "refused"
    NOT_FOUND = "not_found"
    UNRESOLVED = "unresolved"
    TIMEOUT = "timeout"
    END_OF_STREAM = "end_of_stream"
    CODEC = "codec"
    STALL = "stall"
    DEVICE_GONE = "device_gone"
    CRASHED = "crashed"
    OTHER = "other"


class CameraError(VedetteError):
    """A camera could not be opened or read; `kind` decides how soon to try again."""

    def __init__(self, message: str, *, kind: CameraFailure) -> None:
        super().__init__(message)
        self.kind = kind


class ModelError(VedetteError):
    """The model cannot be used: missing, corrupt, or no detector."""


class InferenceFailure(str, Enum):
    """Why a model run failed."""

    OUT_OF_MEMORY = "out_of_memory"
    GPU_LOST = "gpu_lost"
    OTHER = "other"


class InferenceError(VedetteError):
    """A model run failed; `kind` says whether the model must be opened anew."""

    def __init__(self, message: str, *, kind: InferenceFailure) -> None:
        super().__init__(message)
        self.kind = kind


class ReferenceMismatch(VedetteError):
    """A reference belongs to another model, camera or feature version, or cannot be read."""


class ProbeUnavailable(VedetteError):
    """What a probe would measure is not there (now)."""


class DeliveryError(VedetteError):
    """A message could not be handed over."""


class RetryableDelivery(DeliveryError):
    """The same message may succeed later; `retry_after` is how many seconds the receiver asks to wait.

    `longest_pause` bounds the seconds between tries, where one costs the receiver nothing. `by_clock` is whether it
    failed by a clock that is not synchronised.
    """

    def __init__(
        self,
        message: str,
        *,
        retry_after: float = 0.0,
        longest_pause: float = math.inf,
        by_clock: bool = False,
    ) -> None:
        super().__init__(message)
        self.retry_after, self.longest_pause, self.by_clock = retry_after, longest_pause, by_clock


class PermanentDelivery(DeliveryError):
    """The same message will never succeed."""
