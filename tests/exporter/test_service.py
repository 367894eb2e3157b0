"""Everything that a running agent observes is exported, or left out on purpose."""

import structlog

from agent.app.service import Service
from agent.cameras.kinds.synthetic.camera import SyntheticOptions
from agent.config.delivery_settings import BrokerSettings
from agent.config.schema import CameraSettings, DriftSettings, Settings, WindowSettings
from agent.exporter.catalogue import find
from tests.exporter.conftest import LEFT_OUT
from tests.waiting import wait_until


class Noting:
    """An exporter that notes what it is told."""

    def __init__(self):
        self.metrics, self.frames = set(), 0

    def frame(self, _result):
        self.frames += 1

    def observe(self, observations):
        self.metrics |= {one.metric for one in observations}

    def remove(self, camera):
        pass


def test_nothing_that_is_observed_is_forgotten(tmp_path):
    settings = Settings(
        state_directory=str(tmp_path),
        broker=BrokerSettings(url="mqtt://127.0.0.1:1"),
        windows=WindowSettings(length=1.0),
        drift=DriftSettings(feature_fps=10.0, reference_length=60.0),
        cameras=(CameraSettings(name="drawn", kind="synthetic", options=SyntheticOptions(fps=20.0)),),
    )
    service = Service(settings)
    service.open()
    service.reporter.exporter = noting = Noting()
    service.start()
    try:
        wait_until(lambda: "camera.feature_sharpness_mean" in noting.metrics, 20)
    finally:
        service.stop()
        structlog.reset_defaults()
    assert noting.frames > 5
    assert "host.broker_connected" in noting.metrics
    assert any(name.startswith("camera.detections_") for name in noting.metrics)
    left = [name for name in sorted(noting.metrics) if find(name) is None and not LEFT_OUT.fullmatch(name)]
    assert not left, f"give them a line in agent/core/metrics and docs/metrics.md: {left}"
