"""Secrets: types that cannot be rendered, what of a server's answer can be shown, and URLs read in one way only."""

from __future__ import annotations

import codecs
import errno
import os
import re
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import SplitResult, unquote, urlsplit  # noqa: TID251  (this is the place that may)

from agent.core.errors import ConfigError
from agent.core.masking import MASK, SCHEME, SHOWN_SCHEMES, authority_of, is_ip, is_place, mask, masked_rest
from agent.core.plain_file import pieces
from agent.core.printable import printable


class Secret:
    """A text that is never shown: only `reveal` gives it, at the point of use."""

    __slots__ = ("_value",)

    def __init__(self, value: str | Secret = "") -> None:
        self._value: str = value.reveal() if isinstance(value, Secret) else value

    def reveal(self) -> str:
        """The text itself."""
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return self._value == other._value if isinstance(other, Secret) else NotImplemented

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __str__(self) -> str:
        return MASK

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError(f"a {type(self).__name__} is not pickled")


class Masked(Secret):
    """A text that may hold secrets, such as a URL or a pipeline: shown through `mask`."""

    __slots__ = ()

    def __str__(self) -> str:
        lone = SCHEME.match(self._value)
        if lone is None:
            return mask(self._value)
        return lone[0] + masked_rest(lone[1], self._value[lone.end() :])


# -- files of passwords ---------------------------------------------------------------------------------------------

LONGEST_LINE = 65_536  # bytes
PIPE_SECONDS = 5.0  # a pipe into which nobody writes is not waited for longer


def first_line(path: str | Path) -> Secret:
    """The first line of a password file, without its end; raises OSError, whatever else there may be at `path`.

    The byte order mark that some editors write before UTF-8 is left out (`begins_with_mark`); UTF-16 is refused.
    A device that never ends, or a pipe that nobody fills, holds up nobody.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except ValueError:
        raise OSError(errno.EINVAL, "is not a path") from None
    try:
        line = _line_of(handle)
    finally:
        os.close(handle)
    if line.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise OSError(errno.EINVAL, "begins with the byte order mark of UTF-16; save it as UTF-8")
    try:
        return Secret(line.decode("utf-8-sig").removesuffix("\r"))
    except UnicodeDecodeError:
        raise OSError(errno.EINVAL, "is not text") from None


def begins_with_mark(path: str | Path) -> bool:
    """Whether the file at `path` begins with the byte order mark of UTF-8; a pipe is not read for that."""
    try:
        with Path(path).open("rb") as file:
            return file.seekable() and file.read(3) == codecs.BOM_UTF8
    except (OSError, ValueError):
        return False


def _line_of(handle: int) -> bytes:
    data = b""
    for piece in pieces(handle, PIPE_SECONDS):
        data += piece
        if b"\n" in data or len(data) > LONGEST_LINE:
            break
    line = data.partition(b"\n")[0]
    if len(line) > LONGEST_LINE:
        raise OSError(errno.EFBIG, "has too long a line for a password")
    return line


# -- a server's answer -------------------------------------------------------------------------------------------

LONGEST_EXCERPT = 120
_WITH_HOST = SHOWN_SCHEMES | {"mailto", "mailtos", "json", "jsons", "xml", "xmls", "form", "forms"}
_PIECE = 5  # characters: a server that quotes the beginning of a token gives that much of it away


def excerpt(answer: str, *secrets: Secret) -> str:
    """The beginning of a server's answer as one printable line; empty where a piece of one of `secrets` stands in it.

    What we sent may be echoed: a token in the address, a password, whole or in part.
    """
    text = unquote(answer).casefold()
    if any(piece in text for secret in secrets for piece in _pieces(secret.reveal())):
        return ""
    return printable(mask(" ".join(answer.split())), LONGEST_EXCERPT)


def _pieces(secret: str) -> set[str]:
    """Every run of `_PIECE` characters (fewer, where it is shorter) of each part of `secret`; not a URL's host."""
    url = SCHEME.match(secret)
    text = secret[url.end() :] if url else secret
    place = authority_of(text).rpartition("@")[2] if url and url[1].lower() in _WITH_HOST else ""
    parts = re.split(r"[^\w.-]+", unquote(text.replace(place, " ", 1) if place else text).casefold())
    return {
        part[at : at + _PIECE]
        for part in parts
        if len(part) > 2
        for at in range(max(1, len(part) - _PIECE + 1))
    }


# -- URLs of settings ---------------------------------------------------------------------------------------------

_BY_PERCENT = "signs such as / # ? @ [ ] in a user name or password written as %2F %23 %3F %40 %5B %5D"


def split_url(url: str, *, key: str, expected: str, keys: bool = True) -> SplitResult:
    """The parts of `url`; raises ConfigError, which never shows it, where it is none or may be read in two ways.

    A password with an unescaped sign would make the user name a host, and a name server would be asked for it.
    `keys` says that the setting has `username` and `password` beside it.
    """
    hint = f"{_BY_PERCENT}{', or the keys username and password' if keys else ''}"
    if any(sign < " " or sign == "\x7f" for sign in url):
        raise ConfigError("holds a control character", key=key, expected=expected)
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        if "@" in url:
            raise ConfigError("can be read in two ways", key=key, expected=hint) from None
        raise ConfigError("has no valid host and port", key=key, expected=expected) from None
    tail = url.partition("://")[2][len(parts.netloc) :]
    place = parts.netloc.rpartition("@")[2]
    if not is_place(place) or (host and not is_ip(place) and _ends_login(parts.netloc, tail)):
        raise ConfigError("can be read in two ways", key=key, expected=hint)
    return parts


def _ends_login(authority: str, tail: str) -> bool:
    """Whether an `@` behind the authority may be the end of a login: `user:12/34@host`, `user:p@a/b@host`."""
    if ":" not in authority and "@" not in authority:
        return False
    path, query = re.split(r"[?#]", f"{tail}?", maxsplit=1)
    return "@" in path or (not path and "@" in query)
