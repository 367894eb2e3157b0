"""An operator's session: the real agent, a real broker, a webhook's receiver; the commands as they are typed."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import stat
import subprocess
import sys
import tempfile
from datetime import datetime, timezone
from pathlib import Path

import cv2
import numpy as np
import paho.mqtt.publish as mqtt
import pytest

from agent.__main__ import main
from tests.waiting import wait_until

pytestmark = [pytest.mark.broker, pytest.mark.xdist_group("agent"), pytest.mark.timeout(400)]
ROOT = Path(__file__).parents[2]

CONFIG = """
state_directory = "state"
[device]
name = "box-7"
site = "shop"
[broker]
url = "{broker}"
[commands]
enabled = true
allow = ["mute", "undo"]
[windows]
length = "1s"
[alerts]
default_rules = false
[[cameras]]
name = "front"
kind = "synthetic"
[[cameras]]
name = "yard"
kind = "synthetic"
enabled = false
[[rules]]
name = "dark"
when = "camera.feature_brightness_mean < 250 for 2s"
advice = "Switch on the light."
[[notifiers]]
name = "chat"
url = "{webhook}/services/T0/B0/XX"
group_interval = "0s"
[[notifiers]]
name = "mail"
kind = "apprise"
urls = ["mailto://127.0.0.1:{mail}?from=edge@example.org&to=night@example.org&mode=insecure"]
group_interval = "0s"
picture = true
"""


@pytest.fixture
def folder():
    """A short path: that of the control socket must fit into 108 bytes."""
    made = Path(tempfile.mkdtemp(prefix="vd"))
    yield made
    shutil.rmtree(made)


class Box:
    """The agent in a process of its own, and the commands about it."""

    def __init__(self, folder, config):
        self.file = folder / "v.toml"
        self.file.write_text(config)
        self.state, self.journal = folder / "state", folder / "journal"
        self.process = None

    def start(self):
        with self.journal.open("a") as journal:
            words = [sys.executable, "-m", "agent", "run", "--config", str(self.file)]
            self.process = subprocess.Popen(words, cwd=ROOT, stdout=journal, stderr=journal)

    def kill(self):
        self.process.kill()
        self.process.wait(10)

    def has_sent_all_notices(self):
        """Whether the file of notices shows none that waits."""
        path = self.state / "notices.json"
        stored = json.loads(path.read_text()).values() if path.exists() else ()
        return bool(stored) and all(not one["queue"] and not one["route"]["batch"] for one in stored)

    def run(self, *words):
        """`vedette alerts ...`: exit code and output."""
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            code = main(["alerts", "--config", str(self.file), "--who", "ada", *words])
        return code, out.getvalue()

    def until(self, found, *words, seconds=90.0):
        """The output of `vedette alerts ...` once `found` is in it."""
        texts = []

        def there():
            texts[:] = [self.run(*words)[1]]
            return found in texts[0]

        wait_until(there, seconds, lambda: f"{texts[0]}\n{self.journal.read_text()}", every=0.2)
        return texts[0]


@pytest.fixture
def box(folder, mosquitto, receiver, mailbox):
    pytest.importorskip("apprise")
    broker = mosquitto()
    made = Box(folder, CONFIG.format(broker=broker.url, webhook=receiver.url, mail=mailbox.port))
    made.broker = broker
    made.start()
    yield made
    if made.process.poll() is None:
        made.kill()


def events_of(listener):
    """The alert events received, as (rule, event); one that came twice counts once (docs/wire.md)."""
    bodies = {(body["id"], body["event"], body["changed_at"]): body for body in listener.bodies("/alert/")}
    return [(body["rule"], body["event"]) for body in bodies.values()]


def test_controls_survive_a_killed_agent(box, listen, receiver, mailbox):
    ears = listen(box.broker.port)
    shown = box.until("WARNING  camera front", "--all")
    assert "to do      Switch on the light." in shown
    (ident,) = {body["id"] for body in ears.wait(lambda _: ears.bodies("/alert/"))}
    assert stat.S_IMODE((box.state / "control.sock").stat().st_mode) == 0o660

    assert box.run("ack", "dark", "--why", "on my way")[0] == 0
    assert box.run("snooze", "dark", "--for", "2h")[0] == 0
    assert box.run("limit", "dark", "255", "--camera", "front", "--why", "a trial")[0] == 0
    mute = {
        "id": "m-1",
        "time": datetime.now(timezone.utc).isoformat(),
        "camera": "yard",
        "who": "bob",
        "why": "works",
    }
    mqtt.single("vedette/shop/box-7/command/mute", json.dumps(mute), 1, port=box.broker.port)
    ears.wait(lambda _: [body for body in ears.bodies("/reply/m-1") if body["ok"]])
    refused = {**mute, "id": "m-2"}
    mqtt.single("vedette/shop/box-7/command/acknowledge", json.dumps(refused), 1, port=box.broker.port)
    (answer,) = ears.wait(lambda _: ears.bodies("/reply/m-2"))
    assert "not allowed" in answer["error"]
    before = box.run("controls")[1]
    assert [line.split()[1] for line in before.splitlines()] == ["acknowledge", "snooze", "limit", "mute"]
    assert "by ada" in before
    assert "by bob" in before

    wait_until(lambda: mailbox.messages and receiver.received and box.has_sent_all_notices(), 60)
    box.kill()
    box.start()
    assert box.until("mute", "controls") == before
    box.until(ident)
    windows = len(ears.bodies("/camera/front"))
    # A window is 1 s, and the rule holds for 2 s: after four windows it would have fired again.
    ears.wait(lambda _: len(ears.bodies("/camera/front")) > windows + 3, 60)
    assert events_of(ears) == [("dark", "fired"), ("dark", "acknowledged"), ("dark", "snoozed")], "none again"

    assert "undone: c3" in box.run("undo", "c3")[1]
    assert "undone: c2" in box.run("unmute", "c2")[1]
    assert box.run("limit", "dark", "1")[0] == 0
    ears.wait(lambda _: ("dark", "resolved") in events_of(ears), 60)
    box.until("nothing fires")
    events = [
        line.split("UTC  ")[1].split(":")[0] for line in box.run("history", "--since", "1h")[1].splitlines()
    ]
    assert events == [
        "WARNING", "acknowledged by ada, on my way", "snoozed by ada", "snooze undone by ada", "resolved",
    ]  # fmt: skip
    wait_until(lambda: len(receiver.received) >= 2, 60)
    assert [body["text"].split(":")[0] for body in receiver.bodies()] == ["*WARNING", "*resolved"]
    mail = mailbox.messages[0]
    assert mail["Subject"].startswith("WARNING: box-7: camera front: ")
    (picture,) = (part for part in mail.walk() if part.get_content_type() == "image/jpeg")
    image = cv2.imdecode(np.frombuffer(picture.get_payload(decode=True), np.uint8), cv2.IMREAD_COLOR)
    assert image.shape == (360, 640, 3)
    lines = [line for line in box.journal.read_text().splitlines() if f"[{ident}]" in line]
    assert len(lines) == len(events), "one line in the journal for each transition"


def test_what_cannot_be_done_is_reported(box):
    box.until("WARNING  camera front")
    assert box.run("ack", "nothing") == (
        1,
        "vedette: " + box.run("ack", "nothing")[1].removeprefix("vedette: "),
    )
    assert "there is no alert 'nothing'; there is dark-front" in box.run("ack", "nothing")[1]
    assert "there is no rule 'dork'" in box.run("limit", "dork", "5")[1]
    assert "say until when to snooze" in box.run("snooze", "dark")[1]
    assert box.run("controls") == (0, "nothing is in force\n")


def test_a_bad_rule_on_reload_changes_nothing_and_is_reported_with_its_place(box, capsys):
    box.until("WARNING  camera front")
    good = box.file.read_text()
    box.file.write_text(good.replace("camera.feature_brightness_mean", "camera.feature_brigthness_mean"))
    assert main(["reload", "--state", str(box.state)]) == 1
    said = capsys.readouterr().err
    assert f"{box.file}:24: rules[dark].when: unknown metric 'camera.feature_brigthness_mean'" in said
    assert "did you mean 'camera.feature_brightness_mean'?" in said
    assert main(["check", str(box.file), "--offline"]) == 78
    assert said.partition(": ")[2] == capsys.readouterr().err.partition(": ")[2]
    assert "WARNING  camera front" in box.run()[1]
    box.file.write_text(good.replace("< 250 for 2s", "< 1"))
    assert main(["reload", "--state", str(box.state)]) == 0
    box.until("nothing fires")
