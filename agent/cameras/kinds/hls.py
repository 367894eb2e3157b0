"""Chooses one variant of an HLS master playlist (RFC 8216), so that only that one is downloaded.

FFmpeg itself would read the first of them, and download all.
"""

from __future__ import annotations

import http.client
import re
from dataclasses import dataclass
from urllib.parse import urljoin

from agent.cameras.address import StreamAddress
from agent.cameras.kinds import nested
from agent.cameras.kinds.http_get import HttpGet

_ATTRIBUTE = re.compile(r'([A-Z0-9-]+)=("[^"]*"|[^",]*)')
_SOUND = ("mp4a", "ac-3", "ec-3", "opus", "flac", "alac")


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One variant: its address, height in pixels (0: unknown), and bits a second."""

    url: str
    height: int = 0
    bandwidth: int = 0


def variants(text: str, base: str) -> list[Variant]:
    """The variants with video in the master playlist `text` of the address `base`; none in any other text."""
    found, head = [], None
    lines = [line.strip() for line in text.lstrip("\ufeff").splitlines()]
    for line in lines if lines and lines[0].startswith("#EXTM3U") else []:
        if line.startswith("#EXT-X-STREAM-INF:"):
            head = {name: value.strip('"') for name, value in _ATTRIBUTE.findall(line.partition(":")[2])}
        elif line and not line.startswith("#") and head is not None:
            if _has_video(head):
                found.append(_variant(head, urljoin(base, line)))
            head = None
    return [variant for variant in found if variant.url.lower().startswith(("http://", "https://"))]


def choose(found: list[Variant], height: int) -> Variant:
    """The best of `found`, which is not empty: of at most `height` pixels, where that is not 0 and there is one."""
    if height:
        within = [variant for variant in found if 0 < variant.height <= height]
        above = [variant for variant in found if variant.height > height]
        lowest = min((variant.height for variant in above), default=0)
        found = within or [variant for variant in above if variant.height == lowest] or found
    return max(found, key=lambda variant: (variant.height, variant.bandwidth))


def variant_url(place: StreamAddress, height: int, timeout: float) -> str:
    """The address of the variant to read of the playlist at `place`, "" where it has none or cannot be read.

    It has the login of `place` where it is on the same host.
    """
    try:
        answer = HttpGet(place, timeout, anywhere=True).get()
        found = (
            variants(answer.body.decode("utf-8", "replace"), answer.url)
            if answer.status == http.client.OK
            else []
        )
    except (OSError, ValueError, http.client.HTTPException):
        return ""
    if not found:
        return ""
    url, here = choose(found, height).url, place.url.reveal()
    return nested.with_login(here, url) if nested.stays(here, url) else url


def _has_video(head: dict[str, str]) -> bool:
    codecs = [codec.strip().lower() for codec in head.get("CODECS", "").split(",") if codec.strip()]
    return "RESOLUTION" in head or not codecs or not all(codec.startswith(_SOUND) for codec in codecs)


def _variant(head: dict[str, str], url: str) -> Variant:
    size, bandwidth = head.get("RESOLUTION", "").lower().partition("x")[2], head.get("BANDWIDTH", "")
    return Variant(
        url=url,
        height=int(size[:6]) if size.isdecimal() else 0,
        bandwidth=int(bandwidth[:12]) if bandwidth.isdecimal() else 0,
    )
