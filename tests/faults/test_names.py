"""A boot at which names are not resolved for a while: then they are, and cameras and broker are there within seconds.

The agent runs in a network and a mount namespace of its own, with a name server that comes up late.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        os.geteuid() != 0 or not all(map(shutil.which, ("unshare", "ip", "mosquitto"))),
        reason="needs root, unshare, ip and mosquitto",
    ),
]
ROOT = Path(__file__).resolve().parents[2]
OUTAGE_SECONDS = 45  # every wait has grown to its longest by then
INSIDE = r"""
import os, socket, struct, subprocess, sys, threading, time
from pathlib import Path
import cv2, numpy as np

folder, outage = Path(sys.argv[1]), float(sys.argv[2])
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
(folder / "resolv.conf").write_text("nameserver 127.0.0.9\n")
subprocess.run(["mount", "--bind", folder / "resolv.conf", "/etc/resolv.conf"], check=True)

def names():  # https://datatracker.ietf.org/doc/html/rfc1035#section-4: every name is at 127.0.0.1
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.9", 53))
    while True:
        asked, peer = server.recvfrom(512)
        end = asked.index(b"\0", 12) + 5
        (kind,) = struct.unpack(">H", asked[end - 4 : end - 2])
        answer = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 5, 4) + bytes([127, 0, 0, 1]) if kind == 1 else b""
        head = asked[:2] + b"\x81\x80" + struct.pack(">HHHH", 1, bool(answer), 0, 0)
        server.sendto(head + asked[12:end] + answer, peer)

def camera():
    server = socket.create_server(("127.0.0.1", 8080))
    image = cv2.imencode(".jpg", np.random.randint(0, 255, (64, 96, 3), np.uint8))[1].tobytes()
    while True:
        connection, _ = server.accept()
        connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=b\r\n\r\n")
        try:
            while True:
                connection.sendall(b"--b\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n" % (len(image), image))
                time.sleep(0.1)
        except OSError:
            pass

threading.Thread(target=camera, daemon=True).start()
(folder / "v.toml").write_text('''
state_directory = "state"
[broker]
url = "mqtt://broker.test:1883"
[[cameras]]
name = "door"
url = "http://camera.test:8080/"
''')
broker = subprocess.Popen(["mosquitto", "-p", "1883"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
agent = subprocess.Popen([sys.executable, "-m", "agent", "run", "--config", folder / "v.toml"], stderr=subprocess.PIPE, text=True)

def lines():
    for line in agent.stderr:
        print(f"{time.monotonic() - began:.1f} {line}", end="", flush=True)

began = time.monotonic()
threading.Thread(target=lines, daemon=True).start()
time.sleep(outage)
print(f"{time.monotonic() - began:.1f} RESOLVED", flush=True)
threading.Thread(target=names, daemon=True).start()
time.sleep(20)
agent.terminate(), agent.wait(30), broker.terminate()
"""


def test_names_that_are_resolved_late(tmp_path):
    done = subprocess.run(
        ["unshare", "--mount", "--net", sys.executable, "-c", INSIDE, str(tmp_path), str(OUTAGE_SECONDS)],
        cwd=ROOT, capture_output=True, text=True, timeout=OUTAGE_SECONDS + 120, check=False,
    )  # fmt: skip
    lines = [(float(line.split()[0]), line) for line in done.stdout.splitlines() if line[:1].isdigit()]
    (resolved,) = [at for at, line in lines if "RESOLVED" in line]
    connected = [at for at, line in lines if "connected to the broker" in line]
    online = [at for at, line in lines if "camera is back" in line]
    assert len(connected) == len(online) == 1, done.stdout + done.stderr
    assert max(connected[0], online[0]) - resolved < 15, done.stdout
    about = [line for at, line in lines if at < resolved and " warning " in line and ".test" in line]
    assert len(about) == 2, "one line for each while it lasts"
