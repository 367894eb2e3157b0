"""`vedette support`: all that helps, and nothing that must not leave the box."""

import json
import os
import shutil
import threading
import time
import zipfile

import pytest

from agent.__main__ import main
from agent.app.control_socket import SOCKET_NAME, ControlServer
from agent.app.support import _state, gather

CONFIG = """
state_directory = "state"
[device]
name = "dock-7"
[broker]
url = "mqtts://agent:pl%2Fanted@broker.example:8883"
password_file = "word"
[[cameras]]
name = "gate"
kind = "stream"
url = "rtsp://192.168.1.20/stream1"
username = "viewer"
password = 'planted "camera" 1'
[[notifiers]]
name = "hook"
kind = "webhook"
url = "https://hooks.example/services/T0planted/B0planted/plantedplanted"
"""
PLANTED = ("planted", "pl/anted", "pl%2Fanted")
ECHO = """\
login as agent with pl/anted or pl%2Fanted refused
the camera says: wrong password planted "camera" 1, not planted%20%22camera%22%201, nor {"word": "planted \\"camera\\" 1"}
rtsp://viewer:planted%20%22camera%22%201@192.168.1.20/stream1 answers 401; Authorization: Basic cGxhbnRlZA==
the file holds planted-in-a-file \x1b]0;owned\x07
Environment=VEDETTE_BROKER_PASSWORD=plantedInTheUnit LANG=C
POST https://hooks.example/services/T0planted/B0planted/plantedplanted failed
"""


@pytest.fixture
def config(tmp_path):
    (tmp_path / "state").mkdir()
    (tmp_path / "word").write_text("planted-in-a-file\n")
    file = tmp_path / "v.toml"
    file.write_text(CONFIG)
    return file


def gathered(config, run):
    return gather(config, config.parent / "state", unit="vedette", run=run)


def test_no_secret_is_in_it_however_it_is_written(config):
    texts = gathered(config, lambda _command: ECHO)
    assert not [(name, word) for name, text in texts.items() for word in PLANTED if word in text]
    assert not [name for name, text in texts.items() if "\x1b" in text or "cGxhbnRlZA" in text]
    assert "the camera says: wrong password ***" in texts["journal.txt"]
    assert 'name = "dock-7"' in texts["config.toml"] and "broker.example" in texts["config.toml"]


def test_a_part_that_cannot_be_had_says_why_and_the_others_are_there(config):
    def missing(command):
        raise FileNotFoundError(2, "No such file or directory", command[0])

    texts = gathered(config, missing)
    assert "cannot be had: " in texts["journal.txt"] and "journalctl" in texts["journal.txt"]
    assert "no agent answers" in texts["status.json"]
    assert "onnxruntime " in texts["versions.txt"] and "cpu_model" in texts["versions.txt"]


def test_a_broken_config_is_not_shown_and_ends_nothing(config):
    config.write_text('password = "planted\n')
    texts = gathered(config, lambda _command: "fine")
    assert texts["config.toml"].startswith("cannot be had: ") and "planted" not in texts["config.toml"]
    assert texts["journal.txt"] == "fine"


BREAKS = {
    "a quotation mark left open": ('name = "gate"', 'name = "gate'),
    "a secret's quotation mark left open": ("camera\" 1'", 'camera" 1'),
    "a key misspelt": ("password = ", "pasword = "),
    "a wrong type": ('username = "viewer"', "username = 7"),
    "a table misspelt": ("[[cameras]]", "[[kameras]]"),
    "no TOML at all": ("[device]", "<config>"),
}


@pytest.mark.parametrize("broken", BREAKS)
def test_a_broken_config_still_says_what_is_secret(config, broken):
    good, bad = BREAKS[broken]
    assert good in CONFIG
    config.write_text(CONFIG.replace(good, bad))
    echo = """login with pl/anted refused; the file holds planted-in-a-file; wrong password planted "camera" 1
POST https://hooks.example/services/T0planted/B0planted/plantedplanted failed; camera gate of dock-7 is online\n"""
    texts = gathered(config, lambda _command: echo)
    assert texts["config.toml"].startswith("cannot be had: ")
    assert not [(name, word) for name, text in texts.items() for word in PLANTED if word in text]
    assert "online" in texts["journal.txt"] and "dock-7" in texts["journal.txt"]


@pytest.mark.parametrize("valid", [True, False], ids=["a good config", "a broken config"])
def test_secrets_beside_the_config_are_taken_out(config, tmp_path, monkeypatch, valid):
    if not valid:
        config.write_text("[broker")
    monkeypatch.setenv("VEDETTE_BROKER_PASSWORD", "planted=in the environment")
    given, beside = tmp_path / "given", tmp_path / "credentials"
    for folder, name in ((given, "camera_key"), (beside, "broker_password")):
        folder.mkdir()
        (folder / name).write_text(f"planted in {folder.name}\nsecond line\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(given))
    (tmp_path / "env").write_text(
        '# more\nVEDETTE_BROKER_PASSWORD="planted in a file of variables"\nLANG=C\n'
    )
    (tmp_path / "loaded").write_text("planted elsewhere")
    unit = f"""[Service]
Environment="VEDETTE_BROKER_PASSWORD=planted in the unit" LANG=C.UTF-8
EnvironmentFile=-{tmp_path}/env
SetCredential=broker_password:planted in a line
LoadCredential=broker_password:{tmp_path}/loaded
"""
    words = [
        "planted=in the environment",
        "planted in given",
        "planted in credentials",
        "planted in the unit",
    ]
    words += ["planted in a file of variables", "planted in a line", "planted elsewhere"]
    texts = gathered(
        config, lambda command: unit if "cat" in command else f"refused: {' | '.join(words)}; C.UTF-8"
    )
    assert texts["journal.txt"] == f"refused: {' | '.join(['***'] * len(words))}; C.UTF-8"
    assert not [name for name, text in texts.items() if "planted" in text]


def test_no_frame_and_no_sample_is_in_it(config):
    kept = config.parent / "state" / "frames" / "gate"
    kept.mkdir(parents=True)
    picture = b"\xff\xd8\xff\xe0 planted picture \xff\xd9"
    for name in ("1.jpg", "2.npz"):
        (kept / name).write_bytes(picture)
    texts = gathered(config, lambda _command: "")
    assert all(name.endswith((".txt", ".json", ".toml")) for name in texts)
    assert "frames/gate/1.jpg" in texts["state.txt"]
    assert not [name for name, text in texts.items() if "planted picture" in text]


def test_links_and_devices_in_the_state_directory_are_only_named(config):
    (config.parent / "state" / "outbox.db").symlink_to("/etc/shadow")
    os.mkfifo(config.parent / "state" / "pipe")
    (config.parent / "state" / "x\x1b[2J").write_text("")
    text = gathered(config, lambda _command: "")["state.txt"]
    assert "outbox.db" in text and "pipe" in text and "\x1b" not in text


def test_the_file_is_written_once_with_what_the_running_agent_answers(config, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    server = ControlServer(tmp_path / "state", {"status": lambda _args: {"line": "online, 2 cameras"}})
    stop = threading.Event()
    thread = threading.Thread(target=server.run, args=(stop,), daemon=True)
    thread.start()
    try:
        while not (tmp_path / "state" / SOCKET_NAME).exists():
            stop.wait(0.02)
        assert main(["support", "--config", str(config), "--out", "s.zip"]) == 0
    finally:
        stop.set()
        thread.join(10)
    out = capsys.readouterr().out
    assert "s.zip: look at it before you send it" in out and "versions.txt" in out
    with zipfile.ZipFile(tmp_path / "s.zip") as archive:
        assert json.loads(archive.read("s/status.json"))["line"] == "online, 2 cameras"
    (tmp_path / "mine.txt").write_text("precious")
    assert main(["support", "--config", str(config), "--out", "mine.txt"]) == 1
    assert (tmp_path / "mine.txt").read_text() == "precious"


def test_a_box_that_holds_that_it_is_1970_gives_one_too(config, tmp_path, monkeypatch):
    """ZIP knows no year before 1980, and Python's writer raises: no file, where help is needed most."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(time, "time", lambda: 100.0)
    assert main(["support", "--config", str(config)]) == 0
    with zipfile.ZipFile(tmp_path / "vedette-support-19700101T000140Z.zip") as archive:
        first = archive.infolist()[0]
        assert first.date_time[0] == 1980 and first.external_attr >> 16 == 0o600
        assert first.compress_type == zipfile.ZIP_DEFLATED and b"vedette" in archive.read(first)


def test_files_that_come_and_go_meanwhile_cost_none_of_the_others(config):
    """The agent is at work in its state directory: the whole part could not be had."""
    state, stop = config.parent / "state", threading.Event()
    (state / "outbox.db").write_text("")

    def work():
        while not stop.is_set():
            folder = state / "a" / "b"
            folder.mkdir(parents=True, exist_ok=True)
            for name in "xyz":
                (folder / name).write_text("")
            shutil.rmtree(state / "a", ignore_errors=True)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        texts = [_state(state) for _ in range(200)]
    finally:
        stop.set()
        thread.join(30)
    assert all("outbox.db" in text for text in texts)
