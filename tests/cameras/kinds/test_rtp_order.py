"""RTP over TCP that comes in another order than it was sent, as from cameras that send from several threads."""

import io
import re
import struct

import av
import numpy as np
import pytest

from agent.cameras.kinds.stream import StreamCamera
from agent.core.errors import CameraError

FRAMES = 40
SDP = (
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\n"
    "a=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\na=control:picture\r\n"
)
HEADS = {
    "DESCRIBE": ["Content-Type: application/sdp", f"Content-Length: {len(SDP)}"],
    "SETUP": ["Session: 1", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1"],
    "PLAY": ["Session: 1"],
}


def units(frames):
    """NAL units of a moving texture in H.264."""
    texture, out = np.random.default_rng(1).integers(0, 255, (120, 160, 3), dtype=np.uint8), io.BytesIO()
    with av.open(out, "w", format="h264") as container:
        video = container.add_stream("libx264", rate=25)
        video.width, video.height = 160, 120
        video.options = {"g": "20", "bf": "0", "crf": "12", "x264-params": "slices=1:repeat-headers=1"}
        for number in range(frames):
            moved = av.VideoFrame.from_ndarray(np.roll(texture, 3 * number, 1), format="bgr24")
            container.mux(video.encode(moved))
        container.mux(video.encode(None))
    return [unit for unit in re.split(b"\0\0\0?\1", out.getvalue()) if unit]


def packets(frames, first=100, most=600):
    """The RTP packets of `frames` frames (RFC 6184: single units and fragments), from number `first` on."""
    made, stamp = [], 1000
    for unit in units(frames):
        kind = unit[0] & 31
        picture = kind in (1, 5)
        parts = [unit]
        if len(unit) > most:
            starts = range(1, len(unit), most)
            parts = [
                bytes([unit[0] & 0xE0 | 28, kind | 0x80 * (at == 1) | 0x40 * (at == starts[-1])])
                + unit[at : at + most]
                for at in starts
            ]
        for part in parts:
            marker = 0x80 * (picture and part is parts[-1])
            made.append(
                struct.pack(">BBHII", 0x80, 96 | marker, (first + len(made)) & 0xFFFF, stamp, 7) + part
            )
        stamp += 3600 * picture
    return made


def sending(chosen):
    """A server of RTSP that sends these packets between its answers, and ends."""

    def serve(connection):
        request = b"OPTIONS x RTSP/1.0\r\nCSeq: 1\r\n\r\n"
        while request:
            lines = request.decode("latin-1").split("\r\n")
            method, sequence = lines[0].split()[0], next(line for line in lines if line.startswith("CSeq"))
            heads = ["RTSP/1.0 200 OK", sequence, *HEADS.get(method, [])]
            body = SDP if method == "DESCRIBE" else ""
            connection.sendall(("\r\n".join(heads) + "\r\n\r\n" + body).encode())
            if method == "PLAY":
                connection.sendall(b"".join(b"$\0" + struct.pack(">H", len(one)) + one for one in chosen))
                return
            request = connection.recv(4096)

    return serve


def in_turned(groups_of, sent):
    return [one for at in range(0, len(sent), groups_of) for one in reversed(sent[at : at + groups_of])]


def late(by, sent):
    """Each first of `by` + 1 packets behind the others."""
    step = by + 1
    return [one for at in range(0, len(sent), step) for one in (*sent[at + 1 : at + step], sent[at])]


def read_all(server):
    """Frames, and damaged ones, until the server ends the stream."""
    camera = StreamCamera(
        "front", StreamCamera.Options(url=f"rtsp://127.0.0.1:{server.port}/live", timeout=10)
    )
    camera.open()
    frames = 0
    with pytest.raises(CameraError, match="ended the stream"):
        while camera.read() is not None:
            frames += 1
    camera.close()
    return frames, camera.take_failed()


@pytest.mark.parametrize(
    ("order", "first"),
    [
        (list, 100),
        (lambda sent: in_turned(2, sent), 100),
        (lambda sent: in_turned(3, sent), 65500),
        (lambda sent: late(20, sent), 100),
    ],
    ids=("in order", "pairs", "threes, past 65535", "late by 20"),
)
def test_packets_in_another_order_are_put_in_order(listening, order, first):
    frames, damaged = read_all(listening(sending(order(packets(FRAMES, first)))))
    assert frames == FRAMES
    assert damaged == 0


def test_a_packet_that_never_comes_is_not_waited_for(listening):
    sent = packets(FRAMES)
    key_frames = [at for at, one in enumerate(sent) if one[12] & 31 == 7]
    lost = key_frames[1] - 1  # of the last frame before the second key frame
    frames, _ = read_all(listening(sending(sent[:lost] + sent[lost + 1 :])))
    assert frames >= FRAMES - 2
