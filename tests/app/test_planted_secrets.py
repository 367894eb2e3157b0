"""The failing cases at level debug, with planted secrets: none is in anything that the agent logs, sends or keeps."""

import contextlib
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest

from agent.app.control_socket import call
from agent.core.errors import VedetteError
from tests.conftest import free_port
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
PLANTED = ("S3cret", "s3cret", "S3CRET", "73519264", "UzNjcmV0")  # the last: in base64


class Echo:
    """A server that refuses, and quotes all that it was sent in reason and body."""

    def __init__(self):
        self.asked = []
        echo = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                login = self.headers.get("Authorization", "")
                echo.asked.append((self.path, login))
                body = f"\x1b]0;no\x07{self.path} {login} is wrong: password=S3cret".encode()
                self.send_response(401 if self.command == "GET" else 403, f"Refused {self.path} {login}")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET  # noqa: N815  (the base class's spelling)

            def log_message(self, *_args):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.place = f"127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def echo():
    server = Echo()
    yield server
    server.close()


@pytest.fixture
def locked(mosquitto, tmp_path):
    """A broker that wants a login."""
    passwords = tmp_path / "passwords"
    for user, word, create in (("agent", "S3cretRight", ["-c"]), ("reader", "reads", [])):
        words = ["mosquitto_passwd", *create, "-b", passwords, user, word]
        subprocess.run(words, check=True, capture_output=True)
    passwords.chmod(0o644)
    return mosquitto("allow_anonymous false", f"password_file {passwords}")


class Children:
    """The command lines and environments of all processes that a process starts, seen a hundred times a second."""

    def __init__(self, pid):
        self.seen = set()
        self._root, self._stop = psutil.Process(pid), threading.Event()
        self._own = self._root.cmdline()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self):
        while not self._stop.wait(0.01):
            with contextlib.suppress(psutil.Error, OSError):
                for child in self._root.children(recursive=True):
                    with contextlib.suppress(psutil.Error, OSError):
                        words = child.cmdline()  # (first: between fork and exec a child is the agent itself)
                        if words and words != self._own:  # (none: in the middle of exec)
                            self.seen.add((" ".join(words), str(child.environ())))

    def close(self):
        self._stop.set()
        self._thread.join(10)


def cameras(place, folder):
    """A camera for every form in which an address carries a login."""
    (folder / "camera-password").write_text("S3cretFile\n")
    urls = [
        f"http://S3cretUser:S3cretPw@{place}/live",
        f"http://{place}/live?user=S3cretUser&pwd=S3cretPw",
        f"http://{place}/token/S3cretToken/live",
        "rtsp://S3cretUser:S3cretPw@127.0.0.1:1/live",
        "rtsp://S3cretUser:S3cret%2FPw@no-such-host.invalid/live",
        "rtsp://127.0.0.1:1/user=S3cretUser&password=S3cretPw&channel=1",
        "rtsp://127.0.0.1:1/user=S3cretUser_password=S3cretPw_channel=1_stream=0.sdp",
        "rtsp://127.0.0.1:1/S3cretUser:S3cretPw@ch1",
        "rtsp://127.0.0.1:1/live#key=S3cretPw",
    ]
    tables = [f'[[cameras]]\nname = "cam{n}"\nurl = "{url}"\ntimeout = "1s"\n' for n, url in enumerate(urls)]
    tables.append(
        f'[[cameras]]\nname = "keys"\nurl = "http://{place}/x"\nusername = "u"\npassword = "S3cretPw"\n'
        f'[[cameras]]\nname = "file"\nurl = "http://{place}/x"\nusername = "u"\npassword_file = "camera-password"\n'
        f'[[cameras]]\nname = "apart"\nurl = "http://S3cretUser:S3cretPw@{place}/x"\nisolate = "always"\n'
    )
    if shutil.which("gst-launch-1.0"):
        tables.append(
            '[[cameras]]\nname = "gst"\nkind = "gstreamer"\npipeline = "souphttpsrc location=http://S3cretUser:S3cretPw@'
            f'{place}/x user-id=S3cretUser user-pw=S3cretPw ! decodebin"\n'
        )
    return "\n".join(tables)


def notifiers(place):
    apprise = f"""
        [[notifiers]]
        name = "many"
        kind = "apprise"
        urls = ["json://S3cretUser:S3cretPw@{place}/S3cretToken", "slack://S3cretTokenA/S3cretTokenB/S3cretTokenC"]
        group_interval = "0s"
        """
    return f"""
        [[rules]]
        name = "always"
        when = "host.memory_used_ratio >= 0"
        severity = "critical"
        [[notifiers]]
        name = "hook"
        url = "http://{place}/services/T0/B0/S3cretToken"
        authorization = "Bearer S3cretBearer"
        group_interval = "0s"
        [[notifiers]]
        name = "manager"
        kind = "alertmanager"
        url = "http://{place}/key/S3cretToken"
        username = "u"
        password = "S3cretPw"
        group_interval = "0s"
        {apprise if find_spec("apprise") else ""}
        """


WRONG = [
    "[broker]\npassword = 73519264\n",
    '[broker]\nfallback_urls = "mqtt://S3cretUser:S3cretPw@h"\n',
    '[broker]\nurl = "mqtt://S3cretUser:S3cret/Pw@h"\n',
    '[broker]\npassword = "S3cret\n',
    '[[cameras]]\nname = "rtsp://S3cretUser:S3cretPw@h"\nurl = "rtsp://S3cretUser:S3cret#Pw@h"\n',
    '[[notifiers]]\nname = "a"\nkind = "apprise"\nurls = "slack://S3cretToken"\n',
    '[[notifiers]]\nname = "a"\nurl = { S3cret = "S3cret" }\n',
    '[broker]\npasswrod = "S3cret"\n',
]


until = functools.partial(wait_until, seconds=240)


def vedette(*commands):
    """What `commands` print, one after the other in one process."""
    program = (
        "import sys\nfrom agent.__main__ import main\nfor words in map(str.split, sys.argv[1:]): main(words)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *commands], cwd=ROOT, capture_output=True, text=True, timeout=180
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout + done.stderr


def clean(where, text):
    for secret in PLANTED:
        at = text.find(secret)
        assert at < 0, f"{where}: {text[max(0, at - 200) : at + 60]}"
    assert "\x1b" not in text, where


@contextlib.contextmanager
def running(config, journal):
    """An agent, ended at the end."""
    words = [sys.executable, "-m", "agent", "run", "--config", str(config)]
    environment = {**os.environ, "VEDETTE_BROKER_PASSWORD": "S3cretInTheEnvironment"}
    with journal.open("w") as log:
        agent = subprocess.Popen(words, cwd=ROOT, stdout=log, stderr=log, env=environment)
    try:
        yield agent
        if agent.poll() is None:
            agent.terminate()
            agent.wait(60)
    finally:
        agent.kill()
        agent.wait()


def refused(state):
    """What `vedette reload` prints of a config that is refused."""
    with pytest.raises(VedetteError) as caught:
        call(state, "reload", timeout=90)
    return str(caught.value)


@pytest.mark.broker
@pytest.mark.timeout(600)
def test_no_planted_secret_is_in_anything_that_comes_out(tmp_path, echo, locked, listen):
    config, journal, kept = tmp_path / "v.toml", tmp_path / "journal.txt", tmp_path / "state"
    metrics = f"127.0.0.1:{free_port()}"
    good = (
        'state_directory = "state"\n[device]\nname = "edge"\n[log]\nlevel = "debug"\n[windows]\nlength = "2s"\n'
        f'[prometheus]\nlisten = "{metrics}"\n'
        f'[broker]\nurl = "mqtt://agent:S3cretRight@127.0.0.1:{locked.port}"\n'
        'fallback_urls = ["mqtt://S3cretUser:S3cretPw@127.0.0.1:1"]\n'
        + cameras(echo.place, tmp_path)
        + notifiers(echo.place)
    )
    config.write_text(good)
    config.chmod(0o600)
    ears = listen(locked.port, username="reader", password="reads")
    said = {"before": vedette(f"config show {config}", f"check {config}")}
    with running(config, journal) as agent:
        children = Children(agent.pid)
        until(lambda: journal.read_text().count("camera is down, retrying") >= 12)
        until(lambda: "notifier=hook" in journal.read_text() and "notifier=manager" in journal.read_text())
        children.close()
        said["metrics"] = urllib.request.urlopen(f"http://{metrics}/metrics", timeout=30).read().decode()
        said["good"] = vedette(
            *(f"{words} --state {kept}" for words in ("status", "status --json", "alerts"))
        )
        config.write_text(WRONG[-1])
        agent.send_signal(signal.SIGHUP)
        until(lambda: "config not reloaded" in journal.read_text())
        ears.wait(
            lambda heard: any(m.topic.endswith("/info") and b"unknown key" in m.payload for m in heard), 60
        )
        for number, wrong in enumerate(WRONG):
            (tmp_path / f"wrong{number}.toml").write_text(wrong)
            config.write_text(wrong)
            said[f"reload {number}"] = refused(kept)
            said[f"status {number}"] = json.dumps(call(kept, "status"))
        said["status"] = vedette(f"status --state {kept}")
        agent.send_signal(signal.SIGABRT)
        agent.wait(60)
    assert (kept / "crash.txt").read_text()
    config.write_text(good)
    with running(config, tmp_path / "journal2.txt"):
        until((kept / "crash-last.txt").exists)
    said["wrong"] = vedette(
        *(
            f"{words} {tmp_path}/wrong{n}.toml"
            for n in range(len(WRONG))
            for words in ("check", "config show")
        )
    )
    said["journal"] = journal.read_text() + (tmp_path / "journal2.txt").read_text()
    for where, text in said.items():
        clean(where, text)
    for message in ears.messages:
        clean(message.topic, message.topic + message.payload.decode("latin-1"))
    for path in kept.rglob("*"):
        if path.is_file():
            clean(
                path, path.read_bytes().decode("latin-1").replace("\x1b", "")
            )  # a database may hold any byte
    for words, environment in children.seen:
        clean(f"the environment of {words}", environment)
        if "gst-launch" not in words:  # its pipeline is its command line: SECURITY.md says so
            clean("a child's command", words)
    assert any("agent.cameras.isolation.worker" in words for words, _ in children.seen)
    assert "answered 403" in said["journal"]
    assert "vedette_camera" in said["metrics"]
    assert {"Bearer S3cretBearer", "Basic dTpTM2NyZXRQdw=="} <= {
        login for _, login in echo.asked
    }  # it was sent
    assert len(ears.messages) > 10


@pytest.mark.broker
@pytest.mark.timeout(300)
def test_a_refused_login_shows_none_of_it(tmp_path, locked):
    config, journal = tmp_path / "v.toml", tmp_path / "journal.txt"
    config.write_text(
        'state_directory = "state"\n[log]\nlevel = "debug"\n'
        f'[broker]\nurl = "mqtt://S3cretUser:S3cretWrong@127.0.0.1:{locked.port}"\n'
        '[[cameras]]\nname = "drawn"\nkind = "synthetic"\n'
    )
    with running(config, journal):
        until(lambda: "the broker refused us" in journal.read_text())
        said = vedette(f"status --state {tmp_path / 'state'}", f"check {config}")
    clean("journal", journal.read_text())
    clean("status", said)
    assert "not authorized" in said
