"""The dashboards on Prometheus' data: fleet, device, camera, drift. Every query is run by the tests."""

from __future__ import annotations

from agent.grafana.prometheus import camera, device, drift, fleet

DASHBOARDS = (fleet.DASHBOARD, device.DASHBOARD, camera.DASHBOARD, drift.DASHBOARD)
