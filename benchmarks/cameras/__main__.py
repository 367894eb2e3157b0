"""Benchmarks of the cameras: `python -m benchmarks.cameras NAME --help`; from the repository's root."""

import importlib
import sys

from agent.logging import setup as log

NAMES = ("health", "still", "states", "network", "isolation", "agent", "fuzz", "masks")

if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in NAMES:
        sys.exit(f"usage: python -m benchmarks.cameras {{{','.join(NAMES)}}} ...")
    log.set_up()
    sys.exit(importlib.import_module(f"benchmarks.cameras.{sys.argv[1]}").main(sys.argv[2:]))
