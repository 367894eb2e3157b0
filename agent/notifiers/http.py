"""One HTTP POST of JSON, with the answers sorted into done, later and never."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import Any

from agent.errors import ConfigError, PermanentDelivery, RetryableDelivery

_LATER = {408, 423, 425, 429}


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirected POST would arrive as a GET without a body: refuse instead."""

    def redirect_request(self, *_args: Any, **_keywords: Any) -> None:
        """Never follow."""


_OPENER = urllib.request.build_opener(_NoRedirect)


def check_url(url: str) -> str:
    """The host of `url`; ConfigError where it is no HTTP address. The URL itself may be secret."""
    try:
        parts = urllib.parse.urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urllib.parse.urlsplit("")
    if parts.scheme not in {"http", "https"} or not host:
        raise ConfigError("is no HTTP address", key="url", expected="https://HOST/PATH")
    return host


def post_json(url: str, body: Any, *, headers: Mapping[str, str], timeout: float) -> None:
    """POST `body` to `url`; raises RetryableDelivery or PermanentDelivery, naming the host alone."""
    host = check_url(url)
    request = urllib.request.Request(
        url,
        data=json.dumps(body, default=str).encode(),
        headers={"Content-Type": "application/json", "User-Agent": "vedette", **headers},
        method="POST",
    )
    try:
        with _OPENER.open(request, timeout=timeout) as answer:
            answer.read(65536)
    except urllib.error.HTTPError as error:
        with error:
            said = error.read(200).decode("utf-8", "replace").strip().replace("\n", " ")
        text = f"{host} answered {error.code} {error.reason}" + (f": {said}" if said else "")
        if error.code in _LATER or error.code >= 500:
            raise RetryableDelivery(text) from None
        raise PermanentDelivery(text) from None
    except (http.client.InvalidURL, UnicodeError):
        raise PermanentDelivery(f"{host}: the address cannot be used") from None
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        raise RetryableDelivery(f"{host}: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({cause.verify_message})"
    if isinstance(cause, (TimeoutError, socket.timeout)):
        return "no answer in time"
    if isinstance(cause, socket.gaierror):
        return "the name cannot be resolved"
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror.lower()
    return type(cause).__name__
