"""One HTTP POST of JSON; a failure is either retryable or permanent."""

from __future__ import annotations

import base64
import http.client
import json
import math
import re
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from email.message import Message
from email.utils import parsedate_to_datetime
from typing import Any

from agent.alerts.words import stamp
from agent.core import clock, http_client
from agent.core.certificates import clock_is_suspect, clock_reason
from agent.core.errors import ConfigError, PermanentDelivery, RetryableDelivery
from agent.core.secret import Secret, excerpt, split_url
from agent.notifiers.attempt import SILENT_PAUSE_SECONDS

LONGEST_RETRY_AFTER_SECONDS = 3600.0
UNRESOLVED_PAUSE_SECONDS = 5.0
_RETRYABLE = {408, 423, 425, 429}
_SECONDS = re.compile(r"[0-9]+(?:\.[0-9]+)?")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Refuses redirects: a redirected POST would arrive as a GET without a body."""

    def redirect_request(self, *_args: Any, **_keywords: Any) -> None:
        """Follow none."""


_OPENER = urllib.request.build_opener(_NoRedirect, *http_client.handlers())


def check_url(url: Secret, *, keys: bool = False) -> str:
    """The host of `url`; ConfigError where it is no HTTP address. `keys`: there are `username` and `password`."""
    parts = split_url(url.reveal(), key="url", expected="https://HOST/PATH", keys=keys)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigError("is not an HTTP address", key="url", expected="https://HOST/PATH")
    return parts.hostname


def post_json(url: Secret, body: Any, *, timeout: float, authorization: Secret = Secret()) -> float | None:
    """POST `body` to `url`; the Unix time by the server's clock, None where it does not say.

    Raises RetryableDelivery or PermanentDelivery, naming the host alone.
    """
    host = check_url(url)
    login = {"Authorization": authorization.reveal()} if authorization else {}
    try:
        request = urllib.request.Request(
            url.reveal(),
            data=json.dumps(body, default=str).encode(),
            headers={"Content-Type": "application/json", "User-Agent": "vedette", **login},
            method="POST",
        )
        with _OPENER.open(request, timeout=timeout) as answer:  # the head is enough: a body might never end
            return _http_date(str(answer.headers.get("Date") or ""))
    except urllib.error.HTTPError as error:
        with error:
            text = f"{host} answered {error.code}{_quoted(error, url, authorization, _login(authorization))}"
        if error.code in _RETRYABLE or error.code >= 500:
            wait = retry_after(error.headers, clock.unix_now())
            asked = f"; it asks to wait {wait:.0f} s" if wait else ""
            raise RetryableDelivery(f"{text}{asked}", retry_after=wait) from None
        raise PermanentDelivery(text) from None
    except (http.client.InvalidURL, ValueError):  # a line break in the header, a host that is no name
        raise PermanentDelivery(f"{host}: the address cannot be used") from None
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        raise RetryableDelivery(
            f"{host}: {_reason(error)}",
            longest_pause=_longest_pause(_cause(error)),
            by_clock=clock_is_suspect(_cause(error)),
        ) from None


def retry_after(headers: Message | Mapping[str, str], now: float) -> float:
    """Seconds that a server asks to wait (`Retry-After`, RFC 9110), an hour at most; 0 where it does not.

    A date is compared with the server's own `Date`, since its clock and ours may differ; without one with `now`.
    """
    text = str(headers.get("Retry-After") or "").strip()
    if _SECONDS.fullmatch(text):
        seconds = float(text[:12])
    else:
        until, base = _http_date(text), _http_date(str(headers.get("Date") or ""))
        seconds = 0.0 if until is None else until - (now if base is None else base)
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER_SECONDS)


def _http_date(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text[:64]).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError, OSError):
        return None


def _login(authorization: Secret) -> Secret:
    """User name and password in a header of basic authentication; empty in any other."""
    scheme, _, word = authorization.reveal().partition(" ")
    try:
        return Secret(base64.b64decode(word).decode() if scheme.lower() == "basic" else "")
    except ValueError:
        return Secret()


def _quoted(error: urllib.error.HTTPError, *secrets: Secret) -> str:
    """The server's reason and the beginning of its body, as far as they can be shown."""
    answer = error.fp
    try:  # one read: a body might never end
        read = answer.read1(500) if isinstance(answer, http.client.HTTPResponse) else b""
        body = read.decode("utf-8", "replace")
    except (http.client.HTTPException, OSError):
        body = ""
    pieces = [excerpt(text, *secrets) for text in (str(error.reason), body)]
    return f"{' ' if pieces[0] else ''}{pieces[0]}{': ' if pieces[1] else ''}{pieces[1]}"


def _cause(error: Exception) -> BaseException | str:
    return error.reason if isinstance(error, urllib.error.URLError) else error


def _longest_pause(cause: BaseException | str) -> float:
    """No receiver is spared by a longer pause: name resolution comes up late at a boot, and so does a network."""
    if isinstance(cause, socket.gaierror):
        return UNRESOLVED_PAUSE_SECONDS
    return SILENT_PAUSE_SECONDS if isinstance(cause, (TimeoutError, socket.timeout)) else math.inf


def _reason(error: Exception) -> str:
    cause = _cause(error)
    if clock_is_suspect(cause):
        return clock_reason(cause, stamp(clock.unix_now()))
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({cause.verify_message})"
    if isinstance(cause, (TimeoutError, socket.timeout)):
        return "no answer in time"
    if isinstance(cause, socket.gaierror):
        return "the name cannot be resolved"
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror.lower()
    return type(cause).__name__
