"""Where a source may lead FFmpeg: protocols and formats by list, redirects only on the host that was asked.

What a camera answers is data from outside. FFmpeg follows a playlist, a session description or a redirect to any
address it names, so a hostile camera could have the agent fetch what only the agent can reach.

Laws
----
1. A source is read by the protocols that its own scheme needs, and as a format that holds its frames itself.
2. A playlist (HLS) is followed only where the config names one (`.m3u8` in its url, or `format = "hls"`). It may then
   name other hosts, as those of content networks do, by HTTP and HTTPS only.
3. A redirect of HTTP is followed to the same host, and never from HTTPS to HTTP; to another host only for a playlist.
"""

from __future__ import annotations

import re
import socket
import ssl
from contextlib import ExitStack
from urllib.parse import SplitResult, urljoin, urlsplit, urlunsplit  # noqa: TID251  (what may raise is caught, and shown nowhere)

from agent.core import clock

_HTTP = "http,https,httpproxy,tcp,tls,crypto"
_RTSP = "rtsp,rtsps,rtp,srtp,udp,tcp,tls"
PROTOCOLS = {
    "": "file",
    "http": _HTTP,
    "https": _HTTP,
    "rtsp": _RTSP,
    "rtsps": _RTSP,
    "rtmp": "rtmp,tcp",
    "rtmps": "rtmps,tls,tcp",
    "srt": "srt,udp",
    "udp": "udp",
    "rtp": "rtp,srtp,udp",
    "tcp": "tcp",
}
"""What FFmpeg may open for a source of each scheme ("": a file)."""

FORMATS = (
    "mpjpeg,mjpeg,jpeg_pipe,png_pipe,image2pipe,mpegts,mpeg,mpegvideo,h264,hevc,av1,obu,ivf,m4v,vc1,"
    "mov,matroska,flv,live_flv,avi,asf,ogg,nut,dhav,rm,mxf,gxf,wtv,yuv4mpegpipe"
)
"""Formats that hold their frames themselves; no playlist, no session description, no list of files."""
_HTTP_FORMATS = ",".join(name for name in FORMATS.split(",") if name != "mjpeg" and "pipe" not in name)
"""Over HTTP an image is a snapshot; JPEGs behind one another are read as `mjpeg` with options of its own."""

_PLAYLIST = re.compile(r"\.m3u8?\b", re.IGNORECASE)
MOST_REDIRECTS = 3
MOST_HEAD_BYTES = 16 * 1024
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_STATUS = re.compile(rb"HTTP/\d\.\d (\d{3})")
_LOCATION = re.compile(rb"\r\nLocation:[ \t]*([^\r\n]*?)[ \t]*\r\n", re.IGNORECASE)


def limits(url: str, scheme: str, input_format: str = "") -> dict[str, str]:
    """The options by which FFmpeg keeps to what the source at `url` may lead to; `input_format` is the config's."""
    allowed = {"protocol_whitelist": PROTOCOLS.get(scheme, scheme)}
    if not scheme:
        return allowed
    if scheme.startswith("rtsp"):
        return {**allowed, "format_whitelist": "rtsp"}
    if scheme == "rtp":
        return {**allowed, "format_whitelist": "rtp,sdp"}
    if not scheme.startswith("http"):
        return {**allowed, "format_whitelist": FORMATS}
    if names_playlist(url) or input_format == "hls":
        return {**allowed, "format_whitelist": f"hls,{FORMATS},webvtt,aac,mp3,ac3,eac3"}
    return {**allowed, "format_whitelist": input_format or _HTTP_FORMATS, "max_redirects": "0"}


def names_playlist(url: str) -> bool:
    """Whether the address itself names a playlist."""
    parts = urlsplit(url)
    return bool(_PLAYLIST.search(f"{parts.path}?{parts.query}"))


def redirect(url: str, timeout: float) -> str:
    """Where the server at `url` redirects to, or "" where it does not (or does not answer in time)."""
    parts = urlsplit(url)
    try:
        status, location = _answer(parts, clock.monotonic() + timeout)
        base = urlunsplit(parts._replace(netloc=_place(parts)))
        return urljoin(base, location) if status in _REDIRECTS and location else ""
    except (OSError, ValueError):  # the latter for an address that is none
        return ""


def _answer(parts: SplitResult, until: float) -> tuple[int, str]:
    """Status and Location of the answer to a bare request, read before `until` (monotonic seconds)."""
    secure = parts.scheme.lower() == "https"
    place = (parts.hostname or "", parts.port or (443 if secure else 80))
    path = urlunsplit(("", "", parts.path or "/", parts.query, ""))
    asked = f"GET {path} HTTP/1.0\r\nHost: {_place(parts)}\r\nConnection: close\r\n\r\n"
    with ExitStack() as opened:
        channel = opened.enter_context(socket.create_connection(place, until - clock.monotonic()))
        if secure:
            channel = opened.enter_context(unverified().wrap_socket(channel, server_hostname=place[0]))
        channel.sendall(asked.encode("ascii", "strict"))
        head = b""
        while b"\r\n\r\n" not in head and len(head) < MOST_HEAD_BYTES:
            channel.settimeout(max(0.01, until - clock.monotonic()))
            piece = channel.recv(4096)
            if not piece or clock.monotonic() > until:
                break
            head += piece
    found, status = _LOCATION.search(head), _STATUS.match(head)
    return int(status[1]) if status else 0, found[1].decode("ascii") if found else ""


def unverified() -> ssl.SSLContext:
    """As FFmpeg reads cameras, whose certificates are their own; no login is sent over it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def stays(url: str, target: str) -> bool:
    """Whether a redirect from `url` to `target` stays on the host that was asked, and as safe as it was."""
    here = urlsplit(url)
    try:
        there = urlsplit(target)
        there.port  # noqa: B018  (raises where it is no port)
    except ValueError:
        return False
    schemes = ("https",) if here.scheme.lower() == "https" else ("http", "https")
    return there.scheme.lower() in schemes and bool(there.hostname) and there.hostname == here.hostname


def with_login(url: str, target: str) -> str:
    """`target` with the login that `url` has."""
    login, at, _ = urlsplit(url).netloc.rpartition("@")
    parts = urlsplit(target)
    return urlunsplit(parts._replace(netloc=f"{login}{at}{_place(parts)}"))


def _place(parts: SplitResult) -> str:
    return parts.netloc.rpartition("@")[2]
