"""Decodes a source with FFmpeg: only whole frames, waits that end, a close from any thread."""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import av
import av.error
import numpy as np
from av.codec.hwaccel import HWAccel
from numpy.typing import NDArray

from agent.cameras.kinds.frame_wait import FrameWait
from agent.cameras.kinds.orientation import Orientation, OrientationMemory
from agent.cameras.kinds.source_facts import SourceFacts, video_stream
from agent.cameras.kinds.whole_jpeg import WholeJpegs
from agent.cameras.owned import ClosedError, ThreadOwned
from agent.core import clock

# A damaged frame damages all that refer to it, up to the next key frame: of the 114 damaged frames of a
# damaged file FFmpeg marked 8. A stream without key frames (intra refresh) has mended itself by then.
MENDING_SECONDS = 5.0
LATE_RATIO = 0.95  # of the timeout
# A title that is not UTF-8 must not end it: PyAV 19 keeps its bytes, earlier versions raise an error by default.
_ODD_TITLES = {} if int(av.__version__.partition(".")[0]) >= 19 else {"metadata_errors": "replace"}
# 8,192 x 8,192: no camera has more, and a damaged size must not take the memory of the box.
MAX_PIXELS = 2**26


@dataclass(slots=True, eq=False)
class DecodedFrame:
    """A decoded frame: its own time stamp, and what decoding it took until now.

    `number` counts the frames of the source, damaged ones, too.
    """

    number: int
    media_seconds: float | None
    decode_seconds: float
    _decoded: Any
    _orientation: Orientation

    def image(self) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 BGR in memory of its own; raises FFmpegError.

        It is converted now, since most frames of a quick camera are not looked at; `decode_seconds` has what it took.
        """
        started = clock.monotonic()
        # One thread: for a frame of this size PyAV's default costs half as much again in handing over.
        image = self._decoded.to_ndarray(format="bgr24", threads=1)
        if self._decoded.format.name == "bgr24":  # then it is no conversion, but the decoder's own memory
            image = image.copy()
        image = self._orientation.shown(image)
        self.decode_seconds += clock.monotonic() - started
        return np.asarray(image, dtype=np.uint8)


class UndecodableError(av.error.InvalidDataError):  # type: ignore[misc]  # PyAV is untyped here
    """The source is sound, but nothing for this decoder; its text goes on after the source's name."""

    def __init__(self, what: str) -> None:
        super().__init__(0, what)


class StreamsChangedError(av.error.EOFError):  # type: ignore[misc]  # PyAV is untyped here
    """A stream came in that was not there when the source was opened: another program, or another codec."""

    def __init__(self) -> None:
        super().__init__(0, "its streams changed")


@dataclass(slots=True)
class FailureCount:
    """A count that outlives the decoders that add to it; one thread adds."""

    total: int = 0


class Decoder(ThreadOwned):
    """One opened FFmpeg source. One thread opens and reads; any thread may close.

    A close from another thread takes effect at the latest when FFmpeg's own `timeout` ends the wait.
    `most_streams`: what has more is refused (0: nothing is). Without it PyAV would pass over the packets of streams
    that appear later, and where the video goes on in one of them, wait for ever.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout: float,
        input_format: str | None = None,
        options: Mapping[str, str] | None = None,
        threads: int = 1,
        frame_threads: bool = False,
        damaged: FailureCount | None = None,
        cuda: bool = False,
        live: bool = True,
        most_streams: int = 0,
        on_waiting: Callable[[str], None] = lambda _note: None,
    ) -> None:
        super().__init__()
        self._url, self._format, self._options = url, input_format, dict(options or {})
        self._timeout, self._threads, self._frame_threads = timeout, threads, frame_threads
        self._cuda, self._live, self._most_streams = cuda, live, most_streams
        if most_streams:
            self._options["max_streams"] = str(most_streams)
        self._container: Any = None
        self._packets: Iterator[Any] = iter(())
        self._ready: deque[Any] = deque()
        self._stream: Any = None
        self._stream_index = 0
        self.facts = SourceFacts()
        self._on_waiting, self._wait = on_waiting, FrameWait()
        self._number = 0
        self._ends: dict[int, int] = {}
        self._decode_seconds = 0.0
        self._whole = False  # whether there has been a whole frame
        self._mending_until: float | None = None
        self._damaged = damaged or FailureCount()
        self._orientation = OrientationMemory()
        self._is_jpeg, self._jpegs = False, WholeJpegs()

    def open(self) -> None:
        """Open the source; raises FFmpegError, or ClosedError."""
        with self.in_use():
            self._container = self._opened()
            stream = self._stream = video_stream(self._container)
            if stream is None:
                kinds = "sound and a cover picture" if self._container.streams.video else "sound or text"
                raise UndecodableError(f"has no video in it, only {kinds}")
            if stream.codec_context is None:
                raise UndecodableError(
                    "has video in a codec that no decoder here knows; set H.264 or H.265 in the camera"
                )
            self._stream_index = stream.index
            self.facts = SourceFacts.of(self._container, stream)
            if stream.width * stream.height > MAX_PIXELS:
                raise UndecodableError(
                    f"has frames of {stream.width}x{stream.height}, more than can be handled"
                )
            self._is_jpeg = stream.codec_context.name == "mjpeg"
            stream.thread_type = "FRAME" if self._frame_threads else "SLICE"
            stream.codec_context.thread_count = self._threads
            stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
            # Every stream is read: sound may end after the video, and while only sound comes a close must take effect.
            self._packets = self._container.demux()

    @property
    def on_gpu(self) -> bool:
        """Whether a GPU decodes."""
        return self._cuda and bool(self._stream.codec_context.is_hwaccel)

    @property
    def has_size(self) -> bool:
        """Whether the size of the frames is known already."""
        return bool(self._stream.width)

    @property
    def seconds_seen(self) -> float:
        """How far into the source any of its streams has been read, in seconds."""
        if self._container is None:
            return 0.0
        start = (self._container.start_time or 0) / av.time_base
        streams = self._container.streams
        return max(
            (float(end * streams[at].time_base) - start for at, end in self._ends.items()), default=0.0
        )

    def next(self) -> DecodedFrame | None:
        """The next whole frame, or None at the end of the source; raises FFmpegError, or ClosedError."""
        with self.in_use():
            while True:
                while self._ready:
                    frame = self._take()
                    if frame is not None:
                        self._wait.frame()
                        self._whole = True
                        return frame
                packet = self._next_packet()
                if packet is None:
                    return None
                self._note_end(packet)
                # (of the packet that ends a stream PyAV gives 0 as `stream_index`, whichever stream it is)
                if packet.stream.index == self._stream_index:
                    self._decode(packet)
                if not self._ready:
                    self._go_on_waiting()
                if self.closing.is_set():
                    raise ClosedError

    def _next_packet(self) -> Any:
        """The next packet, None at the end; raises FFmpegError."""
        asked = clock.monotonic()
        try:
            packet = next(self._packets, None)
        except IndexError:  # at the end of a source in which a stream appeared PyAV looks for that one, too
            return None
        except av.error.MemoryError:
            if self._most_streams:
                raise StreamsChangedError from None
            raise
        except av.error.FFmpegError:
            self._refuse_late(
                asked
            )  # of RTSP over TCP FFmpeg calls the end of its wait an `Input/output error`
            raise
        self._refuse_late(
            asked
        )  # at the end of its wait it hands over what it held back: a frame as old as that
        return packet

    def _refuse_late(self, asked: float) -> None:
        if self._live and clock.monotonic() - asked > LATE_RATIO * self._timeout:
            raise av.error.TimeoutError(errno.ETIMEDOUT, "no packet in time")

    def _go_on_waiting(self) -> None:
        """Report what is waited for; raises UndecodableError where that will not come."""
        now = clock.monotonic()
        if failure := self._wait.failure(now):
            raise UndecodableError(failure)
        if note := self._wait.note(now):
            self._on_waiting(note)

    def _opened(self) -> Any:
        try:
            return self._open_container()
        except av.error.MemoryError:
            if self._most_streams:
                raise StreamsChangedError from None
            raise

    def _open_container(self) -> Any:
        return av.open(
            self._url,
            format=self._format,
            options=self._options,
            timeout=(self._timeout, self._timeout),
            **_ODD_TITLES,
            # Frames come back into main memory by themselves; other codecs than the GPU's fall back.
            hwaccel=HWAccel("cuda", allow_software_fallback=True) if self._cuda else None,
        )

    def _free(self) -> None:
        container, self._container = self._container, None
        self._stream = None
        self._packets = iter(())
        self._ready.clear()
        if container is not None:
            container.close()

    def _note_end(self, packet: Any) -> None:
        """Note where `packet` ends, in units of its stream: fractions are slow, and this is for every packet."""
        if packet.pts is not None:
            index, end = packet.stream_index, packet.pts + (packet.duration or 0)
            self._ends[index] = max(end, self._ends.get(index, end))

    def _decode(self, packet: Any) -> None:
        started = clock.monotonic()
        self._wait.packet(started, key_frame=packet.is_keyframe)
        if self._is_jpeg and packet.size and not self._jpegs.is_whole(memoryview(packet)):
            self._note_damage()
            return
        try:
            self._ready.extend(packet.decode())
        except (av.error.InvalidDataError, av.error.ArgumentError):  # the latter for an impossible size
            self._wait.refused()
            self._note_damage()
        self._decode_seconds += clock.monotonic() - started

    def _note_damage(self) -> None:
        self._number += 1
        if not self._whole and not self._wait.saw_key_frame:
            return  # before its first key frame nothing can be decoded, and nothing is damaged
        self._damaged.total += 1
        if self._mending_until is None:
            self._mending_until = clock.monotonic() + MENDING_SECONDS

    def _take(self) -> DecodedFrame | None:
        """The next decoded frame, or None for one that is damaged or refers to a damaged one."""
        frame = self._ready.popleft()
        orientation = self._orientation.of(frame)
        if frame.is_corrupt:
            self._note_damage()
            return None
        if self._mending_until is not None:
            if not frame.key_frame and clock.monotonic() < self._mending_until:
                self._number += 1
                self._damaged.total += 1
                return None
            self._mending_until = None
        spent, self._decode_seconds = self._decode_seconds, 0.0
        number, self._number = self._number, self._number + 1
        return DecodedFrame(number, frame.time, spent, frame, orientation)
