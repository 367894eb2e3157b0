"""Writes the Grafana dashboards of agent/grafana, once for a release: python scripts/grafana/build.py [--check].

With --check it writes nothing, names the files that differ from what it would write, and exits with 1 if there are any.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import camera
import device
import drift
import fleet
import mqtt

FOLDER = Path(__file__).parents[2] / "agent" / "grafana"
DASHBOARDS: dict[str, dict[str, Any]] = {
    "prometheus-fleet": fleet.DASHBOARD,
    "prometheus-device": device.DASHBOARD,
    "prometheus-camera": camera.DASHBOARD,
    "prometheus-drift": drift.DASHBOARD,
    "mqtt-fleet": mqtt.fleet,
    "mqtt-device": mqtt.device,
    "mqtt-camera": mqtt.camera,
    "mqtt-drift": mqtt.drift,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    check = parser.parse_args().check
    stale = 0
    for name, board in DASHBOARDS.items():
        path = FOLDER / f"{name}.json"
        text = json.dumps(board, indent=1, ensure_ascii=False) + "\n"
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        stale += 1
        print(f"{path} {'is stale' if check else 'written'}")
        if not check:
            path.write_text(text, encoding="utf-8")
    return 1 if check and stale else 0


if __name__ == "__main__":
    raise SystemExit(main())
