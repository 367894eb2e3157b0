"""Finds out why a camera refuses a valid RTSP login: FFmpeg supports only MD5, and truncates long logins.

Laws
----
1. The camera is asked for its challenge without a login, so that looking costs none of its tries.
2. FFmpeg answers the last Digest that is offered. (Its own text says no more than that the login was refused.)
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit, urlunsplit  # noqa: TID251  (the url was connected to, and is shown nowhere)

from agent.cameras.kinds import nested
from agent.core.printable import printable

LONGEST_LOGIN = 127  # bytes of "user:password" as a url has them, in libavformat/rtsp.c
_OFFER = re.compile(rb"\r\nWWW-Authenticate:[ \t]*([^\r\n]*)", re.IGNORECASE)
_ALGORITHM = re.compile(r"\balgorithm[ \t]*=[ \t]*\"?([\w-]+)", re.IGNORECASE)
_KNOWN = frozenset({"MD5", "MD5-SESS"})


def too_long(url: str) -> str:
    """What is wrong with the length of the login in the RTSP address `url`, "" where FFmpeg sends all of it."""
    login = urlsplit(url).netloc.rpartition("@")[0]
    if len(login) <= LONGEST_LOGIN:
        return ""
    return (
        f"has a login of {len(login)} bytes (a letter beyond ASCII counts 6 or more), but FFmpeg sends "
        f"{LONGEST_LOGIN} over RTSP; set a shorter password in the camera"
    )


def unanswerable(url: str, timeout: float) -> str:
    """What the camera at `url` (HTTP or RTSP) asks for that FFmpeg cannot answer, "" where nothing shows it."""
    parts = urlsplit(url)
    plain = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment=""))
    ask = nested.GET
    if parts.scheme.lower().startswith("rtsp"):
        ask = f"DESCRIBE {plain} RTSP/1.0\r\nCSeq: 1\r\nAccept: application/sdp\r\n\r\n"
    head = nested.head_of(parts, timeout, ask)
    offers = [one.decode("latin-1") for one in _OFFER.findall(head)]
    digests = [one for one in offers if one.lower().startswith("digest")]
    algorithm = _ALGORITHM.search(digests[-1]) if digests else None
    if algorithm is None or algorithm[1].upper() in _KNOWN:
        return ""
    return (
        f"asks for a Digest login by {printable(algorithm[1], 20)}, and FFmpeg answers MD5 only; allow MD5 (or Basic) "
        "for it in the camera"
    )
