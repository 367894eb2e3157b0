"""What a server speaks that does not answer as its address says: TLS without https://, RTSP or SSH at an HTTP port."""

from __future__ import annotations

import ssl
from urllib.parse import SplitResult, urlsplit  # noqa: TID251  (the url was connected to, and is shown nowhere)

from agent.cameras.kinds import nested
from agent.core.printable import printable

_TLS = (b"\x15\x03", b"\x16\x03")  # records of TLS: alert, handshake
_SHOWN = 16


def other_protocol(url: str, timeout: float) -> str:
    """What the server at `url` (http:// or https://) speaks instead, and what to do; "" where it is as said.

    The text goes on after the address.
    """
    parts = urlsplit(url)
    if parts.scheme.lower() == "https":
        return _plain(parts, timeout)
    begins = nested.head_of(parts, timeout, nested.GET)
    if begins.startswith(_TLS) or (begins[9:12] == b"400" and b"HTTPS" in begins):
        return "is answered in TLS; write https:// in its url"
    if begins.startswith(b"RTSP/"):
        return "is answered in RTSP; write rtsp:// in its url"
    if not begins or begins.startswith((b"HTTP/", b"ICY ")):
        return ""
    text = printable(begins[:_SHOWN].decode("latin-1"), _SHOWN)
    return f"is answered, but not in HTTP (it begins with {text!r}); check the port in its url"


def _plain(parts: SplitResult, timeout: float) -> str:
    """That a server does not speak TLS."""
    try:
        nested.shake_hands(parts, timeout)
    except ssl.SSLError as error:
        if error.reason in {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST"}:
            return "does not speak TLS; write http:// in its url"
    except (OSError, ValueError):
        return ""
    return ""
