"""The service's own wiring, in this process: what telemetry measures reaches the model, and the world hears of it."""

import shutil
import time
from pathlib import Path

import pytest
import structlog

from agent.cameras.synthetic import SyntheticOptions
from agent.config.schema import (
    BrokerSettings,
    CameraSettings,
    Settings,
    TelemetrySettings,
    WindowSettings,
)
from agent.delivery.contract import schema
from agent.service import Service
from agent.telemetry.sampler import Sampler
from agent.telemetry.tegra import TegraProbe

jsonschema = pytest.importorskip("jsonschema")
ORIN = Path(__file__).parent / "telemetry" / "trees" / "orin"


@pytest.fixture(autouse=True)
def own_log():
    yield
    structlog.reset_defaults()


def test_a_hot_board_slows_the_model_down_and_status_and_summary_say_so(tmp_path, mosquitto, listen):
    broker = mosquitto()
    ears = listen(broker.port)
    board = Path(shutil.copytree(ORIN, tmp_path / "orin"))
    for zone in board.glob("sys/class/thermal/thermal_zone*/temp"):
        if int(zone.read_text()) > 0:
            zone.write_text("98500\n")
    settings = Settings(
        state_directory=str(tmp_path / "state"),
        broker=BrokerSettings(url=broker.url),
        windows=WindowSettings(length=1.0),
        telemetry=TelemetrySettings(interval=0.2),
        cameras=(CameraSettings(name="drawn", kind="synthetic", options=SyntheticOptions(fps=20.0)),),
    )
    service = Service(settings)
    service.open()
    service.sampler = Sampler(settings.telemetry, tmp_path / "state", probes={"tegra": TegraProbe(board)})
    service.start()
    try:
        deadline = time.monotonic() + 20
        while service.governor.pace.full:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert "slowed to" in service.line()
        assert "limit 95" in service.line()
        host = ears.wait(
            lambda heard: next(
                (m.body for m in heard if m.topic.endswith("/host") and m.body["model_busy_limit_ratio"] < 1),
                None,
            ),
            20,
        )
        assert "at 98 °C, limit 95" in host["model_slowed_reason"]
        assert 0 <= host["model_busy_ratio"] <= 1
        jsonschema.validate(host, schema("host"))
    finally:
        service.stop()
