"""Secrets: a type that cannot be rendered, and the one function that takes secrets out of text.

`mask` is for every text that people read or that leaves the box: a lone URL, a GStreamer pipeline, an error of FFmpeg,
a log line. It masks by default and errs on that side: all of a URL's user-info (the user name too), all values of its
query, what stands behind `token/`, `key/`, `webhooks/` and the like in its path, the whole of an address whose scheme
is not one of those below (Apprise's addresses are made of tokens), and properties such as `user-pw=...`.
Masking masked text changes nothing.
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Any, NoReturn
from urllib.parse import SplitResult, unquote, urlsplit  # noqa: TID251  (this is the place that may)

from agent.errors import ConfigError
from agent.printable import printable

MASK = "***"


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
        lone = _SCHEME.match(self._value)
        if lone is None:
            return mask(self._value)
        return lone[0] + _masked_rest(lone[1], self._value[lone.end() :])


# -- masking ------------------------------------------------------------------------------------------------------

# Of other schemes nothing is shown: what stands at a host's place may be a token (`slack://TOKEN`, `tgram://TOKEN`).
_SHOWN_SCHEMES = frozenset(
    {
        "rtsp",
        "rtsps",
        "rtspt",
        "rtspu",
        "rtmp",
        "rtmps",
        "rtmpt",
        "http",
        "https",
        "mqtt",
        "mqtts",
        "ws",
        "wss",
    }
    | {"srt", "udp", "rtp", "tcp", "tls", "file", "ftp", "sftp"}
)
_KEYS = r"""(?:(?<![A-Za-z])(?:pw|pwd|psw|pass|psk|user|usr)|user[_-]?(?:id|name)|user[_-]?pw|passwo?r?d|passphrase
    |passcode|secret|token|credentials?|api[_-]?key|access[_-]?key|private[_-]?key|signature)"""
_VALUE = r"""(?:"(?:[^"\\\n]|\\.)*"?|'(?:[^'\\\n]|\\.)*'?|[^\s"']\S*)"""

_WORTH_A_LOOK = re.compile(
    r"://|@|=|[\"']\s{0,4}:|/bot\d|/services/|webhooks/|authorization|bearer|basic ", re.I
)
_SCHEME = re.compile(r"([A-Za-z0-9+.-]{1,32})://")
# To the next space, or to a quote that closes something.
_TOKEN = re.compile(r"""(?:[^\s"'`<>]|["'`](?![\s,;:!)\]}]|\Z))*""")
_AUTHORITY = re.compile(r"[^/?#]*")
_LOGIN_ALONE = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}:(?!//)[^\s@\"']{1,128}@(?=[\w\[])")
_PROPERTY = re.compile(
    rf"({_KEYS}(?:[\"']?\s{{0,4}}=|[\"']\s{{0,4}}:)\s{{0,4}})(?!\*{{3}}(?:_\w{{1,24}}=|\W|\Z)){_VALUE}",
    re.I | re.X,
)
_HEADER = re.compile(
    r"(authorization[\"']?\s{0,4}[:=]\s{0,4}[\"']?)[^\"'\r\n]+"
    r"|(\bbearer\s{1,4})[^\s\"',]+|(\bbasic\s{1,4})(?=[A-Za-z]*[0-9+/=])[A-Za-z0-9+/]{6,}={0,2}",
    re.I,
)
_BOT = re.compile(r"(/bot)\d+:[^/?#\s]+", re.I)
_HOOK = re.compile(r"(/services/)T\w*/\w+/\w+|(/webhooks/)\d+/[\w-]+", re.I)
_PATH_KEY = re.compile(rf"[/&_;,.-]{_KEYS}=", re.I | re.X)
_PATH_VALUE = re.compile(r"=.*?(?=[/&_;,][A-Za-z0-9-]{1,24}=|\Z)", re.S)
_PATH_TOKEN = re.compile(
    r"(/[\w-]{0,24}(?:token|key|secret|auth|passwo?r?d|pwd|pass|credentials?)s?/)[^/]+", re.I
)
_PATH_HOOK = re.compile(r"(/(?:services|webhooks?\w{0,8}|hooks?|incomingwebhook|workflows)/).+", re.I | re.S)
_PATH_LOGIN = re.compile(r"/.*@", re.S)
_QUERY_PART = re.compile(r"([?&;#])([^?&;#]*)")


def mask(text: str) -> str:
    """`text` without what is, or may be, secret in it.

    >>> mask("rtsp://admin:a/b@10.0.0.9/user=admin&password=x?token=y refuses the login")
    'rtsp://*** refuses the login'
    >>> mask("rtsp://10.0.0.9/live/user=admin_password=x_channel=1_stream=0.sdp?key=y")
    'rtsp://10.0.0.9/live/user=***_password=***_channel=***_stream=***?key=***'
    """
    if not _WORTH_A_LOOK.search(text):
        return text
    text = _mask_urls(text) if "://" in text else text
    text = _LOGIN_ALONE.sub(f"{MASK}@", text) if "@" in text else text
    text = _HEADER.sub(lambda found: f"{found[1] or found[2] or found[3]}{MASK}", text)
    text = _PROPERTY.sub(rf"\1{MASK}", text)
    return _HOOK.sub(lambda found: f"{found[1] or found[2]}{MASK}", _BOT.sub(rf"\1{MASK}", text))


def _mask_urls(text: str) -> str:
    pieces: list[str] = []
    done = 0
    for found in _SCHEME.finditer(text):
        if found.start() < done:  # inside the query of the one before
            continue
        end = _url_end(text, found.end())
        body = text[found.end() : end]
        tail = "" if found.start() == 0 and end == len(text) else body[len(body.rstrip(".,;:!)]}")) :]
        rest = body.removesuffix(tail) if tail else body
        pieces += [text[done : found.end()], _masked_rest(found[1], rest), tail]
        done = end
    return "".join([*pieces, text[done:]])


def _url_end(text: str, start: int) -> int:
    """Where the URL whose authority begins at `start` ends; a password with spaces or quotes belongs to it."""
    token = _TOKEN.match(text, start)
    end = token.end() if token else start
    authority = _AUTHORITY.match(text, start, end)
    if authority is None or "@" in authority[0] or _is_place(authority[0].rstrip(".,;:!)]}")):
        return end
    sign = text.find("@", end, end + 200)
    further = _TOKEN.match(text, sign) if sign >= 0 and "\n" not in text[end:sign] else None
    return further.end() if further else end


def _masked_rest(scheme: str, rest: str) -> str:
    """What follows `scheme://`, masked."""
    if scheme.lower() not in _SHOWN_SCHEMES:
        return MASK if rest else rest
    authority = _authority(rest)
    login, at, host = authority.rpartition("@")
    if (at or not _is_place(authority)) and rest.count(
        "@"
    ) == 1:  # it ends the login, whatever signs that has
        return f"{MASK}@{_masked_place(rest.partition('@')[2])}"
    if "@" in rest[len(authority) :] and not _is_ip(host):  # it may end a login that began in the authority
        return MASK
    return f"{MASK}@{_masked_place(rest[len(login) + 1 :])}" if at else _masked_place(rest)


def _masked_place(rest: str) -> str:
    """Host, port and what follows, masked."""
    host = _authority(rest)
    return host + _masked_tail(rest[len(host) :]) if _is_place(host) else MASK


def _authority(rest: str) -> str:
    found = _AUTHORITY.match(rest)
    return found[0] if found else ""


def _masked_tail(tail: str) -> str:
    """Path, query and fragment, masked."""
    cut = re.search(r"[?#]", tail)
    path, query = (tail[: cut.start()], tail[cut.start() :]) if cut else (tail, "")
    shown = _masked_path(path)
    if shown == path and re.fullmatch(r"#[\w-]*", query):  # a place in a page
        return path + query
    return shown + _QUERY_PART.sub(_masked_part, query)


def _masked_path(path: str) -> str:
    path = _PATH_LOGIN.sub(f"/{MASK}@", path) if "@" in path else path
    key = _PATH_KEY.search(path)
    if key:
        path = path[: key.end() - 1] + _PATH_VALUE.sub(f"={MASK}", path[key.end() - 1 :])
    path = _PATH_HOOK.sub(rf"\1{MASK}", _PATH_TOKEN.sub(rf"\1{MASK}", path))
    return _BOT.sub(rf"\1{MASK}", path)


def _masked_part(found: re.Match[str]) -> str:
    key, equals, _ = found[2].partition("=")
    return f"{found[1]}{key}={MASK}" if equals else f"{found[1]}{MASK if key else ''}"


def _is_place(host: str) -> bool:
    """Whether `host` is a host, with or without a port."""
    if re.fullmatch(r"[0-9A-Fa-f:.]+", host) and host.count(":") > 1:  # IPv6 without its brackets
        return True
    return re.fullmatch(r"(?:\[[^\[\]]*\]|[^:\[\]]*)(?::[0-9]{0,5})?", host) is not None


def _is_ip(host: str) -> bool:
    bare = re.sub(r":[0-9]*\Z", "", host)
    try:
        ip_address(bare[1:-1] if bare.startswith("[") else bare)
    except ValueError:
        return bare.lower() == "localhost"
    return True


# -- what a server says -------------------------------------------------------------------------------------------

LONGEST_EXCERPT = 120
_WITH_HOST = _SHOWN_SCHEMES | {"mailto", "mailtos", "json", "jsons", "xml", "xmls", "form", "forms"}
_PIECE = 5  # characters: a server that quotes the beginning of a token gives that much of it away


def excerpt(said: str, *secrets: Secret) -> str:
    """The beginning of a server's answer as one printable line; empty where a piece of one of `secrets` stands in it.

    What we sent may be echoed: a token in the address, a password, whole or in part.
    """
    text = unquote(said).casefold()
    if any(piece in text for secret in secrets for piece in _pieces(secret.reveal())):
        return ""
    return printable(mask(" ".join(said.split())), LONGEST_EXCERPT)


def _pieces(secret: str) -> set[str]:
    """Every run of `_PIECE` characters (fewer, where it is shorter) of each part of `secret`; not a URL's host."""
    url = _SCHEME.match(secret)
    text = secret[url.end() :] if url else secret
    place = _authority(text).rpartition("@")[2] if url and url[1].lower() in _WITH_HOST else ""
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
    if not _is_place(place) or (host and not _is_ip(place) and _ends_login(parts.netloc, tail)):
        raise ConfigError("can be read in two ways", key=key, expected=hint)
    return parts


def _ends_login(authority: str, tail: str) -> bool:
    """Whether an `@` behind the authority may be the end of a login: `user:12/34@host`, `user:p@a/b@host`."""
    if ":" not in authority and "@" not in authority:
        return False
    path, query = re.split(r"[?#]", f"{tail}?", maxsplit=1)
    return "@" in path or (not path and "@" in query)
