"""Writes requirements/: exact versions, with hashes, of every library that Vedette is installed with (scripts/locked.py reads them).

    UV/bin/python scripts/lock.py              # needs uv: pip install uv; what is locked stays, what pyproject.toml asks for anew comes
    UV/bin/python scripts/lock.py --upgrade    # every library in the newest version that pyproject.toml allows

One resolution serves every Python from 3.10 on and all extras, so that a library has one version wherever it is installed.
`export` is left out: what Ultralytics needs is too large and changes too often, and no agent runs it.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

try:
    import tomllib
except ModuleNotFoundError:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "requirements"
LEFT_OUT = {"export"}
BUILD = ("hatchling>=1.24", "editables>=0.5")
RELEASE = ("cyclonedx-bom>=7,<8",)
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==", re.MULTILINE)


def compiled(sources: list[str], *options: str, constraint: Path | None = None) -> str:
    """What uv makes of requirement files and extras of pyproject.toml, for any Python from 3.10 on."""
    words = [
        sys.executable,
        "-m",
        "uv",
        "pip",
        "compile",
        "--quiet",
        "--universal",
        "--python-version",
        "3.10",
    ]
    limits = ["--constraint", str(constraint)] if constraint else []
    command = [*words, "--no-header", "--no-annotate", *options, *limits, *sources]
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


def main() -> None:
    """Resolve all at once, then ask for each set which of it belongs to it."""
    extras = sorted(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"])
    extras = [extra for extra in extras if extra not in LEFT_OUT]
    with tempfile.TemporaryDirectory() as folder:
        build, release, pins = (Path(folder) / f"{name}.in" for name in ("build", "release", "pins"))
        build.write_text("\n".join(BUILD))
        release.write_text("\n".join(RELEASE))
        every = [word for extra in extras for word in ("--extra", extra)]
        before = Path(folder) / "locked.txt"
        if "--upgrade" not in sys.argv and (FOLDER / "locked.txt").exists():
            before.write_text(
                (FOLDER / "locked.txt").read_text()
            )  # uv prefers what stands in its output file
        options = ("--generate-hashes", "--output-file", str(before), *every)
        compiled(["pyproject.toml", str(build), str(release)], *options)
        locked = before.read_text()
        pins.write_text(re.sub(r" \\\n.*", "", re.sub(r"\n    --hash.*", "", locked)))
        sources = {"base": ["pyproject.toml"], "build": [str(build)], "release": [str(release)]}
        sources |= {extra: ["pyproject.toml", "--extra", extra] for extra in extras}
        sets = {
            name: sorted({*_PIN.findall(compiled(words, constraint=pins))}) for name, words in sources.items()
        }
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / "locked.txt").write_text(locked)
    (FOLDER / "sets.json").write_text(json.dumps(sets, indent=1) + "\n")
    print(f"{len(_PIN.findall(locked))} versions in {len(sets)} sets")


if __name__ == "__main__":
    main()
