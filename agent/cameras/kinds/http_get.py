"""GETs a camera's answer over HTTP: login as it is asked for, redirects on its host only, everything within limits.

Laws
----
1. A password goes out only after a challenge, and once for each: a camera that refuses it is not asked again, since
   many lock after a few tries. What a camera accepted is sent with the next request at once.
2. A redirect is followed on the same host, and never from HTTPS to HTTP; for a playlist (`anywhere`) to others, too,
   which get no login.
3. An answer has LARGEST_BYTES at most, also once it is unpacked, and `timeout` seconds in all.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import urllib.error
import urllib.request
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from typing import Any
from urllib.parse import unquote, urlunsplit

from agent.cameras.address import StreamAddress
from agent.cameras.kinds import nested
from agent.core import clock, http_client
from agent.core.printable import printable
from agent.core.secret import split_url

LARGEST_BYTES = 32 * 1024 * 1024
CHUNK_BYTES = 65_536


@dataclass(frozen=True, slots=True, eq=False)
class HttpResponse:
    """Status, head and body of an answer; `url` is where it came from in the end, without a login."""

    status: int
    head: Message
    body: bytes
    url: str

    @property
    def content_type(self) -> str:
        """As it is announced, in small letters, without parameters."""
        return str(self.head.get("Content-Type", "")).partition(";")[0].strip().lower()


class HttpGet:
    """GETs one address, as often as wanted; belongs to one thread."""

    def __init__(self, place: StreamAddress, timeout: float, *, anywhere: bool = False) -> None:
        parts = split_url(place.url.reveal(), key="url", expected="http://HOST/PATH")
        host = parts.netloc.rpartition("@")[2]
        self._url = urlunsplit(parts._replace(netloc=host, fragment=""))
        self._timeout = timeout
        self._login = _Login(unquote(parts.username or ""), unquote(parts.password or ""))
        context = nested.unverified()
        self._opener = urllib.request.build_opener(
            *http_client.handlers(context), _Redirects(self._url, anywhere=anywhere)
        )

    def get(self, head: Mapping[str, str] | None = None, *, url: str = "") -> HttpResponse:
        """The answer at the address (or at `url`, without the login elsewhere); raises OSError, HTTPException.

        Every status is an answer, 401 after a login that was refused, too.
        """
        until = clock.monotonic() + self._timeout
        heads = {"User-Agent": "vedette", **(head or {})}
        own = not url or nested.stays(self._url, url)
        answer = self._ask(urllib.request.Request(url or self._url, headers=heads), until, login=own)
        if answer.status == http.client.UNAUTHORIZED and own and self._login.take_challenge(answer.head):
            answer = self._ask(urllib.request.Request(answer.url, headers=heads), until, login=True)
        if answer.status == http.client.UNAUTHORIZED:
            self._login.drop_challenge()
        return answer

    def _ask(self, request: urllib.request.Request, until: float, *, login: bool) -> HttpResponse:
        if login and (authorization := self._login.header(request)):
            request.add_header("Authorization", authorization)
        left = max(0.01, until - clock.monotonic())
        try:
            with self._opener.open(request, timeout=left) as response:
                return HttpResponse(response.status, response.headers, _body(response, until), response.url)
        except urllib.error.HTTPError as error:
            with error:
                return HttpResponse(error.code, error.headers, b"", error.url or request.full_url)
        except urllib.error.URLError as error:
            raise error.reason if isinstance(error.reason, OSError) else OSError(str(error.reason)) from None
        except ValueError:  # a redirect to `http://[`; its text may repeat the login that was sent
            raise AnswerError("answers with a head that cannot be used") from None


def _body(response: Any, until: float) -> bytes:
    """The body within its limits; of a stream, which has no end, nothing."""
    if response.headers.get_content_maintype() == "multipart":
        return b""
    data = b""
    while piece := response.read1(CHUNK_BYTES):
        data += piece
        if clock.monotonic() > until:
            raise TimeoutError
        if len(data) > LARGEST_BYTES:
            raise _too_large()
    announced = response.headers.get("Content-Length", "")
    if announced.isdecimal() and len(data) < int(announced):
        raise http.client.IncompleteRead(data)
    return _unpacked(data, str(response.headers.get("Content-Encoding", "")).strip().lower())


def _unpacked(data: bytes, encoding: str) -> bytes:
    """What a server packed though nobody asked for it; raises OSError, HTTPException."""
    if encoding in ("", "identity"):
        return data
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise AnswerError(f"packs its answer as {printable(encoding, 20)}, which was not asked for")
    unpacking = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)  # gzip or zlib, as its head says
    try:
        whole = unpacking.decompress(data, LARGEST_BYTES)
    except zlib.error:
        raise http.client.IncompleteRead(data) from None
    if unpacking.unconsumed_tail:
        raise _too_large()
    if not unpacking.eof:
        raise http.client.IncompleteRead(whole)
    return whole


def _too_large() -> AnswerError:
    return AnswerError(f"answers with more than {LARGEST_BYTES / 1e6:.0f} MB")


class AnswerError(OSError):
    """An answer that is not taken; its text goes on after the source's name."""


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows a redirect that stays on the host that was asked, or any that is no less safe."""

    def __init__(self, url: str, *, anywhere: bool) -> None:
        self._url, self._anywhere = url, anywhere

    def redirect_request(self, *of: Any) -> Any:  # request, answer, status, its words, head, target
        """The request to the target, None where that is not to be followed: the redirect itself is then the answer."""
        stays = nested.stays(self._url, of[-1])
        less_safe = self._url.startswith("https:") and not of[-1].startswith("https:")
        if not stays and (less_safe or not self._anywhere):
            return None
        request = super().redirect_request(*of)
        if request is not None and not stays:
            request.remove_header("Authorization")
        return request


class _Login:
    """Answers the challenge of a camera: Digest where it offers that, else Basic."""

    def __init__(self, user: str, password: str) -> None:
        self._user, self._password = user, password
        self._basic = False
        self._digest: dict[str, str] | None = None
        self._calculator = _Digest(_OnePassword(user, password))

    def take_challenge(self, head: Message) -> bool:
        """Whether a login can be made for the challenge in `head`."""
        offers = [str(value) for value in head.get_all("WWW-Authenticate", [])]
        digest = next((offer for offer in offers if offer.lower().startswith("digest ")), None)
        self._basic = any(offer.lower().startswith("basic") for offer in offers)
        pairs = urllib.request.parse_http_list(digest.partition(" ")[2]) if digest else []
        self._digest = (
            urllib.request.parse_keqv_list([pair for pair in pairs if "=" in pair]) if digest else None
        )
        return bool(self._user) and (self._basic or self._digest is not None)

    def drop_challenge(self) -> None:
        """The camera refuses the login: the next request begins without one."""
        self._basic, self._digest = False, None

    def header(self, request: urllib.request.Request) -> str:
        """The value of `Authorization` for `request`; empty before a challenge."""
        if self._digest is not None:
            try:
                value = self._calculator.get_authorization(request, self._digest)
            except ValueError:  # an algorithm that Python does not know
                value = None
            if value:
                return f"Digest {value}"
        if not self._basic:
            return ""
        return "Basic " + base64.b64encode(f"{self._user}:{self._password}".encode()).decode("ascii")


class _Digest(urllib.request.HTTPDigestAuthHandler):
    """Python's, for passwords beyond ASCII and for SHA-256."""

    def get_algorithm_impls(self, algorithm: str) -> tuple[Any, Any]:
        """Hash and keyed hash of RFC 7616; raises ValueError where it is unknown."""
        name = {"MD5": "md5", "SHA-256": "sha256"}.get(algorithm.upper())
        if name is None:
            raise ValueError(algorithm)

        def hashed(text: str) -> str:
            return hashlib.new(name, text.encode()).hexdigest()  # the camera chooses it, MD5 most often

        return hashed, lambda secret, data: hashed(f"{secret}:{data}")


class _OnePassword(urllib.request.HTTPPasswordMgr):
    """The one login, whatever a camera calls its realm."""

    def __init__(self, user: str, password: str) -> None:
        super().__init__()
        self._pair = user, password

    def find_user_password(self, *_realm_and_url: Any) -> tuple[str | None, str | None]:
        """User and password."""
        return self._pair
