"""Where a stream is: its URL with the credentials in it for FFmpeg, and masked for people."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, quote, unquote, urlsplit, urlunsplit

# Cameras take passwords in the query as well (`?user=admin&pwd=...`).
_SECRET_QUERY = re.compile(r"([^&=]*(?:pass|pwd|token|secret|key|auth)[^&=]*)=[^&]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A stream's address: `url` for FFmpeg (may hold a password), `shown` for people."""

    url: str = field(repr=False)
    shown: str
    scheme: str
    host: str

    @property
    def is_file(self) -> bool:
        """Whether it is a file of this machine."""
        return not self.scheme


def address(url: str, username: str = "", password: str = "") -> Address:
    """The address at `url`; `username` and `password` go before those in the URL itself."""
    if "://" not in url or url.startswith("file://"):
        path = url.removeprefix("file://")
        return Address(url=path, shown=path, scheme="", host="")
    parts = urlsplit(url)
    user = username or unquote(parts.username or "")
    secret = password or unquote(parts.password or "")
    return Address(
        url=urlunsplit(parts._replace(netloc=_netloc(parts, user, secret))),
        shown=masked(url),
        scheme=parts.scheme.lower(),
        host=parts.hostname or "",
    )


def masked(url: str) -> str:
    """`url` without what is secret in it."""
    if "://" not in url:
        return url
    parts = urlsplit(url)
    user = quote(unquote(parts.username or ""), safe="")
    netloc = _place(parts)
    if parts.username or parts.password:
        netloc = f"{user}:***@{netloc}" if parts.password else f"{user}@{netloc}"
    return urlunsplit(parts._replace(netloc=netloc, query=_SECRET_QUERY.sub(r"\1=***", parts.query)))


def first_line(path: str) -> str:
    """The first line of a password file, without its end; raises OSError."""
    return next(iter(Path(path).read_text(encoding="utf-8").splitlines()), "")


def _netloc(parts: SplitResult, user: str, secret: str) -> str:
    if not user and not secret:
        return _place(parts)
    credentials = quote(user, safe="") + (f":{quote(secret, safe='')}" if secret else "")
    return f"{credentials}@{_place(parts)}"


def _place(parts: SplitResult) -> str:
    return parts.netloc.rpartition("@")[2]
