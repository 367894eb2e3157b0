"""Roots of Debian 13, made once by debootstrap and kept outside the repository.

$VEDETTE_TEST_ROOTS names the folder (default: ~/.cache/vedette-tests); 300 to 500 MB each, a minute or two to make.
"""

import os
import shutil
import subprocess
from pathlib import Path

FOLDER = Path(os.environ.get("VEDETTE_TEST_ROOTS", "~/.cache/vedette-tests")).expanduser()
BROKERS, PYTHON = "trixie", "trixie-python"
PACKAGES = {
    BROKERS: ("mosquitto", "rabbitmq-server"),
    PYTHON: ("python3", "python3-venv", "mosquitto"),
}


def missing(name=BROKERS):
    """Why there is no such root here, "" where there is one or it can be made."""
    if os.geteuid() != 0:
        return "needs root, for chroot"
    if not (FOLDER / name).exists() and shutil.which("debootstrap") is None:
        return "needs debootstrap (Debian package)"
    return ""


def trixie(name=BROKERS):
    """The folder of Debian 13 with the packages of `name`; made where it is not there yet, whole or not at all."""
    done, part = FOLDER / name, FOLDER / f"{name}.part"
    if done.exists():
        return done
    shutil.rmtree(part, ignore_errors=True)
    FOLDER.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        ["debootstrap", "--variant=minbase", "trixie", part], check=True, stdout=subprocess.DEVNULL
    )
    (part / "usr/sbin/policy-rc.d").write_text("#!/bin/sh\nexit 101\n")  # no service is to start in there
    (part / "usr/sbin/policy-rc.d").chmod(0o755)
    install = f"apt-get update -q && apt-get install -qy --no-install-recommends {' '.join(PACKAGES[name])}"
    words = ["unshare", "--mount", "--pid", "--fork", "--kill-child", f"--root={part}", "--mount-proc"]
    subprocess.run(
        [*words, "env", "DEBIAN_FRONTEND=noninteractive", "sh", "-c", install],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    part.rename(done)
    return done
