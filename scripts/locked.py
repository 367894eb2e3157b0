"""Prints requirements with hashes, for `pip install --require-hashes`: of the sets named, from requirements/ (scripts/lock.py).

    python scripts/locked.py base cpu notify                    # sets: base, build, release, and the extras of pyproject.toml
    python scripts/locked.py base cpu --python 3.10 --arch aarch64     # only what that machine needs, without conditions

Runs in any virtual environment with pip, and needs nothing else.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator
from pathlib import Path

from pip._vendor.packaging.markers import Marker

FOLDER = Path(__file__).resolve().parents[1] / "requirements"
_BLOCK = re.compile(
    r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;]+)(?: ; (?P<marker>[^\\\n]+?))?(?P<hashes>(?: \\\n    \S+)+)",
    re.M,
)


def wanted(sets: list[str], target: dict[str, str] | None) -> Iterator[str]:
    """The requirements of the sets; with a `target` (its environment markers) those that it needs."""
    known = json.loads((FOLDER / "sets.json").read_text())
    names = {name for one in sets for name in known[one]}
    for block in _BLOCK.finditer((FOLDER / "locked.txt").read_text()):
        if block["name"] not in names:
            continue
        marker = block["marker"]
        if target is None or not marker:
            yield block[0]
        elif Marker(marker).evaluate(target):
            yield f"{block['name']}=={block['version']}{block['hashes']}"


def main() -> None:
    """Print them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sets", nargs="+", choices=sorted(json.loads((FOLDER / "sets.json").read_text())))
    parser.add_argument("--python", metavar="X.Y", help="the Python that it is for")
    parser.add_argument("--arch", metavar="ARCH", default="x86_64", help="with --python: its architecture")
    args = parser.parse_args()
    target = None
    if args.python:
        target = {
            "python_version": args.python,
            "python_full_version": f"{args.python}.99",
            "platform_machine": args.arch,
            "sys_platform": "linux",
            "implementation_name": "cpython",
            "platform_python_implementation": "CPython",
        }
    print("\n".join(wanted(args.sets, target)))


if __name__ == "__main__":
    main()
