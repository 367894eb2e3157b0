"""Limits where a source may lead FFmpeg: allowed protocols and formats, redirects only on the requested host.

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
from agent.core.dial import dial

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
OPENING_BYTES = 512  # behind a head, in which the first image begins
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_STATUS = re.compile(rb"HTTP/\d\.\d (\d{3})")
_TYPE = re.compile(rb"\r\nContent-Type:[ \t]*([^\r\n; ]*)", re.IGNORECASE)
_SIGNS = {b"\x89PNG\r\n": "PNG", b"WEBPVP8": "WebP", b"GIF8": "GIF", b"ftypavif": "AVIF", b"ftyphei": "HEIC"}
_IMAGE_PART = re.compile(rb"Content-Type:[ \t]*image/(?!p?jpe?g)([a-z0-9]{2,10})", re.IGNORECASE)
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


GET = "GET {path} HTTP/1.0\r\nHost: {host}\r\nConnection: close\r\n\r\n"
_PORTS = {"http": 80, "https": 443, "rtsp": 554, "rtsps": 322}


def redirect(url: str, timeout: float) -> str:
    """Where the server at `url` redirects to, or "" where it does not (or does not answer in time)."""
    parts = urlsplit(url)
    head = head_of(parts, timeout, GET)
    found, status = _LOCATION.search(head), _STATUS.match(head)
    if found is None or status is None or int(status[1]) not in _REDIRECTS:
        return ""
    try:
        base = urlunsplit(parts._replace(netloc=_place(parts)))
        location: str = found[1].decode("ascii")
        return urljoin(base, location) if location else ""
    except ValueError:  # an address that is none
        return ""


def content_type(url: str, timeout: float) -> str:
    """What the server at `url` says that it answers with, in small letters, "" where it does not."""
    head = head_of(urlsplit(url), timeout, GET)
    found, status = _TYPE.search(head), _STATUS.match(head)
    if found is None or status is None or status[1] != b"200":
        return ""
    return found[1].decode("latin-1").lower()


def other_images(url: str, timeout: float) -> str:
    """The kind of the images that the server at `url` sends, "" for JPEG and where there is none."""
    _, _, body = head_of(urlsplit(url), timeout, GET, beyond=OPENING_BYTES).partition(b"\r\n\r\n")
    if b"\xff\xd8\xff" in body:
        return ""
    signed = next((name for sign, name in _SIGNS.items() if sign in body), "")
    announced = _IMAGE_PART.search(body)
    return signed or (announced[1].decode("ascii").upper() if announced else "")


def head_of(parts: SplitResult, timeout: float, ask: str, *, beyond: int = 0) -> bytes:
    """The head of the answer to `ask` (with {path} and {host}), and at least so many bytes `beyond` where they come.

    Without a login; empty where no head comes in time.
    """
    path = urlunsplit(("", "", parts.path or "/", parts.query, ""))
    try:
        asked = ask.replace("{path}", path).replace("{host}", _place(parts)).encode("ascii")
        return _answer(parts, asked, clock.monotonic() + timeout, beyond)
    except (OSError, ValueError):  # the latter for an address that is none
        return b""


def _answer(parts: SplitResult, asked: bytes, until: float, beyond: int) -> bytes:
    """What is answered up to so many bytes `beyond` the end of its head, read before `until` (monotonic seconds)."""
    with ExitStack() as opened:
        channel = _connected(parts, until, opened)
        channel.sendall(asked)
        answer = b""
        while len(answer) < MOST_HEAD_BYTES + beyond:
            head, ended, body = answer.partition(b"\r\n\r\n")
            if (ended and len(body) >= beyond) or len(head) >= MOST_HEAD_BYTES:
                break
            channel.settimeout(max(0.01, until - clock.monotonic()))
            piece = channel.recv(4096)
            if not piece or clock.monotonic() > until:
                break
            answer += piece
    return answer


def _connected(parts: SplitResult, until: float, opened: ExitStack) -> socket.socket:
    """A connection, in TLS where the scheme says so, that `opened` closes."""
    scheme = parts.scheme.lower()
    place = (parts.hostname or "", parts.port or _PORTS[scheme])
    channel = opened.enter_context(dial(*place, until - clock.monotonic()))
    if scheme.endswith("s"):
        channel = opened.enter_context(unverified().wrap_socket(channel, server_hostname=place[0]))
    return channel


def shake_hands(parts: SplitResult, timeout: float) -> None:
    """Connect, in TLS where the scheme says so; raises OSError (SSLError is one) where that fails."""
    with ExitStack() as opened:
        _connected(parts, clock.monotonic() + timeout, opened)


def unverified() -> ssl.SSLContext:
    """As FFmpeg reads cameras: their certificates are their own, so that none is checked."""
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
