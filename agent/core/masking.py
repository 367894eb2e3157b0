"""Removes secrets from text: the one function for every text that people read or that leaves the box.

A lone URL, a GStreamer pipeline, an error of FFmpeg, a log line: `mask` masks by default and errs on that side. It
masks all of a URL's user-info (the user name too), all values of its query, what stands behind `token/`, `key/`,
`webhooks/` and the like in its path, the name of an RTMP stream (its key), the whole of an address whose scheme is
not one of those below (Apprise's addresses are made of tokens), and properties such as `user-pw=...`. Masking masked
text changes nothing.
"""

from __future__ import annotations

import re
from ipaddress import ip_address

MASK = "***"

# Of other schemes nothing is shown: what stands at a host's place may be a token (`slack://TOKEN`, `tgram://TOKEN`).
SHOWN_SCHEMES = frozenset(
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
SCHEME = re.compile(r"([A-Za-z0-9+.-]{1,32})://")
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
_STREAM_KEY = re.compile(
    r"\A([^/]*/[^/]*/).+", re.S
)  # who knows the name of an RTMP stream may send and watch it
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
    for found in SCHEME.finditer(text):
        if found.start() < done:  # inside the query of the one before
            continue
        end = _url_end(text, found.end())
        body = text[found.end() : end]
        tail = "" if found.start() == 0 and end == len(text) else body[len(body.rstrip(".,;:!)]}")) :]
        rest = body.removesuffix(tail) if tail else body
        pieces += [text[done : found.end()], masked_rest(found[1], rest), tail]
        done = end
    return "".join([*pieces, text[done:]])


def _url_end(text: str, start: int) -> int:
    """Where the URL whose authority begins at `start` ends; a password with spaces or quotes belongs to it."""
    token = _TOKEN.match(text, start)
    end = token.end() if token else start
    authority = _AUTHORITY.match(text, start, end)
    if authority is None or "@" in authority[0] or is_place(authority[0].rstrip(".,;:!)]}")):
        return end
    sign = text.find("@", end, end + 200)
    further = _TOKEN.match(text, sign) if sign >= 0 and "\n" not in text[end:sign] else None
    return further.end() if further else end


def masked_rest(scheme: str, rest: str) -> str:
    """What follows `scheme://`, masked."""
    if scheme.lower() not in SHOWN_SCHEMES:
        return MASK if rest else rest
    shown = _without_login(rest)
    return _STREAM_KEY.sub(rf"\1{MASK}", shown) if scheme.lower().startswith("rtmp") else shown


def _without_login(rest: str) -> str:
    authority = authority_of(rest)
    login, at, host = authority.rpartition("@")
    if (at or not is_place(authority)) and rest.count("@") == 1:  # it ends the login, whatever signs that has
        return f"{MASK}@{_masked_place(rest.partition('@')[2])}"
    if "@" in rest[len(authority) :] and not is_ip(host):  # it may end a login that began in the authority
        return MASK
    return f"{MASK}@{_masked_place(rest[len(login) + 1 :])}" if at else _masked_place(rest)


def _masked_place(rest: str) -> str:
    """Host, port and what follows, masked."""
    host = authority_of(rest)
    return host + _masked_tail(rest[len(host) :]) if is_place(host) else MASK


def authority_of(rest: str) -> str:
    """Login, host and port of what follows `scheme://`."""
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


def is_place(host: str) -> bool:
    """Whether `host` is a host, with or without a port."""
    if re.fullmatch(r"[0-9A-Fa-f:.]+", host) and host.count(":") > 1:  # IPv6 without its brackets
        return True
    return re.fullmatch(r"(?:\[[^\[\]]*\]|[^:\[\]]*)(?::[0-9]{0,5}|:PORT|\[:PORT\])?", host) is not None


def is_ip(host: str) -> bool:
    """Whether `host`, with or without a port, is an IP address or this box."""
    bare = re.sub(r":[0-9]*\Z", "", host)
    try:
        ip_address(bare[1:-1] if bare.startswith("[") else bare)
    except ValueError:
        return bare.lower() == "localhost"
    return True
