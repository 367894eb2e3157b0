"""A real agent, scraped by a real Prometheus."""

import json
import shutil
import subprocess

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

pytestmark = pytest.mark.xdist_group("prometheus")


def test_it_is_up_and_told_every_window(scraped):
    assert [sample["value"][1] for sample in scraped.query("up")] == ["1", "1"]
    [frames] = scraped.query('vedette_camera_frames_seen_total{camera="front"}')
    assert float(frames["value"][1]) > 0
    [age] = scraped.query('time() - vedette_camera_window_end_timestamp_seconds{camera="front"}')
    assert float(age["value"][1]) < 20
    [state] = scraped.query('vedette_camera_state{camera="front"} == 1')
    assert state["metric"]["state"] == "online"


def test_promtool_finds_no_fault(scraped):
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("needs promtool")
    told = subprocess.run(
        [promtool, "check", "metrics"], input=scraped.metrics(), capture_output=True, text=True, timeout=30
    )
    assert (told.returncode, told.stdout + told.stderr) == (0, "")


def test_openmetrics_reads_back(scraped):
    families = {family.name for family in text_string_to_metric_families(scraped.openmetrics())}
    assert {"vedette_camera_latency_seconds", "vedette_build", "vedette_camera_frames_seen"} <= families


def test_latency_can_be_aggregated(scraped):
    query = "histogram_quantile(0.9, sum by (le) (rate(vedette_camera_latency_seconds_bucket{stage='total'}[1m])))"
    [sample] = scraped.wait(query)
    exact = max(
        float(one["value"][1]) for one in scraped.wait("vedette_camera_window_latency_seconds{rank='max'}")
    )
    assert 0 < float(sample["value"][1]) < 10
    assert exact > 0


def test_the_gpu_and_its_throttling_are_there(scraped):
    states = scraped.query('vedette_gpu_state{state="ok"} == 1')
    assert {sample["metric"]["gpu"] for sample in states} == {"0", "1"}
    reasons = {sample["metric"]["reason"] for sample in scraped.query("vedette_gpu_throttle_reason == 1")}
    assert reasons == {"power_cap", "thermal_software"}
    assert scraped.query("vedette_gpu_info")[0]["metric"]["model"] == "NVIDIA Fake 4000"


def test_alerts_and_the_broker_are_there(scraped):
    [alert] = scraped.query('vedette_alert_firing{rule="alive"}')
    assert (alert["metric"]["camera"], alert["metric"]["severity"]) == ("front", "info")
    assert scraped.query("vedette_broker_connected")[0]["value"][1] == "0"
    assert scraped.query('vedette_device_info{site="north"}')


def test_health_and_readiness_of_a_running_agent(scraped):
    parts = {part["part"] for part in json.loads(scraped.metrics("/healthz"))["parts"]}
    assert {"scheduler", "analysis", "delivery", "telemetry", "camera-front", "exporter"} <= parts
    assert json.loads(scraped.metrics("/readyz")) == {"ok": True, "missing": []}


def test_series_are_few(scraped):
    series = [line for line in scraped.metrics().splitlines() if not line.startswith("#")]
    assert len(series) < 600, "of two cameras and two GPUs"


def test_a_reload_moves_it(scraped):
    """Last: the others want it where Prometheus looks."""
    config = scraped.folder / "v.toml"
    before, port = config.read_text(), scraped.free_port()
    config.write_text(before.replace(f"127.0.0.1:{scraped.port}", f"127.0.0.1:{port}"))
    try:
        assert "changed: prometheus" in scraped.reload()
        assert "vedette_build_info" in scraped.metrics(port=port)
        with pytest.raises(OSError, match="refused"):
            scraped.metrics()
        config.write_text(before.replace('"127.0.0.1:', '"nowhere:'))
        assert "ADDRESS:PORT" in scraped.reload()
    finally:
        config.write_text(before)
        assert "changed: prometheus" in scraped.reload()
