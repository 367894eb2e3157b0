"""Fetches a model over HTTPS: bounded, resumed where the connection broke, and never by another scheme.

What was fetched is verified afterwards as any other file; here is only what keeps a server from harming the device.
"""

from __future__ import annotations

import hashlib
import http.client
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.core import clock, http_client
from agent.core.certificates import clock_is_suspect, trusting
from agent.core.errors import ConfigError, ModelError
from agent.core.secret import Masked, split_url
from agent.maintenance.child import Pause
from agent.maintenance.deploy.model_store import ModelStore, check_size
from agent.maintenance.deploy.signing import LARGEST_SIGNATURE

FETCH_SECONDS = 3600.0
"""How long a fetch is tried again; what came until then is kept for a day, for the next one."""

PART = ".part"
_SILENT_SECONDS = 20.0
_SLOWEST, _SLOW_SECONDS = 1024.0, 60.0
"""Bytes a second that must come, over so long."""

_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0
_MOST_REDIRECTS = 5
_BLOCK = 1 << 16
_EXPECTED = "https://HOST/PATH"
_RETRYABLE = {408, 425, 429}
_WHOLE, _PART, _NOT_FOUND, _NO_SUCH_RANGE = 200, 206, 404, 416
_Answer = Any
"""An answer of urllib: HTTPResponse, or HTTPError where it has no file."""


class _TryAgain(Exception):
    """The same request may succeed later."""


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows a few redirects, to HTTPS alone."""

    max_redirections = _MOST_REDIRECTS

    def redirect_request(self, *arguments: Any) -> Any:
        """Refuse what leads to another scheme; the last argument is the new address."""
        check_address(Masked(arguments[-1]))
        return super().redirect_request(*arguments)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a model and its signature are fetched from; `ca_file` "" uses the system's certificates."""

    model: Masked
    signature: Masked
    ca_file: str


def check_address(url: Masked) -> None:
    """Raise ModelError, which does not show it, for what is no HTTPS address."""
    try:
        parts = split_url(url.reveal(), key="url", expected=_EXPECTED, keys=False)
    except ConfigError as error:
        raise ModelError(f"`url` {error.message}; expected {_EXPECTED}") from None
    if parts.scheme != "https" or not parts.hostname:
        raise ModelError(f"`url` is not an HTTPS address; expected {_EXPECTED}")
    if parts.username is not None:
        raise ModelError(
            "`url` holds a login, which is not supported; use an address with a token in its query"
        )


def shown(url: Masked) -> str:
    """An address without login, query and fragment, which may be secrets."""
    parts = split_url(url.reveal(), key="url", expected=_EXPECTED, keys=False)
    return f"https://{parts.netloc.rpartition('@')[2]}{parts.path}"


def beside(url: Masked) -> Masked:
    """Where the signature of a model lies: at the same address with `.sig` after its path."""
    parts = split_url(url.reveal(), key="url", expected=_EXPECTED, keys=False)
    return Masked(parts._replace(path=f"{parts.path}.sig").geturl())


def fetch_model(source: Source, store: ModelStore, largest: int, pause: Pause) -> Path:
    """The model's file in `incoming`, whole as far as the server says; raises ModelError."""
    download = _Download(source, store, largest, pause)
    _persist(download.go_on, shown(source.model), pause)
    return download.target


def fetch_signature(source: Source, pause: Pause) -> bytes:
    """The signature beside the model; b"" where the server has none. Raises ModelError."""
    opener, address = _opener(source.ca_file), shown(source.signature)
    found = b""

    def attempt() -> None:
        nonlocal found
        with _opened(opener, source.signature, {}) as answer:
            found, pace = b"", _Pace()
            while answer.status != _NOT_FOUND and (block := _read(answer)):
                pace.count(len(block))
                found += block
                if len(found) > LARGEST_SIGNATURE:
                    break

    _persist(attempt, address, pause)
    if len(found) > LARGEST_SIGNATURE:
        raise ModelError(f"{address} has more than {LARGEST_SIGNATURE} bytes: that is not a signature")
    return found


def _persist(attempt: Callable[[], None], address: str, pause: Pause) -> None:
    """Try until it succeeds, fails for good, or FETCH_SECONDS have passed."""
    until, wait = clock.monotonic() + FETCH_SECONDS, _FIRST_PAUSE
    while True:
        try:
            attempt()
            return
        except _TryAgain as error:
            if clock.monotonic() + wait > until:
                raise ModelError(f"{address} cannot be fetched: {error}") from None
        pause(wait)
        wait = min(2 * wait, _LONGEST_PAUSE)


class _Download:
    """One model on its way into `incoming`, under a name that the next attempt finds again."""

    def __init__(self, source: Source, store: ModelStore, largest: int, pause: Pause) -> None:
        self._url, self._store, self._largest, self._pause = source.model, store, largest, pause
        self._opener, self._address = _opener(source.ca_file), shown(source.model)
        name = hashlib.sha256(source.model.reveal().encode()).hexdigest()[:32]
        self.target = store.incoming / f"{name}{PART}"

    def go_on(self) -> None:
        """Fetch what is missing."""
        have = self.target.stat().st_size if self.target.exists() else 0
        headers = {"Range": f"bytes={have}-"} if have else {}
        with _opened(self._opener, self._url, headers) as answer:
            if answer.status == _NOT_FOUND:
                raise ModelError(f"{self._address} answered 404: there is no such file")
            content = answer.headers.get("Content-Range") or ""
            if have and answer.status == _NO_SUCH_RANGE and content == f"bytes */{have}":
                return  # it was whole already
            if have and not (answer.status == _PART and content.startswith(f"bytes {have}-")):
                self.target.unlink(missing_ok=True)
                if answer.status != _WHOLE:
                    raise _TryAgain("the server gave another part than was asked for")
                have = 0
            self._write(answer, have)

    def _write(self, answer: _Answer, have: int) -> None:
        left, came, pace = _length(answer), 0, _Pace()
        check_size(self._address, have + (left or 1), self._largest)
        self._store.check_space(left or 0)
        with self.target.open("ab") as file:
            while block := _read(answer):
                came += len(block)
                check_size(self._address, have + came, self._largest)
                self._store.check_space(len(block))  # its length may not have been told
                file.write(block)
                pace.count(len(block))
                self._pause(0.0)
        if left is not None and came < left:
            raise _TryAgain(f"the connection ended after {have + came} of {have + left} bytes")


class _Pace:
    """Ends what comes so slowly that it would hold the next deployment for days."""

    def __init__(self) -> None:
        self._since, self._came = clock.monotonic(), 0

    def count(self, number: int) -> None:
        """So many bytes came; raises _TryAgain where they are too few for the time."""
        self._came += number
        seconds = clock.monotonic() - self._since
        if seconds < _SLOW_SECONDS:
            return
        if self._came < _SLOWEST * seconds:
            raise _TryAgain(f"only {self._came} bytes came in {seconds:.0f} s")
        self._since, self._came = clock.monotonic(), 0


def _read(answer: _Answer) -> bytes:
    answer.extend()
    try:
        block: bytes = answer.read1(_BLOCK)
    except (OSError, http.client.HTTPException) as error:
        raise _TryAgain(_reason(error)) from None
    return block


@contextmanager
def _opened(
    opener: urllib.request.OpenerDirector, url: Masked, headers: Mapping[str, str]
) -> Iterator[_Answer]:
    """An answer that brings a file, a part of one, or says that there is none."""
    request = urllib.request.Request(
        url.reveal(), headers={"User-Agent": "vedette", "Accept-Encoding": "identity", **headers}
    )
    address = shown(url)
    try:
        answer = opener.open(request, timeout=_SILENT_SECONDS)
    except urllib.error.HTTPError as error:
        with error:
            if error.code in _RETRYABLE or error.code >= 500:
                raise _TryAgain(f"it answered {error.code}") from None
            if error.code not in {_NOT_FOUND, _NO_SUCH_RANGE}:
                raise ModelError(f"{address} answered {error.code}") from None
            yield error
            return
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _failed(error, address) from None
    with answer:
        yield answer


def _failed(error: Exception, address: str) -> Exception:
    """What an error of the connection is: to be tried again, or final."""
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, ssl.SSLCertVerificationError) and not clock_is_suspect(cause):
        return ModelError(
            f"the certificate of {address} is not trusted ({cause.verify_message}); see [deploy] ca_file"
        )
    if isinstance(cause, (http.client.InvalidURL, ValueError)):
        return ModelError(f"{address} cannot be used as an address")
    return _TryAgain(_reason(cause))


def _length(answer: _Answer) -> int | None:
    text = answer.headers.get("Content-Length") or ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None


def _opener(ca_file: str) -> urllib.request.OpenerDirector:
    try:
        context = trusting(ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ModelError(f"[deploy] ca_file {ca_file} cannot be used: {error.strerror or error}") from None
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        *http_client.handlers(context, plain=False),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _Redirects(),
    ):
        opener.add_handler(handler)
    return opener


def _reason(error: BaseException | str) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return type(error).__name__
