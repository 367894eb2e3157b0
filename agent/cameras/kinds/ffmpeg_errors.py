"""Translates FFmpeg's errors to a camera's kinds of failure, each with a sentence on what to do."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import av
import av.error

from agent.cameras.address import StreamAddress
from agent.cameras.kinds.decoder import StreamsChangedError, UndecodableError
from agent.core.errors import CameraError, CameraFailure
from agent.core.resolve import resolve

RESOLVE_SECONDS = 5.0

_BY_TYPE: tuple[tuple[tuple[type[BaseException], ...], CameraFailure, str], ...] = (
    (
        (av.error.HTTPUnauthorizedError, av.error.HTTPForbiddenError),
        CameraFailure.AUTH,
        "{shown} refuses the login; check user and password of camera '{camera}'",
    ),
    (
        (av.error.HTTPNotFoundError,),
        CameraFailure.NOT_FOUND,
        "there is no stream at {shown}; check the path in its url",
    ),
    (
        (av.error.ProtocolNotFoundError,),
        CameraFailure.OTHER,
        "{shown} needs a protocol that this FFmpeg was built without (that of PyAV's packages has no SRT); use "
        'kind = "gstreamer", whose srtsrc reads SRT',
    ),
    ((FileNotFoundError,), CameraFailure.NOT_FOUND, "there is no file {shown}; check the url"),
    (
        (IsADirectoryError,),
        CameraFailure.NOT_FOUND,
        '{shown} is a folder; give a video file, or use kind = "images"',
    ),
    ((PermissionError,), CameraFailure.OTHER, "no permission to read {shown}; check its owner and mode"),
    (
        (av.error.HTTPServerError,),
        CameraFailure.REFUSED,
        "{shown} answers with an error of its own (a 5xx status); it may be starting, have too many viewers, or need "
        "a restart",
    ),
    (
        (av.error.HTTPClientError,),
        CameraFailure.REFUSED,
        "{shown} refuses the request (a 4xx status); look for too many viewers, and check the path in its url",
    ),
    (
        (ConnectionError,),
        CameraFailure.REFUSED,
        "{shown} refuses connections; check that the camera is on and its port is right",
    ),
    (
        (TimeoutError, av.error.ExitError),
        CameraFailure.TIMEOUT,
        "{shown} does not answer, or sends nothing for as long as `timeout`; check the camera and the network between",
    ),
    ((EOFError,), CameraFailure.END_OF_STREAM, "{shown} ended the stream"),
    (
        (
            av.error.InvalidDataError,
            av.error.DecoderNotFoundError,
            av.error.DemuxerNotFoundError,
            av.error.PatchWelcomeError,
        ),
        CameraFailure.CODEC,
        "{shown} gives no readable video; it is damaged, incomplete, or no video",
    ),
)
_BY_ERRNO = {
    errno.EHOSTUNREACH: (
        CameraFailure.REFUSED,
        "{shown} cannot be reached; check the network and the address",
    ),
    errno.ENETUNREACH: (
        CameraFailure.REFUSED,
        "{shown} cannot be reached; check the network and the address",
    ),
    errno.ETIMEDOUT: (
        CameraFailure.TIMEOUT,
        "{shown} does not answer; check the camera and the network between",
    ),
    errno.EPROTONOSUPPORT: (
        CameraFailure.REFUSED,
        '{shown} does not send its frames that way; set transport = "udp" in place of "tcp", or the other way round',
    ),
    errno.ENODEV: (CameraFailure.DEVICE_GONE, "{shown} is gone; plug the camera in again"),
    errno.ENXIO: (CameraFailure.DEVICE_GONE, "{shown} is gone; plug the camera in again"),
    errno.EBUSY: (CameraFailure.REFUSED, "{shown} is in use; stop the other program that holds it"),
}


def camera_error(error: Exception, camera: str, address: StreamAddress) -> CameraError:
    """The failure that `error` of FFmpeg means; its own text is left out, for it may quote the password."""
    kind, text = _meaning(error, address)
    return CameraError(text.format(shown=address.shown, camera=camera, host=address.host), kind=kind)


def _meaning(error: Exception, address: StreamAddress) -> tuple[CameraFailure, str]:
    if isinstance(error, UndecodableError):
        return CameraFailure.CODEC, "{shown} " + str(error.strerror)
    if isinstance(error, PermissionError) and not address.is_file:
        return CameraFailure.REFUSED, (
            "{shown} cannot be reached: this system, a firewall or what the camera says of its stream forbids it"
        )
    if isinstance(error, StreamsChangedError):
        return CameraFailure.END_OF_STREAM, (
            "{shown} continues with other streams (another program, track or codec); it is opened again"
        )
    if isinstance(error, PermissionError) and address.is_file and os.access(address.url.reveal(), os.R_OK):
        return CameraFailure.CODEC, "{shown} refers to files that it must not; give a video file itself"
    if isinstance(error, av.error.InvalidDataError) and address.is_file and _is_webp(address.url.reveal()):
        return CameraFailure.CODEC, (
            "{shown} is a WebP, which is read as no video, animated or not; convert it to MP4 or GIF, or play its "
            'first picture with kind = "images"'
        )
    if isinstance(error, av.error.ArgumentError) and address.scheme.startswith("http"):
        return CameraFailure.CODEC, (
            "{shown} answers with a playlist, an image or no video; a playlist is followed where the url names one "
            '(.m3u8) or with format = "hls", an image is polled with kind = "snapshot"'
        )
    if isinstance(error, av.error.InvalidDataError) and address.scheme == "rtp":
        return CameraFailure.CODEC, (
            "{shown} does not say what its packets hold; give the camera's rtsp:// address, or send MPEG-TS in RTP"
        )
    for types, kind, text in _BY_TYPE:
        if isinstance(error, types):
            return kind, text
    number = getattr(error, "errno", None)
    if number in _BY_ERRNO:
        return _BY_ERRNO[number]
    if address.host and not _resolves(address.host):
        return CameraFailure.UNRESOLVED, "the host name {host} is not known; check the url or the name server"
    if address.host and number == errno.EIO:  # what FFmpeg calls a connection that was cut off
        return CameraFailure.END_OF_STREAM, "{shown} ended the stream"
    text = getattr(error, "strerror", None) or type(error).__name__
    return CameraFailure.OTHER, "{shown}: " + str(text).lower().replace("{", "(").replace("}", ")")


def is_cut_off(error: Exception) -> bool:
    """Whether `error` is what FFmpeg makes of a connection that was cut off, or of a redirect it must not follow."""
    return getattr(error, "errno", None) == errno.EIO


def _is_webp(path: str) -> bool:
    """Whether the file at `path` begins as a WebP does."""
    try:
        with Path(path).open("rb") as file:
            start = file.read(12)
    except OSError:
        return False
    return start[:4] == b"RIFF" and start[8:] == b"WEBP"


def _resolves(host: str) -> bool:
    """Whether `host` has an address: FFmpeg calls an unknown name an `Input/output error`."""
    try:
        resolve(host, 0, RESOLVE_SECONDS)
    except OSError:
        return False
    return True
