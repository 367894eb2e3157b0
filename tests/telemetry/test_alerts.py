"""What happens to a GPU reaches the broker as an alert: the real agent, the real pynvml, a compiled NVML."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.telemetry.fake_nvml.library import build

ROOT = Path(__file__).parents[2]

CONFIG = """
state_directory = "{folder}/state"
[broker]
url = "{broker}"
[windows]
length = "1s"
[[cameras]]
name = "drawn"
kind = "synthetic"
[[rules]]
name = "gpu_lost"
when = "gpu.lost for 1s"
severity = "critical"
[[rules]]
name = "gpu_throttled"
when = "gpu.throttled for 1s"
"""


@pytest.fixture
def agent(tmp_path, mosquitto, listen):
    build(tmp_path)
    broker = mosquitto()
    ears = listen(broker.port, "vedette/#")
    (tmp_path / "v.toml").write_text(CONFIG.format(folder=tmp_path, broker=broker.url))
    environment = {**os.environ, "LD_LIBRARY_PATH": str(tmp_path), "FAKE_NVML": "throttle,lost1"}
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "agent", "run", "--config", tmp_path / "v.toml"],
            cwd=ROOT, stdout=log, stderr=log, env=environment,
        )  # fmt: skip
    yield ears
    process.terminate()
    process.wait(20)


def test_a_lost_and_a_throttled_gpu_are_told(agent):
    heard = {}

    def both(messages):
        heard.update({m.body["rule"]: m.body for m in messages if "/alert/" in m.topic and m.payload})
        return {"gpu_lost", "gpu_throttled"} <= set(heard)

    agent.wait(both, 40)
    lost, throttled = heard["gpu_lost"], heard["gpu_throttled"]
    assert (lost["label_gpu"], lost["severity"]) == ("1", "critical")
    assert "fell off the bus" in lost["what"]
    assert lost["evidence"]["gpu_state"] == "lost"
    assert throttled["label_gpu"] == "0"
    assert "power_cap,thermal_software" in throttled["what"]
    agent.wait(lambda messages: any(m.topic.endswith("/gpu/1") for m in messages))
    [gpu, *_] = [m.body for m in agent.messages if m.topic.endswith("/gpu/1")]
    assert (gpu["gpu_state"], gpu["gpu_lost"]) == ("lost", 1)
