"""GStreamer's data protocol: what a real `gdppay` wrote is read, and damage is an error, never a picture."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.cameras.kinds import gdp

# The caps packet of `videotestsrc ! video/x-raw,width=61,height=37,format=BGR ! gdppay` (GStreamer 1.22).
CAPS = (
    b"video/x-raw, format=(string)BGR, width=(int)61, height=(int)37, framerate=(fraction)10/1, "
    b"multiview-mode=(string)mono, pixel-aspect-ratio=(fraction)1/1, interlace-mode=(string)progressive\0"
)


def header(kind=gdp.BUFFER, length=6808, time=1892180, major=1):
    return struct.pack(">BBBBHIQ", major, 0, 1, 0, kind, length, time) + bytes(44)


def test_a_buffer_has_its_length_and_time():
    assert gdp.packet(header()) == gdp.GdpHeader(gdp.BUFFER, 6808, 0.00189218)


def test_all_ones_are_no_time():
    assert gdp.packet(header(time=2**64 - 1)).seconds is None


def test_caps_declare_rows_padded_to_four_bytes():
    layout = gdp.layout(CAPS)
    assert (layout.width, layout.height, layout.stride, layout.length) == (61, 37, 184, 6808)


@pytest.mark.parametrize(
    "caps",
    [
        CAPS.replace(b"BGR", b"NV12"),
        CAPS.replace(b"width=(int)61, ", b""),
        CAPS.replace(b"(int)61", b"(int)0"),
        CAPS.replace(b"(int)61", b"(int)100000000"),
        b"audio/x-raw, format=(string)S16LE\0",
        b"",
    ],
)
def test_other_caps_are_refused(caps):
    with pytest.raises(gdp.ProtocolError):
        gdp.layout(caps)


@pytest.mark.parametrize("damaged", [header(major=7), header(length=2**32 - 1)])
def test_a_damaged_header_takes_no_memory(damaged):
    with pytest.raises(gdp.ProtocolError):
        gdp.packet(damaged)


@given(st.binary(min_size=gdp.HEADER_BYTES, max_size=gdp.HEADER_BYTES), st.binary(max_size=200))
def test_any_bytes_are_a_packet_or_an_error(head, caps):
    for parse, data in ((gdp.packet, head), (gdp.layout, caps), (gdp.layout, CAPS[: len(caps)] + caps)):
        try:
            found = parse(data)
        except gdp.ProtocolError:
            continue
        assert 0 <= found.length <= gdp.LARGEST_BYTES
