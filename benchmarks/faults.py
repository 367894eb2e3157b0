"""What becomes of every message while brokers, networks, disks and the agent itself fail: the table for the docs.

    python benchmarks/faults.py [--kills 50] [--markdown FILE]

Runs `tests/faults` (which CI runs too, with fewer kills), one after the other. Needs mosquitto, strace, and the right
to mount a small disk.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=50, help="how often the agent is killed under load")
    parser.add_argument("--markdown", type=Path, help="write the table there too")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "table.md"
        words = [
            "-q",
            "--kills",
            str(args.kills),
            "--timeout",
            "900",
            "--deliveries",
            str(table),
            "tests/faults",
        ]
        code = subprocess.run([sys.executable, "-m", "pytest", *words], cwd=ROOT, check=False).returncode
        if table.exists() and args.markdown:
            args.markdown.write_text(table.read_text())
    return code


if __name__ == "__main__":
    sys.exit(main())
