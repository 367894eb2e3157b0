"""The edge box of the story: a real mosquitto, the real agent in a process of its own, and the command line."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from agent.demo.broker import DemoBroker
from tests.maintenance.story.world import FPS, HEIGHT, WIDTH
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parents[3]
CONFIG = """
state_directory = "{state}"
[device]
name = "box-1"
site = "yard"
[broker]
url = "{url}"
[windows]
length = "2s"
[reports]
profile = "full"
[drift]
feature_fps = 4
reference_length = "60s"
false_alarms_per_month = 30
learn_share = 1.0
learn_busy_limit = 1.0
[samples]
enabled = true
per_day = 100000
cameras = ["crossing"]
[deploy]
public_keys = ["{key}"]
shadow = "15s"
shadow_share = 0.5
probation = "{probation}"
compared_frames = 12
most_latency_ratio = 5.0
[[rules]]
name = "drift"
when = "drift.ratio >= 1 for 2s"
keep_firing = "0s"
"""
CAMERA = """
[[cameras]]
name = "{name}"
kind = "synthetic"
layout = "{layout}"
seed = {seed}
fps = {fps}
width = {width}
height = {height}
drift = {drift}
"""


@dataclass
class Heard:
    """What the broker was sent: (seconds since the start, topic without the device's prefix, body)."""

    began: float = field(default_factory=time.time)
    messages: list = field(default_factory=list)

    def of(self, topic, since=0.0):
        return [body for at, name, body in list(self.messages) if name == topic and at >= since]


class Box:
    """Use it as a context; `views` are its cameras' worlds by name. `transcript` has all that was typed and printed."""

    def __init__(self, folder, views):
        self.folder, self.views = folder, views
        self.state, self.config = folder / "state", folder / "vedette.toml"
        self.heard, self.transcript, self.marks = Heard(), [], []
        self.probation = "40s"
        self._agent, self._closing = None, ExitStack()

    def __enter__(self):
        self.broker = self._closing.enter_context(DemoBroker())
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        self._client.on_message = self._note
        self._client.on_connect = lambda client, *_: client.subscribe("vedette/#", qos=1)
        self._client.connect("127.0.0.1", self.broker.port)
        self._client.loop_start()
        self._closing.callback(self._client.loop_stop)
        self._log = self._closing.enter_context((self.folder / "agent.log").open("ab"))
        return self

    def __exit__(self, *_):
        self.stop()
        self._closing.close()

    def _note(self, _client, _user, message):
        body = json.loads(message.payload or b"{}")
        topic = message.topic.removeprefix("vedette/yard/box-1/")
        self.heard.messages.append((time.time() - self.heard.began, topic, body))

    @property
    def now(self):
        """Seconds since the story began."""
        return time.time() - self.heard.began

    def mark(self, text, at=None):
        """An event of the story, `at` seconds after its begin (None: now)."""
        at = self.now if at is None else at
        self.marks.append((at, text))
        self.transcript.append(f"\n# {at:.0f} s: {text}")
        print(f"{at:6.0f} s  {text}", flush=True)

    # -- the world and the agent --------------------------------------------------------------------------

    def write_config(self, **strengths):
        """The config of a world in which these disturbances are, by camera."""
        text = CONFIG.format(
            state=self.state, url=self.broker.url, key=self.folder / "release.pub", probation=self.probation
        )
        for name, view in self.views.items():
            drift = [f"{what}@0:{strength}" for what, strength in strengths.get(name, {}).items()]
            text += CAMERA.format(
                name=name,
                layout=view.layout,
                seed=view.seed,
                fps=FPS,
                width=WIDTH,
                height=HEIGHT,
                drift=json.dumps(drift),
            )
        self.config.write_text(text)
        self._strengths = {name: strengths.get(name, {}) for name in self.views}

    def change_world(self, **strengths):
        """From now on other disturbances; the cameras that change start anew."""
        before = self._strengths
        self.write_config(**strengths)
        changed = [name for name in self.views if before[name] != self._strengths[name]]
        for name in changed:
            self.views[name].begin(time.time(), self._strengths[name])
        self.vedette("reload")

    def start(self):
        for name, view in self.views.items():
            view.begin(time.time(), self._strengths[name])
        words = [sys.executable, "-m", "agent", "run", "--config", str(self.config)]
        self._agent = subprocess.Popen(words, cwd=ROOT, stdout=self._log, stderr=self._log)
        self.until(lambda: self.ask("model", "history", "--json") is not None, 120, "the agent answers")

    def kill(self):
        """kill -9."""
        self._agent.send_signal(signal.SIGKILL)
        self._agent.wait()

    def stop(self):
        if self._agent is not None and self._agent.poll() is None:
            self._agent.terminate()
            self._agent.wait(60)

    # -- the command line -------------------------------------------------------------------------------

    def vedette(self, *words, expect=0, quiet=False):
        """What a command printed; its exit code is as expected."""
        state = (
            []
            if words[0] == "model" and words[1] in ("train", "sign", "keygen", "evaluate")
            else ["--config", self.config]
        )
        line = [sys.executable, "-m", "agent", *map(str, words), *map(str, state)]
        done = subprocess.run(
            line, cwd=ROOT, capture_output=True, text=True, env={**os.environ, "COLUMNS": "110"}, check=False
        )
        shown = re.sub(rf"{re.escape(str(self.folder))}/", "", done.stdout + done.stderr)
        typed = " ".join(map(str, words)).replace(f"{self.folder}/", "")
        if not quiet:
            self.transcript.append(f"$ vedette {typed}\n{shown.rstrip()}")
        assert done.returncode == expect, f"vedette {typed}: {done.returncode}\n{shown}"
        return shown

    def ask(self, *words):
        """A command's JSON, None where it failed."""
        done = subprocess.run(
            [sys.executable, "-m", "agent", *words, "--config", str(self.config)], cwd=ROOT, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        return json.loads(done.stdout) if done.returncode == 0 else None

    def until(self, there, seconds, what, every=0.5):
        """What `there` gives, once that is true."""
        return wait_until(
            there,
            seconds,
            lambda: f"not within {seconds} s, or the agent ended ({self.folder}/agent.log): {what}",
            alive=lambda: self._agent.poll() is None,
            every=every,
        )

    def alert(self, rule, camera, state="firing", since=0.0, seconds=300):
        """The first such alert, and when it came."""

        def found():
            return [
                (one, at) for at, topic, one in list(self.heard.messages)
                if topic.startswith("alert") and at >= since and one.get("rule") == rule and one.get("state") == state
                and one.get("label_camera", "") == camera
            ]  # fmt: skip

        return self.until(found, seconds, f"alert {rule} of {camera or 'the box'} is {state}")[0]

    def step(self, *states, since, seconds=240):
        """Waits until the agent has published one of these states of a deployment."""

        def there():
            return [one for one in self.heard.of("info", since) if one.get("deployment_state") in states]

        self.until(there, seconds, f"a deployment is {' or '.join(states)}", every=0.05)

    def deployment(self, *states, seconds=240):
        """The newest deployment once it is in one of `states`."""

        def found():
            report = self.ask("model", "history", "--json") or {}
            newest = report.get("deployment") or (report.get("history") or [None])[0]
            return newest if newest and newest["state"] in states else None

        return self.until(found, seconds, f"a deployment is {' or '.join(states)}")
