#!/usr/bin/env python3
"""Fetches the JavaScript libraries of dashboard and documentation from npm, checks them, and puts them beside their licences.

The pages load nothing from elsewhere. Needs npm. For a new version: change it and its hash (npm view PACKAGE dist).
"""

import base64
import hashlib
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
DASHBOARD, SITE = ROOT / "agent" / "dashboard" / "static" / "vendor", ROOT / "docs" / "vendor"
LIBRARIES = {
    "uplot@1.6.32": (
        DASHBOARD,
        "sha512-KIMVnG68zvu5XXUbC4LQEPnhwOxBuLyW1AHtpm6IKTXImkbLgkMy+jabjLgSLMasNuGGzQm/ep3tOkyTxpiQIw==",
        ("dist/uPlot.esm.js", "dist/uPlot.min.css", "LICENSE"),
    ),
    "iframe-worker@1.0.4": (  # Material's search needs it where the site is read from a folder
        SITE,
        "sha512-roeaaI+Lg1LJNfgpCjoRe/+WzEjy9+Z08LoEvu85MCPbBjwm+qXz8Ag5U05lHa6V1CysZyGzE0SOkAtSUA5q7Q==",
        ("shim/index.js", "LICENSE"),
    ),
}


def fetch(library, target, integrity, files):
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            ["npm", "pack", "--silent", library], cwd=folder, check=True, stdout=subprocess.DEVNULL
        )
        (archive,) = Path(folder).glob("*.tgz")
        found = f"sha512-{base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()}"
        if found != integrity:
            sys.exit(f"{library}: the hash is {found}, expected {integrity}")
        folder_of_library = target / library.partition("@")[0]
        folder_of_library.mkdir(parents=True, exist_ok=True)
        with tarfile.open(archive) as tar:
            for name in files:
                (folder_of_library / Path(name).name).write_bytes(tar.extractfile(f"package/{name}").read())
        (folder_of_library / "VERSION").write_text(f"{library} {integrity}\n")


for library, (target, integrity, files) in LIBRARIES.items():
    fetch(library, target, integrity, files)
    print(f"{library} is in {target}")
