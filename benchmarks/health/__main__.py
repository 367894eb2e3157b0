"""The command: `python -m benchmarks.health VIDEOS`."""

import sys

from benchmarks.health.run import main

sys.exit(main(sys.argv[1:]))
