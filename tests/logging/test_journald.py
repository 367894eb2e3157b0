"""Entries as journald reads them, checked with a reader of its documented format at a real datagram socket."""

import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.logging.journald import LONGEST_VALUE, JournaldConnection, entry, field_name, leads_to_journal


def read(datagram):
    """The fields of an entry, by the text of https://systemd.io/JOURNAL_NATIVE_PROTOCOL/."""
    fields = {}
    while datagram:
        head, _, rest = datagram.partition(b"\n")
        name, equals, value = head.partition(b"=")
        if not equals:
            (length,) = struct.unpack("<Q", rest[:8])
            value, end, rest = rest[8 : 8 + length], rest[8 + length : 9 + length], rest[9 + length :]
            assert end == b"\n"
        fields[name.decode()] = value.decode()
        datagram = rest
    return fields


def test_fields_can_be_asked_for():
    fields = read(entry("camera is down", 4, {"camera": "front", "tries": 3, "failure": None}))
    assert fields == {
        "MESSAGE": "camera is down",
        "PRIORITY": "4",
        "SYSLOG_IDENTIFIER": "vedette",
        "CAMERA": "front",
        "TRIES": "3",
    }


@given(st.text(st.characters(codec="utf-8"), max_size=80))
def test_any_value_arrives_as_it_was(value):
    assert read(entry("x", 6, {"reason": value}))["REASON"] == value


@given(st.text(max_size=100))
def test_any_key_becomes_a_name_that_journald_takes(key):
    name = field_name(key)
    assert 0 < len(name) <= 64
    assert name.isascii()
    assert name.replace("_", "").isalnum()
    assert name == name.upper()
    assert not name.startswith("_")


@pytest.mark.parametrize("key", ["message", "priority", "syslog_identifier", "unit", "_pid"])
def test_no_key_passes_itself_off_as_systemds(key):
    assert field_name(key) not in {"MESSAGE", "PRIORITY", "SYSLOG_IDENTIFIER", "UNIT", "_PID"}


def test_a_value_without_end_is_cut():
    assert len(read(entry("x" * 10**6, 6, {}))["MESSAGE"]) == LONGEST_VALUE


def test_an_entry_reaches_the_socket_and_a_missing_journald_is_told(tmp_path):
    path = str(tmp_path / "socket")
    journal = JournaldConnection(path)
    assert not journal.send(entry("x", 6, {}))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journald:
        journald.bind(path)
        assert journal.send(entry("hello", 6, {}))
        assert read(journald.recv(65536))["MESSAGE"] == "hello"


def test_only_the_stream_that_systemd_named_leads_to_the_journal(tmp_path, monkeypatch):
    with (tmp_path / "a").open("w") as ours, (tmp_path / "b").open("w") as other:
        monkeypatch.delenv("JOURNAL_STREAM", raising=False)
        assert not leads_to_journal(ours)
        status = (tmp_path / "a").stat()
        monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
        assert leads_to_journal(ours)
        assert not leads_to_journal(other)
