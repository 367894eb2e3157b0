"""`vedette watch` as its user sees it, against a device that means harm."""

import fcntl
import json
import os
import pty
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
from paho.mqtt import publish

ROOT = Path(__file__).resolve().parents[2]
HOSTILE = "\x1b]52;c;cm0gLXJmIH4=\x07\x1b]0;owned\x07\x1b]8;;http://evil\x1b\\click\x1b]8;;\x1b\\[/x]"
PAYLOADS = [
    ("status", {"state": HOSTILE}),
    ("info", {"model_name": HOSTILE, "model_provider": "[link=http://evil]x"}),
    ("camera/front", {"state": "online", "fps_inferred": 12.5, "detections_" + HOSTILE: 3}),
    ("camera/[/x]", {"state": "[/x]", "drift_ratio": 2, "drift_feature": HOSTILE}),
    ("camera/bad", {"fps_inferred": "many"}),
    ("alert/a", {"id": "a", "state": "firing", "severity": "critical", "what": HOSTILE, "changed_at": 1e9}),
]

PLUGIN = Path("/usr/lib/x86_64-linux-gnu/mosquitto_dynamic_security.so")

pytestmark = pytest.mark.broker


@pytest.fixture
def hostile(mosquitto):
    broker = mosquitto()
    publish.multiple(
        [(f"vedette/north/box/{topic}", json.dumps(body), 1, True) for topic, body in PAYLOADS]
        + [("vedette/north/box/host", b"[" * 5000, 1, True)],
        port=broker.port,
    )
    return broker


def words(broker, *more):
    return [sys.executable, "-m", "agent", "watch", "--broker", broker.url, "--seconds", "2", *more]


def test_a_terminal_gets_no_title_no_clipboard_and_no_link(hostile):
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    child = subprocess.Popen(
        words(hostile),
        cwd=ROOT,
        stdout=slave,
        stderr=slave,
        stdin=slave,
        env={**os.environ, "TERM": "xterm-256color"},
    )
    os.close(slave)
    seen, end = b"", time.monotonic() + 60
    while time.monotonic() < end:
        try:
            data = os.read(master, 65536)
        except OSError:  # the other side is closed
            break
        if not data:
            break
        seen += data
    os.close(master)
    assert child.wait(20) == 0
    assert b"\x1b]" not in seen
    assert b"\x07" not in seen
    text = seen.decode()
    assert "12.5" in text
    assert "2 messages not understood" in text
    assert "\\x1b]52;c;" in text


@pytest.mark.parametrize("more", [(), ("--raw",)])
def test_a_pipe_gets_plain_text(hostile, more):
    done = subprocess.run(words(hostile, *more), cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert all(sign.isprintable() or sign == "\n" for sign in done.stdout)
    assert "vedette/north/box/camera/front" in done.stdout if more else "CRITICAL" in done.stdout


RIGHTS = {"publishClientSend": True, "publishClientReceive": True, "subscribe": False, "unsubscribe": True}


@pytest.mark.skipif(not PLUGIN.exists(), reason="needs mosquitto's dynamic security plugin")
@pytest.mark.parametrize("more", [(), ("--raw",)])
def test_a_refused_subscription_is_reported_and_ends_it(mosquitto, tmp_path, more):
    (tmp_path / "rights.json").write_text(
        json.dumps({"defaultACLAccess": RIGHTS, "clients": [], "roles": []})
    )
    broker = mosquitto(
        "allow_anonymous true", f"plugin {PLUGIN}", f"plugin_opt_config_file {tmp_path / 'rights.json'}"
    )
    done = subprocess.run(words(broker, *more), cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "may not subscribe to vedette/#: check this user's rights" in done.stderr
    assert "password" not in done.stderr, "the login was right"


def test_silence_is_not_shown_as_all_well(mosquitto):
    broker = mosquitto()
    done = subprocess.run(words(broker), cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert "nothing fires" not in done.stdout
    assert "no message yet" in done.stdout
