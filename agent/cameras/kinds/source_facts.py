"""Facts about an opened FFmpeg source: its video stream, clock, frame rate and length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import av
from av.stream import Disposition

_NO_TIMESTAMPS, _RESTARTING = 0x80, 0x200  # AVFMT_NOTIMESTAMPS, AVFMT_TS_DISCONT in libavformat/avformat.h
_PLAUSIBLE_FPS = 0.01, 1000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFacts:
    """Facts of an opened source.

    `format` is FFmpeg's name of its format. `has_clock`: that has time stamps; FFmpeg stamps frames of one without
    at 25 a second, however they come. `stamps_restart`: they may start anew at any place. `finite`: it has an end.
    `fps`: frames a second as declared. `streams`: how many it has. `seconds`: length of the video (else of the
    whole source) as its head declares it, None where FFmpeg only estimates it.
    """

    format: str = ""
    has_clock: bool = True
    stamps_restart: bool = False
    finite: bool = False
    streams: int = 0
    fps: float | None = None
    seconds: float | None = None

    @classmethod
    def of(cls, container: Any, stream: Any) -> SourceFacts:
        """The facts of `container`, of which `stream` is the video."""
        name, flags = container.format.name, container.format.flags
        has_clock = not (flags & _NO_TIMESTAMPS or name.endswith("_pipe") or name == "image2pipe")
        restarts = bool(flags & _RESTARTING)
        seconds = container.duration / av.time_base if container.duration else None
        if stream.duration and stream.time_base:
            seconds = float(stream.duration * stream.time_base)
        rate = float(stream.guessed_rate or 0)
        return cls(
            format=name,
            has_clock=has_clock,
            stamps_restart=restarts,
            finite=seconds is not None,
            streams=len(container.streams),
            fps=rate if _PLAUSIBLE_FPS[0] <= rate <= _PLAUSIBLE_FPS[1] else None,
            seconds=seconds if has_clock and (not restarts or name == "hls") else None,
        )


def video_stream(container: Any) -> Any | None:
    """The video of `container`: no cover picture, the best where there are several; None where there is none."""
    moving = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    best = container.streams.best("video")
    return best if best in moving else next(iter(moving), None)
