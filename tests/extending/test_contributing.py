"""The examples of CONTRIBUTING.md: one file and one line each, seen to work through the public commands."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.conftest import MOSQUITTO, Listener, Mosquitto, Receiver
from tests.extending.conftest import ROOT, examples

pytestmark = pytest.mark.xdist_group("extending")  # one package, one run of it

CONFIG = """
state_directory = "{folder}/state"
[device]
name = "box"
[broker]
url = "{broker}"
[windows]
length = "1s"
[alerts]
default_rules = false
[[cameras]]
name = "wall"
kind = "bars"
grey = 200
[[cameras]]
name = "gate"
kind = "synthetic"
pace = "real"
fps = 10
[[rules]]
name = "bright"
when = "camera.feature_brightness_mean > 90 for 1s"
[[rules]]
name = "rising"
when = "rise(camera.frames_inferred) >= 0 for 1s"
[[rules]]
name = "files"
when = "host.open_files_ratio > 0 for 1s"
[[notifiers]]
name = "chat"
kind = "discord"
url = "{receiver}"
rules = ["bright"]
group_interval = "0s"
"""


class Service:
    """The extended agent at work, what it publishes and whom it notifies."""

    def __init__(self, extended, folder):
        self.broker = Mosquitto(folder).start()
        self.ears, self.receiver = Listener(self.broker.port), Receiver()
        config = CONFIG.format(folder=folder, broker=self.broker.url, receiver=self.receiver.url)
        (folder / "v.toml").write_text(config)
        self.folder, self.journal = folder, folder / "journal"
        with self.journal.open("w") as journal:
            words = ("agent", "run", "--config", folder / "v.toml")
            self.process = extended.start(*words, stdout=journal, stderr=subprocess.STDOUT)

    def alert(self, rule):
        """The alert of `rule`, once it is published."""
        return self.ears.wait(lambda _: self.ears.bodies(f"/alert/{rule}"), 30)[0]

    def summary(self, topic, field):
        """The first value of `field` that is published in the summaries at `topic`."""
        found = self.ears.wait(
            lambda _: [body[field] for body in self.ears.bodies(topic) if field in body], 30
        )
        return found[0]

    def stop(self):
        self.process.terminate()
        self.process.wait(20)
        self.ears.close()
        self.receiver.close()
        self.broker.stop()


@pytest.fixture(scope="module")
def service(extended):
    if MOSQUITTO is None:
        pytest.skip("needs mosquitto (Debian package mosquitto)")
    folder = Path(tempfile.mkdtemp(prefix="vd"))  # short: the control socket's path must fit into 108 bytes
    running = Service(extended, folder)
    yield running
    running.stop()
    shutil.rmtree(folder)


def test_a_camera_kind(service, extended):
    assert service.summary("/camera/wall", "feature_brightness_mean") == pytest.approx(100, rel=0.1)
    assert 'kind = "bars"' in extended.run("config", "example")


def test_a_feature(service):
    assert service.summary("/camera/wall", "feature_blueness_mean") == pytest.approx(1 / 3, abs=1e-3)


def test_a_probe(service):
    assert 0 < service.summary("/host", "open_files_ratio") < 1


def test_a_statistic(service, extended):
    state = ("--state", service.folder / "state")
    extended.run("reference", "record", *state, "--camera", "gate", "--for", "11s")
    service.ears.wait(
        lambda _: [
            b for b in service.ears.bodies("/camera/gate") if b.get("drift_state") in {"normal", "drift"}
        ],
        60,
    )
    assert "Hellinger" in extended.run("drift", "explain", *state)


def test_a_notifier(service):
    service.receiver.wait()
    assert "brightness" in service.receiver.bodies()[0]["content"]


def test_a_rule_function(service, extended):
    assert "rise of frames analysed" in service.alert("rising")["what"]
    assert "above the lowest value since the start" in extended.run("rules", "--help")


def test_a_metric(service, extended):
    assert "open files of those allowed" in service.alert("files")["what"]
    assert "host.open_files_ratio" in extended.run("rules", "list", "--metrics")


def test_a_command(extended):
    assert "list the kinds of cameras or notifiers" in extended.run("--help")
    assert "bars" in extended.run("kinds", "cameras")
    assert "discord" in extended.run("kinds", "notifiers")


def test_every_example_is_tried_here():
    tried = {name.removeprefix("test_").replace("_", " ") for name in globals() if name.startswith("test_a_")}
    assert {example.title.lower() for example in examples()} == tried


def test_the_contracts_cover_a_new_entry(extended):
    """Camera, feature, probe, notifier: the contract tests take every entry up from the registries."""
    names = ("bars", "open_files", "discord", "blueness", "hellinger")
    words = ["pytest", "-vv", "-p", "no:cacheprovider", "-p", "no:xdist", "-c", ROOT / "pyproject.toml"]
    process = extended.start(
        *words, "--rootdir", ROOT, ROOT / "tests/contracts", "-k", " or ".join(names),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    output, _ = process.communicate(timeout=100)
    assert process.returncode == 0, output
    for name in names:
        assert f"[{name}] PASSED" in output
