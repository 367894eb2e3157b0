"""A camera that answers each request with one image (`/snapshot.jpg`): polled at a set rate.

Laws
----
1. An image is asked for once in `interval`, with what the camera gave to recognise it (`ETag`, `Last-Modified`), so
   that an unchanged one need not be sent again.
2. An image that has not changed is no frame, and no failure. After UNCHANGED_SECONDS it is handed on again and again,
   so that the camera's health may call it frozen.
3. An image that is damaged is left out and counted, and so is an answer that breaks off or says that the camera
   cannot just now (a 5xx status). FAILED_IN_A_ROW of them, or PATIENCE_SECONDS of nothing else, are a failure.
"""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urljoin

import av.error

from agent.cameras.address import address
from agent.cameras.kinds import nested
from agent.cameras.kinds.ffmpeg_errors import camera_error
from agent.cameras.kinds.http_get import AnswerError, HttpGet, HttpResponse
from agent.cameras.kinds.login import LoginOptions, logged_in
from agent.cameras.stamping import stamped
from agent.config.fields import setting
from agent.core import clock
from agent.core.errors import CameraError, CameraFailure, ConfigError
from agent.core.image_file import decode_image
from agent.core.printable import printable
from agent.core.secret import Masked
from agent.core.types import Frame
from agent.core.untrusted import BadInput

UNCHANGED_SECONDS = 60.0
FAILED_IN_A_ROW = 5
PATIENCE_SECONDS = 60.0
_REFUSALS: dict[int, type[Exception]] = {
    401: av.error.HTTPUnauthorizedError,
    403: av.error.HTTPForbiddenError,
    404: av.error.HTTPNotFoundError,
    410: av.error.HTTPNotFoundError,
}


# Statuses of an answer with an image: as asked, through a proxy, or as a range (a part of an image is cut off).
_GIVEN = frozenset({http.client.OK, http.client.NON_AUTHORITATIVE_INFORMATION, http.client.PARTIAL_CONTENT})
_EMPTY = frozenset({http.client.NO_CONTENT, http.client.RESET_CONTENT})
_IMAGES = (b"\xff\xd8", b"\x89PNG")  # whatever type is announced for them


class _PassingError(CameraError):
    """What a camera does now and then, and then no more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotOptions(LoginOptions):
    """Where the image is, and how often it is asked for."""

    url: Masked = setting(
        kind="url",
        doc="http:// or https:// address that answers with one image.",
        example='"http://192.168.1.20/snapshot.jpg"',
    )
    interval: float = setting(
        1.0, kind="duration", minimum=0.05, maximum=3600, doc="How often the image is requested."
    )
    timeout: float = setting(
        10.0, kind="duration", minimum=0.5, maximum=300, doc="Longest wait for a whole answer."
    )

    def __post_init__(self) -> None:
        """Check what spans several keys, and what is part of a key."""
        LoginOptions.__post_init__(self)
        if address(self.url).scheme not in {"http", "https"}:
            raise ConfigError("is not an HTTP address", key="url", expected="http://HOST/PATH of an image")


class SnapshotCamera:
    """An image that is polled."""

    Options = SnapshotOptions
    lossless = False
    finite = False

    def __init__(self, name: str, options: SnapshotOptions) -> None:
        self.name, self.options = name, options
        self.period = options.interval + max(0.0, options.timeout - 10.0)
        self.on_waiting: Callable[[str], None] = lambda _note: None
        self._shown = address(options.url)
        self._closing = threading.Event()
        self._http: HttpGet | None = None
        self._first: HttpResponse | None = None
        self._image = b""
        self._known: dict[str, str] = {}
        self._due = self._changed = self._good = 0.0
        self._index = self._failed = self._in_a_row = 0

    def open(self) -> None:
        """Ask for the first image; raises CameraError."""
        self._closing.clear()
        self._image, self._known, self._index, self._in_a_row = b"", {}, 0, 0
        self._http = HttpGet(logged_in(self.name, self.options), self.options.timeout)
        self._due = self._good = clock.monotonic()
        try:
            self._first = self._ask(self._http)
        except CameraError:
            self.close()
            raise

    def read(self) -> Frame | None:
        """The next image that differs from the last one."""
        while (requests := self._http) is not None:
            answer, self._first = self._first, None
            if answer is None:
                self._wait()
                answer = self._answer(requests)
            if answer is None or not self._is_news(answer):
                continue
            try:
                image = decode_image(self._image)
            except BadInput as error:
                what = (
                    f"answers with what cannot be read: it {error}; open it in a browser, and check the path"
                )
                self._note_failed(self._error(what))
                continue
            self._in_a_row, self._good = 0, clock.monotonic()
            index, self._index = self._index, self._index + 1
            return stamped(self.name, index, image)
        raise CameraError(f"camera '{self.name}' is not open", kind=CameraFailure.OTHER)

    def close(self) -> None:
        """Stop polling; ends a wait in another thread."""
        self._closing.set()
        self._http = None

    def take_failed(self) -> int:
        """How many images were damaged, and so left out, since the last call."""
        count, self._failed = self._failed, 0
        return count

    def _answer(self, requests: HttpGet) -> HttpResponse | None:
        """The next answer, None for one that fails in passing; raises CameraError."""
        try:
            return self._ask(requests)
        except _PassingError as error:
            if self._index == 0:
                raise
            self._note_failed(error)
            return None

    def _note_failed(self, error: CameraError) -> None:
        """Count an answer without a readable image; raises `error` where that is no accident."""
        self._failed += 1
        self._in_a_row += 1
        late = self._in_a_row > 1 and clock.monotonic() - self._good > PATIENCE_SECONDS
        if late or self._in_a_row >= FAILED_IN_A_ROW:
            raise error

    def _wait(self) -> None:
        """Wait until the next request is due; one that is overdue is not made up for."""
        self._due = max(self._due + self.options.interval, clock.monotonic())
        while (left := self._due - clock.monotonic()) > 0:
            self.on_waiting("")
            if self._closing.wait(min(left, 1.0)):
                raise CameraError(f"camera '{self.name}' was closed", kind=CameraFailure.OTHER)

    def _is_news(self, answer: HttpResponse) -> bool:
        """Whether `answer` brings a frame; remembers it."""
        now, body = clock.monotonic(), answer.body.lstrip(b"\r\n")  # as some CGI programs begin
        if body == self._image and self._in_a_row:
            return True  # it could not be read, and is counted once more
        if answer.status == http.client.NOT_MODIFIED or body == self._image:
            unchanged = now - self._changed
            self.on_waiting(f"the image has not changed for {unchanged:.0f} s")
            return unchanged > UNCHANGED_SECONDS
        self._image, self._changed = body, now
        marks = (("ETag", "If-None-Match"), ("Last-Modified", "If-Modified-Since"))
        self._known = {asked: str(answer.head[given]) for given, asked in marks if answer.head[given]}
        return True

    def _ask(self, requests: HttpGet) -> HttpResponse:
        """The camera's answer: an image, or that it has not changed; raises CameraError."""
        try:
            answer = requests.get(self._known)
        except (OSError, http.client.HTTPException) as error:
            raise self._failure(error) from None
        if answer.status == http.client.NOT_MODIFIED:
            return answer
        if answer.status not in _GIVEN | _EMPTY:
            raise self._refusal(answer)
        if answer.content_type.startswith("multipart/"):
            raise self._error('answers with a stream; use kind = "stream"')
        is_text = answer.content_type.startswith("text/") and not answer.body.lstrip().startswith(_IMAGES)
        if is_text or not answer.body:
            what = printable(answer.content_type, 40) if answer.body else "nothing"
            raise self._error(f"answers with {what}, not with an image; check the path in its url")
        return answer

    def _refusal(self, answer: HttpResponse) -> CameraError:
        status = answer.status
        if status in _REFUSALS:
            return camera_error(_REFUSALS[status](0, ""), self.name, self._shown)
        if 300 <= status < 400:
            here = nested.stays(answer.url, urljoin(answer.url, str(answer.head.get("Location", ""))))
            words = (
                "redirects in a circle, as to a page for logging in; check the path in its url and the login"
                if here
                else "redirects to another host; put that address into its url"
            )
            return self._error(words, CameraFailure.NOT_FOUND)
        busy = status >= http.client.INTERNAL_SERVER_ERROR or status == http.client.TOO_MANY_REQUESTS
        return (_PassingError if busy else CameraError)(
            f"{self._shown.shown} refuses with status {status}; check the camera", kind=CameraFailure.REFUSED
        )

    def _failure(self, error: Exception) -> CameraError:
        if isinstance(error, AnswerError):
            return self._error(f"{error}; check the path in its url")
        if isinstance(error, http.client.HTTPException):
            words = f"{self._shown.shown} breaks off in its answer; check the camera"
            return _PassingError(words, kind=CameraFailure.END_OF_STREAM)
        return camera_error(error, self.name, self._shown)

    def _error(self, what: str, kind: CameraFailure = CameraFailure.CODEC) -> CameraError:
        return CameraError(f"{self._shown.shown} {what}", kind=kind)
