"""Grafana dashboards: a description in Python of what each shows, written out as the JSON that Grafana imports.

`model` knows Grafana's JSON, `prometheus` and `mqtt` what the dashboards of each data source show.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def dashboards() -> Mapping[str, Mapping[str, Any]]:
    """Every dashboard, by the name of its file without `.json`."""
    from agent.grafana import mqtt, prometheus

    return {
        f"{source}-{board['uid'].removeprefix('vedette-').removesuffix('-mqtt')}": board
        for source, boards in (("prometheus", prometheus.DASHBOARDS), ("mqtt", mqtt.DASHBOARDS))
        for board in boards
    }
