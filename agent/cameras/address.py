"""The address of a stream: its URL with credentials for FFmpeg, and masked for people."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote, unquote, urlunsplit

from agent.core.file_url import is_file_url, local_path
from agent.core.secret import Masked, Secret, split_url


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamAddress:
    """A stream's address; `url` is FFmpeg's (may hold a password)."""

    url: Masked
    scheme: str
    host: str

    @property
    def shown(self) -> str:
        """The address for people."""
        return str(self.url)

    @property
    def is_file(self) -> bool:
        """Whether it is a file of this machine."""
        return not self.scheme


def address(url: str | Masked, username: str = "", password: str | Secret = "") -> StreamAddress:
    """The address at `url`; `username` and `password` go before those in the URL itself. Raises ConfigError."""
    text = Masked(url).reveal()
    if "://" not in text or is_file_url(text):
        return StreamAddress(url=Masked(local_path(text)), scheme="", host="")
    parts = split_url(text, key="url", expected="rtsp://HOST[:PORT]/PATH or the path of a video file")
    user = username or unquote(parts.username or "")
    secret = Secret(password).reveal() or unquote(parts.password or "")
    place = parts.netloc.rpartition("@")[2]
    return StreamAddress(
        url=Masked(urlunsplit(parts._replace(netloc=_login(user, secret) + place))),
        scheme=parts.scheme.lower(),
        host=parts.hostname or "",
    )


def _login(user: str, secret: str) -> str:
    """`user` and `secret` as a URL has them; an empty password is one, too: without its colon FFmpeg sends no login."""
    if not user and not secret:
        return ""
    return f"{quote(user, safe='')}:{quote(secret, safe='')}@"
