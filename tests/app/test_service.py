"""The service's own wiring, in this process: what telemetry measures reaches the model, and the world hears of it."""

import json
import shutil
import time
from pathlib import Path

import pytest
import structlog

from agent.app.camera_set import CameraSet
from agent.app.service import NEVER_REMOTE, Service
from agent.cameras.kinds.synthetic.camera import SyntheticOptions
from agent.config.alert_settings import RuleSettings
from agent.config.delivery_settings import BrokerSettings, CommandSettings
from agent.config.schema import CameraSettings, ReportSettings, Settings, TelemetrySettings, WindowSettings
from agent.core.types import CameraState, CameraStatus
from agent.delivery.messages import rfc3339
from agent.pipeline import analyst as analysis
from agent.telemetry.probes.tegra import TegraProbe
from agent.telemetry.sampler import Sampler
from tests.payloads import check_payload
from tests.waiting import wait_until

ORIN = Path(__file__).parents[1] / "telemetry" / "trees" / "orin"


@pytest.fixture(autouse=True)
def own_log():
    yield
    structlog.reset_defaults()


def test_a_hot_board_slows_the_model_down_and_status_and_summary_say_so(tmp_path, mosquitto, listen):
    broker = mosquitto()
    ears = listen(broker.port)
    slots = Path(shutil.copytree(ORIN, tmp_path / "orin"))
    for zone in slots.glob("sys/class/thermal/thermal_zone*/temp"):
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
    service.device.sampler = Sampler(
        settings.telemetry, tmp_path / "state", probes={"tegra": TegraProbe(slots)}
    )
    service.start()
    try:
        wait_until(lambda: not service.governor.pace.full, 20)
        assert "slowed to" in service.device.line()
        assert "limit 95" in service.device.line()
        host = ears.wait(
            lambda heard: next(
                (m.body for m in heard if m.topic.endswith("/host") and m.body["model_busy_limit_ratio"] < 1),
                None,
            ),
            20,
        )
        assert "at 98 °C, limit 95" in host["model_slowed_reason"]
        assert 0 <= host["model_busy_ratio"] <= 1
        check_payload("host", host)
    finally:
        service.stop()


def test_the_first_summary_is_published_early_and_no_rule_fires_by_it(
    tmp_path, mosquitto, listen, monkeypatch
):
    monkeypatch.setattr(analysis, "OPENING_SECONDS", 3.0)
    monkeypatch.setattr(analysis, "LEAST_WINDOW", 2.0)
    broker = mosquitto()
    ears = listen(broker.port)
    service = Service(
        Settings(
            state_directory=str(tmp_path / "state"),
            broker=BrokerSettings(url=broker.url),
            windows=WindowSettings(length=5.0),
            reports=ReportSettings(profile="full"),
            rules=(RuleSettings(name="few", when="camera.frames_inferred < 100000", severity="info"),),
            cameras=(CameraSettings(name="drawn", kind="synthetic", options=SyntheticOptions(fps=20.0)),),
        )
    )
    service.open()
    service.start()
    try:
        alert = ears.wait(
            lambda heard: next(
                (m.body for m in heard if "/alert/" in m.topic and m.payload and m.body["rule"] == "few"),
                None,
            ),
            40,
        )
        ears.wait(lambda heard: len([m for m in heard if "/camera/" in m.topic]) >= 2)
        first, second, *_ = ears.bodies("/camera/drawn")
        assert first["frames_inferred"] > 0, "the first one is published and counts"
        assert first["feature_samples"] > 0
        assert first["end"] == second["start"]
        assert alert["value"] == second["frames_inferred"], "and the second is the first that is judged"
        check_payload("camera", first)
        sketch, *_ = ears.wait(lambda _: ears.bodies("/sketch/"))
        assert sketch["start"] == second["start"], "nor is there a sketch of the first one"
    finally:
        service.stop()


def test_the_status_of_64_cameras_fits_into_an_answer_and_every_command_refuses_a_slip(
    tmp_path, mosquitto, listen, monkeypatch
):
    broker = mosquitto()
    ears = listen(broker.port, "vedette/#")
    cameras = [
        CameraStatus(camera=f"yard-camera-{n:02}", state=CameraState.DOWN, since=1.0, reason="x" * 300)
        for n in range(64)
    ]
    monkeypatch.setattr(CameraSet, "statuses", cameras)
    service = Service(
        Settings(
            state_directory=str(tmp_path / "state"),
            broker=BrokerSettings(url=broker.url),
            commands=CommandSettings(enabled=True, allow=("*",), rate_per_minute=60),
            cameras=(CameraSettings(name="drawn", kind="synthetic", options=SyntheticOptions(fps=5.0)),),
        )
    )
    service.open()
    service.start()
    try:
        online = ears.wait(lambda heard: next((m for m in heard if m.topic.endswith("/status")), None), 20)
        prefix = online.topic.removesuffix("/status")
        names = sorted(service.handlers.keys() - NEVER_REMOTE)
        assert len(names) > 10

        def answer(number, name, **args):
            body = {"id": f"c{number}", "time": rfc3339(time.time()), **args}
            ears._client.publish(f"{prefix}/command/{name}", json.dumps(body), qos=1)
            return ears.wait(
                lambda heard: next((m.body for m in heard if m.topic == f"{prefix}/reply/c{number}"), None),
                20,
            )

        assert len(answer(0, "status")["cameras"]) == 64
        for number, name in enumerate(
            names, 1
        ):  # a slip is refused by every one of them, and changes nothing
            assert "no argument 'camra'" in answer(number, name, camra=1)["error"], name
    finally:
        service.stop()
