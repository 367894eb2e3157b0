"""Runs the demo: the real agent on drawn cameras, watched through a real broker, with an incident."""

from __future__ import annotations

import io
import os
import re
import shlex
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console, RenderableType
from rich.live import Live
from rich.table import Table

from agent.app.kinds import KINDS
from agent.app.service import Service
from agent.config.delivery_settings import BrokerSettings
from agent.config.load import parse
from agent.config.schema import Settings
from agent.core import terminal
from agent.core.clock import monotonic, wall
from agent.core.counts import count
from agent.core.errors import ConfigError
from agent.core.secret import Masked
from agent.dashboard.fleet import Fleet
from agent.dashboard.subscriber import Subscriber
from agent.dashboard.view import ScreenSize, clock, draw, event_line, number
from agent.demo import incident
from agent.demo.broker import DemoBroker

CONFIG = """
state_directory = "{state}"
[device]
name = "demo"
site = "home"
[broker]
url = "{url}"
[commands]  # for the page in the browser; the broker is for this machine alone
enabled = true
allow = ["acknowledge", "snooze", "mute", "undo", "controls", "drift_feature", "snapshot"]
[windows]
length = "2s"
[drift]
feature_fps = 5
reference_length = "60s"
false_alarms_per_month = 30  # windows are a thirtieth of the usual minute: the usual rate, a window
learn_share = 1.0  # causes must be known within a minute; by default a quarter of an hour does
[[cameras]]
name = "crossing"
kind = "synthetic"
layout = "street"
seed = 1
[[cameras]]
name = "avenue"
kind = "synthetic"
layout = "street"
seed = 2
[[cameras]]
name = "dock"
kind = "synthetic"
layout = "warehouse"
seed = 3
keep_frames = false  # it freezes, which needs no frames to compare with
[[cameras]]
name = "aisle"
kind = "synthetic"
layout = "warehouse"
seed = 4
[[rules]]
name = "camera_frozen"
when = "camera.frozen for 2s"
[[rules]]
name = "drift"
when = "drift.ratio >= 1 for 2s"
keep_firing = "0s"
"""


SVG_SIZE = ScreenSize(width=100, height=30)
OPENING = "Four drawn cameras, a broker, the real agent. A minute to learn; then trouble."
NEXT = """
Next, with your own camera or video:
  vedette run --source VIDEO --model ONNX a file or camera, and a YOLO model
  vedette config example > vedette.toml   a commented config to edit
  vedette check vedette.toml              open everything that it names
  vedette run --config vedette.toml       the agent, as the service runs it
  vedette watch --config vedette.toml     all devices of its broker, live
"""


def next_steps() -> str:
    """Where to go next; how to call `vedette` comes first where the shell would not find it."""
    activate = Path(sys.prefix) / "bin" / "activate"
    if shutil.which("vedette") or not activate.is_file():
        return NEXT
    below = activate.is_relative_to(Path.cwd())
    shown = shlex.quote(str(activate.relative_to(Path.cwd()) if below else activate))
    first, rest = NEXT.split(":\n", 1)
    return f"{first}:\n  {f'. {shown}':<40}so that your shell finds vedette\n{rest}"


def settings(url: str, state: Path) -> Settings:
    """The demo's configuration."""
    return parse(CONFIG.format(url=url, state=state), KINDS, file="the demo's config")


class Demo:
    """The demo from broker to screen; `run` until `seconds` have passed (None: until interrupted)."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._fleet = Fleet()
        self._closing = ExitStack()

    def __enter__(self) -> Demo:
        with self._closing as closing:  # closes what was opened, where a later part fails
            folder = closing.enter_context(tempfile.TemporaryDirectory(prefix="vedette-demo-"))
            self.broker = closing.enter_context(DemoBroker())
            self._subscriber = closing.enter_context(Subscriber(BrokerSettings(url=Masked(self.broker.url))))
            self.service = Service(settings(self.broker.url, Path(folder)))
            self.service.open()
            closing.callback(self.service.stop)
            self.service.start()
            self.dashboard_url = closing.enter_context(served_dashboard(self.broker.url))
            self._closing = closing.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    def run(self, seconds: float | None, over: Callable[[], bool] = lambda: False) -> None:
        """Run it on the terminal, live, or as lines where there is none."""
        if not self._console.is_terminal:
            self._run(seconds, over, lambda _: None)
            return
        with Live(console=self._console, refresh_per_second=4, screen=True, redirect_stdout=False) as live:
            self._run(seconds, over, lambda now: live.update(self.screen(now, self._room())))

    def _room(self) -> ScreenSize:
        return ScreenSize(width=self._console.size.width, height=self._console.size.height)

    def screen(self, now: float, room: ScreenSize) -> RenderableType:
        """The screen `now` seconds into the demo."""
        title = f"vedette demo  {now:.0f} s  {self.dashboard_url}  {incident.current(now)}"
        return draw(self._fleet, wall(), room, title=title)

    def _run(self, seconds: float | None, over: Callable[[], bool], show: Callable[[float], None]) -> None:
        started = monotonic()
        before, shown = 0.0, 0
        while (seconds is None or before < seconds) and not over():
            now = monotonic() - started
            for event in incident.due(before, now):
                if not self._console.is_terminal:
                    self._console.print(f"{clock(wall())} {event.text}")
                self.service.camera_set.camera(event.camera).set_disturbance(
                    event.disturbance, event.strength
                )
            self._subscriber.feed(self._fleet, wall())
            if not self._console.is_terminal and len(self._fleet.events) > shown:
                for alert in list(self._fleet.events)[shown:]:
                    self._console.print(event_line(alert))
                shown = len(self._fleet.events)
            show(now)
            before = now
            time.sleep(0.2)

    def summary(self) -> RenderableType:
        """What happened, as a table for the end."""
        self._subscriber.feed(self._fleet, wall())
        table = Table(title="what the broker received", title_justify="left", box=None, pad_edge=False)
        for column in ("camera", "state", "frames/s", "p99 ms", "boxes a frame", "most drift", "cause"):
            left = column in ("camera", "state", "cause")
            table.add_column(column, justify="left" if left else "right")
        for device in self._fleet.devices.values():
            for name, camera in sorted(device.cameras.items()):
                reading = camera.reading
                table.add_row(
                    name, reading.state, number(reading.fps, 1), number(reading.latency_p99, factor=1000),
                    number(reading.boxes, 1), f"{max(camera.drift, default=0):.2f}", reading.drift_cause,
                )  # fmt: skip
        states = Counter(event.alert.state for event in self._fleet.events)
        messages = sum(device.messages for device in self._fleet.devices.values())
        alerts = f"{count(states['firing'], 'alert')} fired, {states['resolved']} resolved"
        table.caption = f"{count(messages, 'message')}; {alerts}"
        table.caption_justify = "left"
        return table


def main(seconds: float | None, svg: str | None = None) -> int:
    """Run the demo; the last screen goes into the file `svg`, if one is given."""
    from agent.logging import setup as logging

    console = terminal.console()
    # the log would break up the live screen, and repeat what it shows
    with Path(os.devnull).open("w") as journal:
        logging.set_up("info", "plain", journal)
        if not console.is_terminal:
            console.print(OPENING)
        with Demo(console) as demo:
            if not console.is_terminal and demo.dashboard_url:
                console.print(f"In the browser: {demo.dashboard_url}")
            try:
                demo.run(seconds)
            except KeyboardInterrupt:
                pass
            finally:
                if svg:
                    save_svg(demo.screen(seconds or 0.0, SVG_SIZE), svg)
                console.print(demo.summary())
    console.print(next_steps())
    return 0


@contextmanager
def served_dashboard(broker: str) -> Iterator[str]:
    """The dashboard in the browser, beside the demo: its address; "" where its extra is not installed."""
    try:
        from agent.dashboard.web.server import DEFAULT_LISTEN, Dashboard, Options
    except ModuleNotFoundError:
        yield ""
        return
    with ExitStack() as closing:
        settings = BrokerSettings(url=Masked(broker))
        try:
            dashboard = closing.enter_context(Dashboard(settings, Options(listen=DEFAULT_LISTEN)))
        except ConfigError:  # something else listens there
            dashboard = closing.enter_context(Dashboard(settings, Options(listen="127.0.0.1:0")))
        server = threading.Thread(target=dashboard.serve, name="dashboard")
        server.start()
        closing.callback(server.join)
        closing.callback(dashboard.stop)
        yield dashboard.url


def save_svg(screen: RenderableType, path: str) -> None:
    """Save the screen as an SVG file, for a README."""
    # a recording console also writes: into a buffer that nobody reads
    recorder = terminal.console(record=True, width=SVG_SIZE.width, file=io.StringIO(), force_terminal=True)
    recorder.print(screen)
    # the template's web fonts would be fetched from elsewhere by whoever opens the file
    template = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    recorder.save_svg(path, title="vedette demo", code_format=template)
