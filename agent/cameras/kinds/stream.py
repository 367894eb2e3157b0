"""RTSP and HTTP streams and video files, through PyAV (FFmpeg)."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import replace

import av.error
import structlog

from agent.cameras.address import StreamAddress, address
from agent.cameras.kinds import challenge, nested
from agent.cameras.kinds.decoder import (
    DecodedFrame,
    Decoder,
    FailureCount,
    StreamsChangedError,
    UndecodableError,
)
from agent.cameras.kinds.ffmpeg_errors import camera_error, is_cut_off
from agent.cameras.kinds.hls import variant_url
from agent.cameras.kinds.login import logged_in
from agent.cameras.kinds.media_clock import MediaClock
from agent.cameras.kinds.other_protocol import other_protocol
from agent.cameras.kinds.stream_options import StreamOptions, ffmpeg_options
from agent.cameras.owned import ClosedError
from agent.cameras.stamping import NO_IMAGE, stamped
from agent.core import clock
from agent.core.errors import CameraError, CameraFailure
from agent.core.masking import mask
from agent.core.printable import printable
from agent.core.secret import Masked
from agent.core.types import Frame

# A file that ends this much before the time it declares was cut off; intact files end within a frame or two of it.
MISSING_SECONDS = 1.0
TURN_SECONDS = 1.0  # the reader hears this often of a wait
PATIENT_SECONDS = 20.0  # a longer `timeout` is for a camera that sends frames that seldom
PLAYLIST_SECONDS = 30.0  # a segment of HLS, of ten seconds often, comes at once, and then none for as long
USUAL_RATE = 25.0  # of a file that has no stamps and declares none, as FFmpeg assumes

_JPEGS = frozenset({"mpjpeg", "mjpeg"})
_GROWING = frozenset({"mpegts", "hls"})  # formats in which a stream may appear later

log = structlog.get_logger("vedette.cameras")


class StreamCamera:
    """A stream or a video file."""

    Options = StreamOptions

    def __init__(self, name: str, options: StreamOptions) -> None:
        self.name, self.options = name, options
        self._address: StreamAddress = address(options.url)
        self.lossless = self._address.is_file and options.pace == "fast"
        self._decoder: Decoder | None = None
        self._damaged = FailureCount()
        self._reported = 0
        self._lock = threading.Lock()
        self._index = 0
        self._clock = MediaClock(live=not self._address.is_file)
        self._cuda = options.decoder == "cuda"
        self._found_format = ""
        self._most_streams = 0
        self._timeout = max(options.timeout, PLAYLIST_SECONDS) if self._is_playlist else options.timeout
        self.period = self._timeout if self._timeout > PATIENT_SECONDS else 0.0
        self.on_waiting: Callable[[str], None] = lambda _note: None
        self.wants: Callable[[float], bool] = lambda _now: True

    @property
    def finite(self) -> bool:
        """Whether the source ends by itself: a file that is played once."""
        return self._address.is_file and not self.options.loop

    def open(self) -> None:
        """Connect, or open the file; raises CameraError."""
        self._index, self._clock = 0, MediaClock(live=not self._address.is_file)
        self._acquire()

    def read(self) -> Frame | None:
        """The next frame; None at the end of a file."""
        if self._decoder is None:
            raise CameraError(f"camera '{self.name}' is not open", kind=CameraFailure.OTHER)
        frame, decoder = self._next(self._decoder)
        if frame is not None and self._index == 0 and self._is_http and self._format == "mjpeg":
            frame = self._behind_first(decoder)
        if frame is None and self._ended_well(decoder):
            if not self.options.loop:
                return None
            frame = self._replayed()
        assert frame is not None
        return self._frame(frame)

    def close(self) -> None:
        """Release the source; from another thread, ask the reading one to."""
        with self._lock:
            decoder, self._decoder = self._decoder, None
        if decoder is not None:
            decoder.close()

    def take_failed(self) -> int:
        """How many frames were damaged, and so left out, since the last call."""
        count, self._reported = self._damaged.total - self._reported, self._damaged.total
        return count

    def _acquire(self) -> Decoder:
        if not self._cuda:
            return self._opened(cuda=False)
        try:
            decoder = self._opened(cuda=True)
        except CameraError as error:
            if error.kind not in {CameraFailure.OTHER, CameraFailure.CODEC}:
                raise
            decoder = self._opened(cuda=False)
        if not decoder.on_gpu:
            self._cuda = False  # until the agent is restarted
            log.warning(
                "no GPU can decode this here, the CPU does", camera=self.name, url=self._address.shown
            )
        return decoder

    def _opened(self, *, cuda: bool) -> Decoder:
        place, url = self._place(), ""
        for _ in range(nested.MOST_REDIRECTS + 1):
            url = place.url.reveal()
            try:
                return self._open_at(url, cuda=cuda)
            except (av.error.FFmpegError, TimeoutError, ClosedError) as error:
                self.close()
                target = self._redirected(url) if self._is_http and is_cut_off(error) else ""
                if not target and self._may_be_jpegs(error):
                    return self._opened_as_jpegs(url, error, cuda=cuda)
                if not target:
                    raise self._refused(url, error) or self._failure(error) from None
            place = replace(
                place, url=Masked(nested.with_login(url, target)), scheme=target.partition("://")[0].lower()
            )
        raise CameraError(
            f"{self._address.shown} redirects again and again; check its url", kind=CameraFailure.NOT_FOUND
        )

    def _place(self) -> StreamAddress:
        """Where to connect to, with the login; of a playlist with several variants one of them."""
        place = logged_in(self.name, self.options)
        if place.scheme.startswith("rtsp") and (why := challenge.too_long(place.url.reveal())):
            raise CameraError(f"{self._address.shown} {why}", kind=CameraFailure.AUTH)
        if not self._is_playlist:
            return place
        variant = variant_url(place, self.options.height, self.options.timeout)
        return replace(place, url=Masked(variant)) if variant else place

    @property
    def _is_playlist(self) -> bool:
        named = self.options.format == "hls" or nested.names_playlist(self._address.url.reveal())
        return self._is_http and named

    @property
    def _is_http(self) -> bool:
        return self._address.scheme.startswith("http")

    @property
    def _format(self) -> str:
        """The format that FFmpeg must take, "" for its own choice."""
        return self._found_format if self.options.format == "auto" else self.options.format

    def _may_be_jpegs(self, error: Exception) -> bool:
        """Whether JPEGs may be in an answer of which FFmpeg makes nothing."""
        unread = isinstance(error, (av.error.InvalidDataError, av.error.ArgumentError)) or is_cut_off(error)
        return (
            unread
            and not isinstance(error, UndecodableError)
            and self._is_http
            and not self._format
            and not self._is_playlist
        )

    def _opened_as_jpegs(self, url: str, error: Exception, *, cuda: bool) -> Decoder:
        """Read whatever stands between JPEGs as nothing; raises the failure of `error` where there are none.

        Cameras write the parts of motion JPEG in many ways, of which FFmpeg's `mpjpeg` takes some.
        """
        self._found_format = "mjpeg"
        try:
            return self._open_at(url, cuda=cuda)
        except (av.error.FFmpegError, TimeoutError, ClosedError):
            self.close()
            self._found_format = ""
            raise self._other_answer(url) or self._failure(error) from None

    def _other_protocol(self, url: str) -> CameraError | None:
        why = other_protocol(url, self.options.timeout)
        return CameraError(f"{self._address.shown} {why}", kind=CameraFailure.REFUSED) if why else None

    def _other_answer(self, url: str) -> CameraError | None:
        """The failure where a page or the like is answered, or another protocol is spoken."""
        if other := self._other_protocol(url):
            return other
        kind = nested.content_type(url, self.options.timeout)
        if not kind.startswith("image/") and (images := nested.other_images(url, self.options.timeout)):
            return CameraError(
                f"{self._address.shown} sends {images} images, of which no stream is read; set the camera to motion "
                'JPEG or H.264, or poll a single image with kind = "snapshot"',
                kind=CameraFailure.CODEC,
            )
        if not kind.startswith("text/") and kind not in {"application/json", "application/xml"}:
            return None
        return CameraError(
            f"{self._address.shown} answers with {printable(kind, 40)}, not with video; check the path in its url",
            kind=CameraFailure.CODEC,
        )

    def _behind_first(self, decoder: Decoder) -> DecodedFrame | None:
        """The frame behind the first, which shows that this is a stream; raises CameraError for a single image."""
        try:
            frame = decoder.next()
        except (av.error.FFmpegError, ClosedError) as error:
            if not is_cut_off(error):
                raise self._failure(error) from None
            frame = None
        if frame is None:
            self._found_format = ""
            raise CameraError(
                f'{self._address.shown} answers with a single image; use kind = "snapshot", which polls it',
                kind=CameraFailure.CODEC,
            )
        return frame

    def _open_at(self, url: str, *, cuda: bool) -> Decoder:
        """An opened decoder; raises FFmpegError, TimeoutError, ClosedError."""
        decoder = Decoder(
            f"file:{url}" if self._address.is_file else url,
            timeout=self._timeout,
            input_format=self._format or None,
            options=ffmpeg_options(self.options, self._address, self._format),
            threads=self.options.threads or (_fast_threads(os.cpu_count() or 1) if self.lossless else 1),
            damaged=self._damaged,
            frame_threads=self.lossless,  # they hold frames back, which a live stream must not
            cuda=cuda,
            live=not self._address.is_file,
            most_streams=self._most_streams,
            on_waiting=self.on_waiting,
        )
        with self._lock:
            self._decoder = decoder
        started = clock.monotonic()
        try:
            decoder.open()
        except av.error.FFmpegError as error:
            raise self._in_time(error, clock.monotonic() - started) from None
        if self._is_http and decoder.facts.format in _JPEGS and not decoder.has_size:
            raise av.error.InvalidDataError(0, "no JPEG in it")
        if not self._address.is_file and decoder.facts.format in _GROWING and not self._most_streams:
            # How many streams there are can be limited only before they are counted.
            self._most_streams = decoder.facts.streams
            self.close()
            return self._open_at(url, cuda=cuda)
        return decoder

    def _redirected(self, url: str) -> str:
        """Where the camera redirects to, "" if it does not; raises CameraError where it must not be followed."""
        target = nested.redirect(url, self.options.timeout)
        if target and not nested.stays(url, target):
            raise CameraError(
                f"{self._address.shown} redirects to {printable(mask(target), 100)}; "
                "if that is meant, put that address into its url",
                kind=CameraFailure.NOT_FOUND,
            )
        return target

    def _in_time(self, error: Exception, seconds: float) -> Exception:
        """`error`, but for FFmpeg's calling an RTSP server that never answers `invalid data`."""
        late = not self._address.is_file and seconds >= 0.9 * self.options.timeout
        if late and isinstance(error, av.error.InvalidDataError) and not isinstance(error, UndecodableError):
            return TimeoutError()
        return error

    def _next(self, decoder: Decoder) -> tuple[DecodedFrame | None, Decoder]:
        """The next frame, and the decoder that gave it: another one where `decoder` cannot read this motion JPEG."""
        try:
            return decoder.next(), decoder
        except (av.error.FFmpegError, ClosedError) as error:
            if not self._lengths_are_wrong(decoder, error):
                raise self._failure(error) from None
        self._found_format = "mjpeg"
        self.close()
        other = self._acquire()
        return self._decoded(other), other

    def _decoded(self, decoder: Decoder) -> DecodedFrame | None:
        try:
            return decoder.next()
        except (av.error.FFmpegError, ClosedError) as error:
            raise self._failure(error) from None

    def _lengths_are_wrong(self, decoder: Decoder, error: Exception) -> bool:
        """Whether motion JPEG cannot be read on because the lengths that its parts announce are not theirs."""
        lost = isinstance(error, av.error.InvalidDataError) and not isinstance(error, UndecodableError)
        waits = isinstance(error, (TimeoutError, av.error.ExitError)) and self._index <= 1
        return decoder.facts.format == "mpjpeg" and not self._format and (lost or waits)

    def _ended_well(self, decoder: Decoder) -> bool:
        """True at the regular end of a file; raises CameraError for any other end."""
        duration, finite = decoder.facts.seconds, decoder.facts.finite
        if not self._address.is_file and (self._address.scheme.startswith("rtsp") or not finite):
            raise camera_error(av.error.EOFError(0, "end"), self.name, self._address)
        if self._clock.frames == 0:
            raise camera_error(av.error.InvalidDataError(0, "empty"), self.name, self._address)
        seen = max(self._clock.position + self._clock.step, decoder.seconds_seen)
        if duration is not None and duration - seen > max(MISSING_SECONDS, 0.02 * duration):
            raise CameraError(
                f"{self._address.shown} ends after {seen:.1f} s of {duration:.1f} s; "
                "it is truncated or damaged, copy it again",
                kind=CameraFailure.CODEC,
            )
        return True

    def _replayed(self) -> DecodedFrame:
        """The first frame of the file's next round."""
        self.close()
        decoder = self._acquire()
        self._clock.rewind()
        frame = self._decoded(decoder)
        if frame is None:
            raise camera_error(av.error.InvalidDataError(0, "empty"), self.name, self._address)
        return frame

    def _frame(self, frame: DecodedFrame) -> Frame:
        decoder = self._decoder
        if decoder is None:
            raise self._failure(ClosedError())
        media = self._media_seconds(frame, decoder)
        if self._address.is_file and self.options.pace == "real" and media is not None:
            self._wait_until_due(media, decoder)
        index, self._index = self._index, self._index + 1
        try:
            image = frame.image() if self.wants(clock.monotonic()) else NO_IMAGE
        except av.error.FFmpegError as error:
            raise self._failure(error) from None
        return stamped(self.name, index, image, decode_seconds=frame.decode_seconds, media_seconds=media)

    def _wait_until_due(self, media: float, decoder: Decoder) -> None:
        """Wait for the time of a file's frame; a pause in the file is no stall, so it is reported as a wait."""
        while (left := self._clock.due_in(media, clock.monotonic())) > 0:
            note = f"the next frame of the file is due in {left:.0f} s" if left > TURN_SECONDS else ""
            self.on_waiting(note)
            if decoder.closing.wait(min(left, TURN_SECONDS)):
                raise self._failure(ClosedError())

    def _media_seconds(self, frame: DecodedFrame, decoder: Decoder) -> float | None:
        """The frame's time; a live source that has no clock has none: the time of its arrival is its clock."""
        if decoder.facts.has_clock:
            return self._clock.tick(frame.media_seconds, restarts=decoder.facts.stamps_restart)
        rate = self.options.fps or decoder.facts.fps or USUAL_RATE
        return self._clock.tick(frame.number / rate if self._address.is_file else None)

    def _refused(self, url: str, error: Exception) -> CameraError | None:
        """The failure where a login is refused that FFmpeg does not know, or another protocol is spoken."""
        ended = isinstance(error, (av.error.EOFError, av.error.HTTPBadRequestError)) or is_cut_off(error)
        if self._is_http and ended and (other := self._other_protocol(url)):
            return other
        has_login = "@" in url.partition("://")[2].partition("/")[0]
        if not (isinstance(error, av.error.HTTPUnauthorizedError) and has_login):
            return None
        why = challenge.unanswerable(url, self.options.timeout)
        return CameraError(f"{self._address.shown} {why}", kind=CameraFailure.AUTH) if why else None

    def _failure(self, error: Exception) -> CameraError:
        if isinstance(error, ClosedError):
            return CameraError(f"camera '{self.name}' was closed", kind=CameraFailure.OTHER)
        if isinstance(error, StreamsChangedError):
            self._most_streams = 0  # counted anew
        return camera_error(error, self.name, self._address)


def _fast_threads(cores: int) -> int:
    """Decoder threads of a file read as fast as the model goes, which needs the cores itself."""
    return max(1, min(4, cores // 2))
