"""A reload, whatever comes of it, never ends the running agent: real agents, in a process of their own."""

import contextlib
import os
import signal
import socket
import threading
import time

import pytest

from agent.app.control_socket import call
from agent.app.reload import Reloader, ReloadOutcome, ReloadResult
from agent.core.errors import VedetteError
from tests.app.test_agent import Agent
from tests.waiting import wait_until

HEAD = """
state_directory = "{state}"
[broker]
url = "{url}"
[windows]
length = "1s"
[telemetry]
gpu = false
"""
CAMERA = """
[[cameras]]
name = "{name}"
kind = "synthetic"
fps = {fps}
"""


class Box:
    """An agent on a config that is written anew again and again."""

    def __init__(self, folder, url="mqtt://127.0.0.1:9"):
        self.folder, self.state, self.file = folder, folder / "s", folder / "v.toml"
        self.head = HEAD.format(state=self.state, url=url)
        self.agent = Agent(folder, config=self.head + self.cameras("one"))
        self.until(self.answers, 60)

    def cameras(self, *names, fps=10):
        return "".join(CAMERA.format(name=name, fps=fps) for name in names)

    def write(self, text):
        scratch = self.file.with_suffix(".new")
        scratch.write_text(self.head + text)
        scratch.replace(self.file)

    def hup(self):
        os.kill(self.agent.process.pid, signal.SIGHUP)

    def answers(self):
        with contextlib.suppress(VedetteError):
            return self.status()

    def status(self):
        return call(self.state, "status")

    def reload(self):
        return call(self.state, "reload")["text"]

    def try_to_reload(self):
        with contextlib.suppress(VedetteError):
            self.reload()

    def alive(self):
        return self.agent.process.poll() is None

    def until(self, done, seconds=30):
        wait_until(done, seconds, lambda: self.agent.journal()[-3000:], alive=self.alive, every=0.05)

    def settled(self):
        """Wait until the cameras of the last good config are online."""
        self.until(
            lambda: all(one["state"] == "online" for one in self.status()["cameras"] or [{"state": ""}])
        )

    def held(self):
        """Threads and open files of the process."""
        proc = f"/proc/{self.agent.process.pid}"
        return len(os.listdir(f"{proc}/task")), len(os.listdir(f"{proc}/fd"))


@pytest.fixture
def box(tmp_path):
    made = Box(tmp_path)
    yield made
    if made.alive():
        made.agent.process.kill()
        made.agent.process.wait(10)


on_one_agent = pytest.mark.xdist_group("reload")


@pytest.fixture(scope="module")
def shared_agent(tmp_path_factory):
    """One agent for the tests that leave it running; whatever they did to it, it stops well."""
    made = Box(tmp_path_factory.mktemp("shared"))
    try:
        yield made
        assert made.agent.stop() == 0
        assert "reason=done" not in made.agent.journal()
    finally:
        if made.alive():
            made.agent.process.kill()
            made.agent.process.wait(10)


@pytest.fixture
def shared(shared_agent):
    """The agent that runs, on the config that it started with."""
    shared_agent.write(shared_agent.cameras("one"))
    shared_agent.reload()
    return shared_agent


@on_one_agent
def test_a_reload_that_changes_every_camera_never_ends_the_agent(shared):
    for turn in range(12):
        shared.write(shared.cameras("one", fps=5 + turn % 2))
        assert "camera one changed" in shared.reload()
        assert shared.alive(), shared.agent.journal()
    shared.settled()


BAD = {
    "no such user": '[[cameras]]\nname = "a"\npath = "~nosuchuser/x"\n',
    "a camera's address": '[[cameras]]\nname = "a"\nurl = "rtsp://[bad/x"\n',
    "a broker's address": '[[cameras]]\nname = "a"\nkind = "synthetic"\n[outbox]\n[broker]\nurl = "mqtt://[bad"\n',
    "nested deeply": "x = " + "[" * 20_000 + "]" * 20_000 + "\n",
    "nested in a rule": '[[rules]]\nname = "r"\nwhen = "' + "(" * 20_000 + '"\n',
    "a NUL in the file": '[[cameras]]\nname = "a\0b"\n',
    "no TOML": "]]]",
    "another type": "cameras = 3\n",
    "two of a name": '[[cameras]]\nname = "a"\nkind = "synthetic"\n' * 2,
}


def test_a_reload_that_is_asked_for_while_the_config_is_being_read_waits_for_the_start(tmp_path):
    file, head = tmp_path / "v.toml", HEAD.format(state=tmp_path / "s", url="mqtt://127.0.0.1:9")
    os.mkfifo(file)
    agent = Agent(tmp_path, "--config", file)
    try:
        with file.open("w") as pipe:  # it is read now
            agent.process.send_signal(signal.SIGHUP)
            pipe.write(head + CAMERA.format(name="one", fps=5))
            file.unlink()
            file.write_text(head + CAMERA.format(name="two", fps=5))
        wait_until(
            lambda: "camera two added" in agent.journal(),
            60,
            agent.journal,
            alive=lambda: agent.process.poll() is None,
            every=0.05,
        )
        assert agent.stop() == 0
    finally:
        if agent.process.poll() is None:
            agent.process.kill()
            agent.process.wait(10)


def test_a_reload_that_hangs_neither_starves_the_watchdog_nor_holds_up_a_stop(tmp_path, monkeypatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        box = Box(tmp_path)
        try:
            box.file.unlink()
            os.mkfifo(box.file)  # as a file on a network share that is gone: reading it never ends
            box.hup()
            while b"RELOADING=1" not in systemd.recv(4096):
                pass
            waiting = [threading.Thread(target=box.try_to_reload) for _ in range(3)]
            for one in waiting:
                one.start()
            for _ in range(4):
                while b"WATCHDOG=1" not in systemd.recv(4096):
                    pass
            assert all(one.is_alive() for one in waiting), (
                "they wait for what comes of it, and nobody else does"
            )
            assert [one["camera"] for one in call(box.state, "status", timeout=5)["cameras"]] == ["one"]
            assert box.agent.stop() == 0
        finally:
            box.agent.process.kill()


NUL = '[[cameras]]\nname = "a"\nurl = "rtsp://u@h/x"\npassword_file = "/tmp/a\\u0000b"\n'


@on_one_agent
def test_no_content_of_the_file_ends_the_agent_and_status_says_why_it_was_refused(shared):
    box = shared
    assert not box.status()["config_error"]
    for what, text in BAD.items():
        head = "" if text.startswith("x =") else box.head
        box.file.write_text(head + text)
        box.hup()
        box.until(lambda: box.status()["config_error"])
        with pytest.raises(VedetteError):
            box.reload()
        status = box.status()
        assert [one["camera"] for one in status["cameras"]] == ["one"], what
        assert status["config_error"], what
        box.write(box.cameras("one"))
        box.reload()
        assert not box.status()["config_error"], "a good reload is the end of it"
    box.write(NUL)
    with contextlib.suppress(VedetteError):  # refused, or a camera that is down
        box.reload()
    assert box.answers()
    box.file.unlink()
    box.hup()
    box.until(lambda: box.status()["config_error"])
    box.file.mkdir()
    with pytest.raises(VedetteError):
        box.reload()
    box.file.rmdir()


@on_one_agent
def test_a_storm_of_reloads_ends_with_the_last_good_config_and_leaves_nothing_behind(shared):
    box, before = shared, len(shared.agent.journal())
    box.settled()
    box.write(box.cameras("one", fps=7))
    box.reload()
    config = box.status()["info"]["config_sha256"]
    box.write("# the same, in other words\n" + box.cameras("one", fps=7))
    box.reload()
    assert box.status()["info"]["config_sha256"] == config
    box.settled()
    threads, files = box.held()
    for turn in range(60):
        good = turn % 3
        box.write(box.cameras("one", *(["two"] if turn % 2 else []), fps=5 + turn) if good else "]]]")
        box.hup()
        time.sleep(0.01)
    box.write(box.cameras("three", fps=9))
    box.hup()
    box.until(lambda: [one["camera"] for one in box.status()["cameras"]] == ["three"])
    box.settled()
    assert not box.status()["config_error"]
    assert box.status()["info"]["config_sha256"] not in {"", config}
    box.until(lambda: box.held()[0] <= threads and box.held()[1] <= files)
    assert "Traceback" not in box.agent.journal()[before:]


@pytest.mark.parametrize("ahead", [0.0, 0.3, 0.6])
def test_a_stop_while_it_reloads_is_a_clean_stop(box, ahead):
    for turn in range(3):
        box.write(box.cameras("one", "two", fps=5 + turn))
        box.hup()
        time.sleep(ahead / 3)
    assert box.agent.stop() == 0
    assert "asked to" in box.agent.journal()
    assert "Traceback" not in box.agent.journal()


def summaries_of(messages, camera):
    return [message.body for message in messages if message.topic.endswith(f"camera/{camera}")]


def hear_windows(ears, count):
    """All that comes until the camera that stays has told `count` windows more."""
    begun = len(ears.messages)
    ears.wait(lambda heard: len(summaries_of(heard[begun:], "one")) >= count, 30)
    return ears.messages[begun:]


def test_a_camera_that_was_removed_is_published_no_more(tmp_path, mosquitto, listen):
    broker = mosquitto()
    ears = listen(broker.port)
    box = Box(tmp_path, broker.url)
    try:
        removed = ("gone", "left", "lost")
        box.write(box.cameras("one") + box.cameras(*removed, fps=70))
        box.reload()
        box.settled()
        box.write(box.cameras("one"))
        box.reload()
        hear_windows(ears, 2)  # the last ones of the others may be on their way
        later = hear_windows(ears, 2)
        assert [body for name in removed for body in summaries_of(later, name)] == []
        assert box.agent.stop() == 0
        last = [body for name in removed for body in summaries_of(ears.messages, name)]
        assert len(last) >= len(removed)
        for body in last:
            assert body["frames_inferred"] <= body["frames_seen"] + 8, "the last window has its own counts"
    finally:
        if box.alive():
            box.agent.process.kill()
            box.agent.process.wait(10)


@pytest.mark.parametrize(
    "error",
    [RuntimeError("x"), RecursionError(), MemoryError(), ValueError("embedded null byte"), SystemExit(3)],
)
def test_whatever_a_reload_raises_is_kept_and_the_next_one_is_done(error):
    outcomes, reported, stop = [error, None], [], threading.Event()

    def reload():
        outcome = outcomes.pop(0)
        if outcome is not None:
            raise outcome
        return ReloadResult(text="nothing changed", waiting=("broker.url",))

    reloader = Reloader(reload, reported.append)
    thread = threading.Thread(target=reloader.run, args=(stop,))
    thread.start()
    with pytest.raises(VedetteError, match=type(error).__name__):
        reloader.request().wait(10)
    assert type(error).__name__ in reloader.outcome.error
    assert reloader.request().wait(10) == "nothing changed"
    assert reloader.outcome == ReloadOutcome(waiting=("broker.url",))
    stop.set()
    thread.join(10)
    assert len(reported) == 2
    assert reported[-1] == reloader.outcome


def test_reloads_asked_for_while_one_goes_on_are_one_more():
    begun, go_on, count, stop = threading.Event(), threading.Event(), [], threading.Event()

    def reload():
        count.append(1)
        begun.set()
        go_on.wait(10)
        return ReloadResult(text="")

    reloader = Reloader(reload, lambda _outcome: None)
    thread = threading.Thread(target=reloader.run, args=(stop,))
    thread.start()
    first = reloader.request()
    assert begun.wait(10)
    later = [reloader.request() for _ in range(100)]
    with pytest.raises(VedetteError, match="takes longer"):
        later[0].wait(0.01)
    go_on.set()
    for asked in (first, *later):
        asked.wait(10)
    assert len(count) == 2
    assert not reloader.stuck()
    stop.set()
    thread.join(10)
