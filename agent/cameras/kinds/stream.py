"""RTSP and HTTP streams and video files, through PyAV (FFmpeg)."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, replace

import av.error
import structlog

from agent.cameras import CAMERAS
from agent.cameras.address import Address, address
from agent.cameras.kinds import nested
from agent.cameras.kinds.decoder import DecodedFrame, Decoder, FailureCount
from agent.cameras.kinds.ffmpeg_errors import camera_error, is_cut_off
from agent.cameras.owned import ClosedError
from agent.cameras.stamping import stamped
from agent.config.fields import seal, setting
from agent.core import clock
from agent.core.errors import CameraError, CameraFailure, ConfigError
from agent.core.masking import mask
from agent.core.nearest import nearest
from agent.core.printable import printable
from agent.core.secret import Masked, Secret, first_line
from agent.core.types import Frame

SCHEMES = ("rtsp", "rtsps", "http", "https", "rtmp", "rtmps", "srt", "udp", "rtp", "tcp")
# A file whose frames end this much before the time it declares was cut off; the last frames of sound
# files end within a frame or two of it.
MISSING_SECONDS = 1.0

log = structlog.get_logger("vedette.cameras")


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamOptions:
    """Where a stream or file is, and how it is read."""

    url: Masked = setting(
        kind="url",
        doc="rtsp://, http://, https://, rtmp://, srt:// or udp:// address, or the path of a video file.",
        example='"rtsp://192.168.1.20/stream1"',
    )
    username: str = setting("", doc="User name at the camera (goes before one in the url).")
    password: Secret = setting("", kind="secret", doc="Password at the camera; better: password_file.")
    password_file: str = setting(
        "", kind="path", doc="File whose first line is the password; read at each connect."
    )
    transport: str = setting("tcp", choices=("tcp", "udp"), doc="How RTSP carries the frames.")
    timeout: float = setting(
        10.0,
        kind="duration",
        minimum=0.5,
        maximum=20,
        doc="Longest wait for an answer or a packet of the camera.",
    )
    loop: bool = setting(False, doc="Play a file again and again.")
    pace: str = setting(
        "real",
        choices=("real", "fast"),
        doc="Files: at their own rate, or as fast as the model can without losing a frame.",
    )
    threads: int = setting(
        0,
        minimum=0,
        maximum=64,
        doc="Decoder threads; 0: one, for a file with pace fast half as many as cores and at most four.",
    )
    decoder: str = setting(
        "cpu",
        choices=("cpu", "cuda"),
        doc="cuda: on an NVIDIA GPU, where it can; else on the CPU, which is then logged once.",
    )

    def __post_init__(self) -> None:
        """Check what spans several keys, and what is part of a key."""
        seal(self)
        if not self.url:
            raise ConfigError("is empty", key="url", expected="an address or the path of a video file")
        place = address(self.url)
        if place.scheme not in ("", *SCHEMES):
            near = nearest(place.scheme, SCHEMES)
            raise ConfigError(
                "has an unknown scheme",
                key="url",
                expected="rtsp://, http:// or a path",
                nearest=f"{near}://" if near else None,
            )
        if place.is_file and (kind := _kind_meant(place.url.reveal())):
            raise ConfigError("names another kind of camera", key="url", expected=f'kind = "{kind}"')
        if self.password and self.password_file:
            raise ConfigError("is given beside password", key="password_file", expected="only one of them")


def _kind_meant(path: str) -> str | None:
    """The kind of camera that `path`, where there is no such file, names."""
    if path.startswith("/dev/video"):
        return "v4l2"
    name = os.path.basename(path)  # noqa: PTH119  (the loader made a path of the name)
    return name if name in CAMERAS and not os.path.exists(path) else None  # noqa: PTH110  (as above)


class StreamCamera:
    """A stream or a video file."""

    Options = StreamOptions

    def __init__(self, name: str, options: StreamOptions) -> None:
        self.name, self.options = name, options
        self._address: Address = address(options.url)
        self.lossless = self._address.is_file and options.pace == "fast"
        self._decoder: Decoder | None = None
        self._damaged = FailureCount()
        self._reported = 0
        self._lock = threading.Lock()
        self._index = 0
        self._clock = _MediaClock()
        self._cuda = options.decoder == "cuda"

    @property
    def finite(self) -> bool:
        """Whether the source ends by itself: a file that is played once."""
        return self._address.is_file and not self.options.loop

    def open(self) -> None:
        """Connect, or open the file; raises CameraError."""
        self._index, self._clock = 0, _MediaClock()
        self._acquire()

    def read(self) -> Frame | None:
        """The next frame; None at the end of a file."""
        decoder = self._decoder
        if decoder is None:
            raise CameraError(f"camera '{self.name}' is not open", kind=CameraFailure.OTHER)
        frame = self._decoded(decoder)
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
        place, url = self._login(), ""
        for _ in range(nested.MOST_REDIRECTS + 1):
            url = place.url.reveal()
            try:
                return self._open_at(url, cuda=cuda)
            except (av.error.FFmpegError, TimeoutError, ClosedError) as error:
                self.close()
                target = (
                    self._redirected(url) if place.scheme.startswith("http") and is_cut_off(error) else ""
                )
                if not target:
                    raise self._failure(error) from None
            place = replace(
                place, url=Masked(nested.with_login(url, target)), scheme=target.partition("://")[0].lower()
            )
        raise CameraError(
            f"{self._address.shown} redirects again and again; check its url", kind=CameraFailure.NOT_FOUND
        )

    def _open_at(self, url: str, *, cuda: bool) -> Decoder:
        """An opened decoder; raises FFmpegError, TimeoutError, ClosedError."""
        decoder = Decoder(
            f"file:{url}" if self._address.is_file else url,
            timeout=self.options.timeout,
            options=ffmpeg_options(self.options, self._address),
            threads=self.options.threads or (_fast_threads(os.cpu_count() or 1) if self.lossless else 1),
            damaged=self._damaged,
            frame_threads=self.lossless,  # they hold frames back, which a live stream must not
            cuda=cuda,
            live=not self._address.is_file,
        )
        with self._lock:
            self._decoder = decoder
        started = clock.monotonic()
        try:
            decoder.open()
        except av.error.FFmpegError as error:
            raise self._in_time(error, clock.monotonic() - started) from None
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
        if late and isinstance(error, av.error.InvalidDataError):
            return TimeoutError()
        return error

    def _login(self) -> Address:
        password = self.options.password
        if self.options.password_file:
            try:
                password = first_line(self.options.password_file)
            except OSError as error:
                raise CameraError(
                    f"the password file of camera '{self.name}' cannot be read: {error.strerror}; "
                    f"check {self.options.password_file}",
                    kind=CameraFailure.AUTH,
                ) from None
        return address(self.options.url, self.options.username, password)

    def _decoded(self, decoder: Decoder) -> DecodedFrame | None:
        try:
            return decoder.next()
        except (av.error.FFmpegError, ClosedError) as error:
            raise self._failure(error) from None

    def _ended_well(self, decoder: Decoder) -> bool:
        """True at the regular end of a file; raises CameraError for any other end."""
        duration = decoder.duration
        if not self._address.is_file and (self._address.scheme.startswith("rtsp") or duration is None):
            raise camera_error(av.error.EOFError(0, "end"), self.name, self._address)
        seen = self._clock.position
        if self._clock.frames == 0:
            raise camera_error(av.error.InvalidDataError(0, "empty"), self.name, self._address)
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
        media = self._clock.tick(frame.media_seconds)
        decoder = self._decoder
        if (
            self._address.is_file
            and self.options.pace == "real"
            and media is not None
            and decoder is not None
        ):
            wait = self._clock.wait(media, clock.monotonic())
            if wait > 0 and decoder.closing.wait(wait):
                raise self._failure(ClosedError())
        index, self._index = self._index, self._index + 1
        return stamped(
            self.name, index, frame.image, decode_seconds=frame.decode_seconds, media_seconds=media
        )

    def _failure(self, error: Exception) -> CameraError:
        if isinstance(error, ClosedError):
            return CameraError(f"camera '{self.name}' was closed", kind=CameraFailure.OTHER)
        return camera_error(error, self.name, self._address)


class _MediaClock:
    """Time of the frames over a file's rounds, and when each is due."""

    def __init__(self) -> None:
        self.frames = 0
        self.position = 0.0
        self._offset = 0.0
        self._first: float | None = None
        self._step = 0.0
        self._anchor: float | None = None

    def tick(self, time: float | None) -> float | None:
        """The frame's time since the first one, growing over rounds."""
        self.frames += 1
        if time is None:
            return None
        if self._first is None:
            self._first = time
        position = time - self._first
        if position > self.position:
            self._step = position - self.position
        self.position = position
        return self._offset + position

    def rewind(self) -> None:
        """A new round begins: one frame's time after the last."""
        self._offset += self.position + self._step
        self.position, self._first, self.frames = 0.0, None, 0

    def wait(self, media: float, now: float) -> float:
        """Seconds until the frame of `media` is due; one over a second late starts the count anew."""
        if self._anchor is None or now - (self._anchor + media) > 1.0:
            self._anchor = now - media
        return self._anchor + media - now


def _fast_threads(cores: int) -> int:
    """Decoder threads of a file read as fast as the model goes, which needs the cores itself."""
    return max(1, min(4, cores // 2))


def ffmpeg_options(options: StreamOptions, place: Address) -> dict[str, str]:
    """FFmpeg's options for a source at `place`."""
    allowed = nested.limits(place.url.reveal(), place.scheme)
    if place.is_file:
        return allowed
    # FFmpeg would watch the first second to learn the frame rate, which nobody here asks for. Its flag `nobuffer`
    # is no gain: it throws away the frames seen meanwhile, the key frame first of all, and then nothing can
    # be decoded up to the next one; old frames are passed over quickly by themselves.
    common = {**allowed, "fpsprobesize": "0"}
    return {**common, "rtsp_transport": options.transport} if place.scheme.startswith("rtsp") else common
