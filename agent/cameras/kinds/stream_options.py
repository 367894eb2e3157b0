"""The settings of a stream or video file, and what FFmpeg makes of them."""

from __future__ import annotations

import os
from dataclasses import dataclass

from agent.cameras import CAMERAS
from agent.cameras.address import StreamAddress, address
from agent.cameras.kinds import nested
from agent.cameras.kinds.login import LoginOptions
from agent.config.fields import setting
from agent.core.errors import ConfigError
from agent.core.nearest import nearest
from agent.core.secret import Masked

LONGEST_LOOK_SECONDS = 5.0
REORDERED_PACKETS = 32  # about a tenth of a second at 4 Mbit/s, which a camera that leaves one out costs
SCHEMES = ("rtsp", "rtsps", "http", "https", "rtmp", "rtmps", "srt", "udp", "rtp", "tcp")


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamOptions(LoginOptions):
    """Where a stream or file is, and how it is read."""

    url: Masked = setting(
        kind="url",
        doc="rtsp://, http://, https://, rtmp:// or udp:// address, or the path of a video file.",
        example='"rtsp://192.168.1.20/stream1"',
    )
    format: str = setting(
        "auto",
        doc="FFmpeg's name of the format (mpjpeg, mjpeg, h264, mpegts, hls, ...), if FFmpeg cannot detect it.",
    )
    height: int = setting(
        0,
        minimum=0,
        maximum=16384,
        doc="For HLS with several variants: the height of the variant to read, else the next lower one; "
        "0: the best.",
    )
    transport: str = setting("tcp", choices=("tcp", "udp"), doc="Transport of RTSP.")
    timeout: float = setting(
        10.0,
        kind="duration",
        minimum=0.5,
        maximum=3600,
        doc="Longest wait for an answer or a packet; set more than 20s for a camera with such long gaps "
        "between frames.",
    )
    loop: bool = setting(False, doc="Repeat a file without end.")
    pace: str = setting(
        "real",
        choices=("real", "fast"),
        doc="For files: real: at their own rate; fast: as fast as the model can, without dropping a frame.",
    )
    fps: float = setting(
        0.0,
        minimum=0,
        maximum=1000,
        doc="Frame rate of a file without time stamps (raw H.264, HEVC, motion JPEG); 0: the declared "
        "rate, else 25.",
    )
    threads: int = setting(
        0,
        minimum=0,
        maximum=64,
        doc="Decoder threads; 0: one, or for a file with pace fast half the number of cores, at most four.",
    )
    decoder: str = setting(
        "cpu",
        choices=("cpu", "cuda"),
        doc="cuda: decode on an NVIDIA GPU if possible, else on the CPU (logged once).",
    )

    def __post_init__(self) -> None:
        """Check what spans several keys, and what is part of a key."""
        LoginOptions.__post_init__(self)
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
        if self.format not in KNOWN_FORMATS:
            raise ConfigError(
                "is not a supported format",
                key="format",
                expected=f"one of {', '.join(KNOWN_FORMATS)}",
                nearest=nearest(self.format, KNOWN_FORMATS),
            )


KNOWN_FORMATS = ("auto", *nested.FORMATS.split(","), "hls")


def _kind_meant(path: str) -> str | None:
    """The kind of camera that `path`, where there is no such file, names."""
    if path.startswith("/dev/video"):
        return "v4l2"
    name = os.path.basename(path)  # noqa: PTH119  (the loader made a path of the name)
    return name if name in CAMERAS and not os.path.exists(path) else None  # noqa: PTH110  (as above)


def ffmpeg_options(options: StreamOptions, place: StreamAddress, input_format: str = "") -> dict[str, str]:
    """FFmpeg's options for a source at `place`, read as `input_format` ("": FFmpeg's choice)."""
    allowed = nested.limits(place.url.reveal(), place.scheme, input_format)
    if place.is_file:
        return allowed
    if place.scheme.startswith("http"):  # small JPEGs behind one another would be looked at for a megabyte
        allowed["formatprobesize"] = "65536"
    # Without a key frame FFmpeg looks on for one to learn the size, for up to 90 s; the decoder learns it by itself.
    allowed["analyzeduration"] = str(int(1e6 * min(LONGEST_LOOK_SECONDS, options.timeout / 2)))
    if input_format == "mjpeg":  # the first frame says all; FFmpeg would look at five seconds
        allowed["analyzeduration"] = "1"
    # FFmpeg would watch the first second to learn the frame rate, which nobody here asks for. Its flag `nobuffer`
    # is no gain: it throws away the frames seen meanwhile, the key frame first of all, and then nothing can
    # be decoded up to the next one; old frames are passed over quickly by themselves.
    common = {**allowed, "fpsprobesize": "0"}
    if not place.scheme.startswith("rtsp"):
        return common
    if (
        options.transport == "tcp"
    ):  # FFmpeg puts packets in order over UDP only, where it waits for up to 500 of them
        common["reorder_queue_size"] = str(REORDERED_PACKETS)
    # Sound is not asked for: some cameras announce what they then refuse, or send none, which FFmpeg would wait for.
    return {**common, "rtsp_transport": options.transport, "allowed_media_types": "video"}
