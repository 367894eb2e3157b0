"""Paths of this machine that are written as `file://` URLs."""

from __future__ import annotations

import os
from urllib.parse import unquote

_SCHEME = "file://"


def is_file_url(text: str) -> bool:
    """Whether `text` is a `file://` URL."""
    return text[: len(_SCHEME)].lower() == _SCHEME


def local_path(text: str) -> str:
    """The path that `text` means: of a `file://` URL with its escapes undone, `~` for the user's home."""
    if not is_file_url(text):
        return text
    path = text[len(_SCHEME) :]
    path = path.removeprefix("localhost") if path.startswith("localhost/") else path
    path = path[1:] if path.startswith("/~") else path
    return os.path.expanduser(unquote(path))  # noqa: PTH111  (Path.expanduser raises for a user that is not there)
