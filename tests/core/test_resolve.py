"""Names within a time: a name server that never answers, in a mount and network namespace of its own."""

import os
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from agent.core.resolve import resolve

ROOT = Path(__file__).resolve().parents[2]
INSIDE = r"""
import socket, struct, subprocess, sys, threading, time
from pathlib import Path
from agent.core.dial import dial
from agent.core.resolve import resolve

folder = Path(sys.argv[1])
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
(folder / "resolv.conf").write_text("nameserver 127.0.0.9\noptions timeout:30 attempts:5\n")
subprocess.run(["mount", "--bind", folder / "resolv.conf", "/etc/resolv.conf"], check=True)
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.9", 53))
listener = socket.create_server(("127.0.0.1", 1883))

began, errors = time.monotonic(), []
for _ in range(4):
    try:
        dial("broker.test", 1883, 0.5)
    except socket.gaierror as error:
        errors.append((error.errno, error.strerror))
assert errors == [(socket.EAI_AGAIN, "no answer from the name server in time")] * 4, errors
assert 1.9 < time.monotonic() - began < 10, time.monotonic() - began
assert [one.name for one in threading.enumerate()].count("resolve") == 1, threading.enumerate()

def answer():  # https://datatracker.ietf.org/doc/html/rfc1035#section-4: every name is at 127.0.0.1
    while True:
        asked, peer = server.recvfrom(512)
        end = asked.index(b"\0", 12) + 5
        (kind,) = struct.unpack(">H", asked[end - 4 : end - 2])
        found = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 5, 4) + bytes([127, 0, 0, 1]) if kind == 1 else b""
        server.sendto(asked[:2] + b"\x81\x80" + struct.pack(">HHHH", 1, bool(found), 0, 0) + asked[12:end] + found, peer)

threading.Thread(target=answer, daemon=True).start()  # the questions of before wait in its socket
with dial("broker.test", 1883, 60.0) as connected:
    assert connected.getpeername() == ("127.0.0.1", 1883)
assert resolve("other.test", 80, 60.0) == [(socket.AF_INET, ("127.0.0.1", 80))]
print("DONE")
"""


@pytest.mark.skipif(
    os.geteuid() != 0 or not all(map(shutil.which, ("unshare", "ip"))), reason="needs root, unshare and ip"
)
def test_a_name_server_that_never_answers_takes_the_time_and_one_thread(tmp_path):
    done = subprocess.run(
        ["unshare", "--mount", "--net", sys.executable, "-c", INSIDE, str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.stdout == "DONE\n", done.stderr


@pytest.mark.parametrize(
    ("host", "family"),
    [("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6), ("::ffff:127.0.0.1", socket.AF_INET6)],
)
def test_an_address_is_no_name(host, family):
    ((found, place),) = resolve(host, 8883, 0.0)
    assert (found, place[:2]) == (family, (host, 8883))


@pytest.mark.parametrize("name", ["no-such-name.invalid", "a" * 64 + ".test", "a..b", ".", "\u0130" * 64])
@pytest.mark.parametrize("timeout", [30.0, None])
def test_what_is_no_name_is_an_error_at_once(name, timeout):
    with pytest.raises(socket.gaierror):
        resolve(name, 80, timeout)


def test_a_system_without_threads_leaves_no_look_up_that_never_ends(monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", no_thread)
        with pytest.raises(RuntimeError):
            resolve("localhost", 80, 30.0)
    assert resolve("localhost", 80, 30.0)


def no_thread(_self):
    raise RuntimeError("can't start new thread")
