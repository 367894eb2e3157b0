"""A box of its own: a real systemd as PID 1 in namespaces, over this machine's tree and the agent in /opt/vedette.

It is booted by ../shared/systemd/up.sh. What is installed there is the working tree's `agent` with the packages of
the interpreter that runs the tests, in a virtual environment of the system's Python, laid out as install.sh does.
"""

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
HARNESS = ROOT.parent / "shared" / "systemd"
PYTHON = "/usr/bin/python3"
UNIT = "vedette.service"


def why_not():
    """Why no systemd can be booted here; "" if it can."""
    if not (HARNESS / "up.sh").exists():
        return "needs ../shared/systemd"
    if os.geteuid() != 0:
        return "needs root"
    if not all(map(shutil.which, ("unshare", "nsenter", "systemctl", PYTHON))):
        return "needs util-linux, systemd and python3 (Debian packages)"
    version = subprocess.run(
        [PYTHON, "-c", "import sys, venv; print(*sys.version_info[:2])"], capture_output=True, text=True
    )
    if version.stdout.split() != [str(part) for part in sys.version_info[:2]]:
        return f"needs {PYTHON} to be Python {sys.version_info[0]}.{sys.version_info[1]}, with venv"
    return ""


class Box:
    """The booted system; commands run in it as root."""

    def __init__(self, folder, *root):
        self.folder = Path(folder)
        up = subprocess.run(
            [HARNESS / "up.sh", self.folder, *root], capture_output=True, text=True, timeout=60
        )
        assert up.returncode == 0, up.stdout + up.stderr
        self.init = up.stdout.strip()
        self.share = self.folder / "share"  # appears as /tmp/share inside

    def close(self):
        subprocess.run([HARNESS / "down.sh", self.folder], check=True, timeout=30)

    def run(self, command, *, check=True, timeout=90):
        """A shell command in the box."""
        done = subprocess.run(
            ["nsenter", "-t", self.init, "-a", "/bin/sh", "-c", command],
            capture_output=True,
            text=True,
            timeout=timeout,
            env={"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"},
        )
        assert not check or done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done

    def out(self, command, **more):
        return self.run(command, **more).stdout.strip()

    def write(self, path, text):
        (self.share / "file").write_text(text)
        self.run(f"mkdir -p {Path(path).parent} && cp /tmp/share/file {path} && chmod 644 {path}")

    def clear(self):
        """Stop the agent, forget its state and what the journal holds."""
        self.run(f"systemctl kill -s KILL {UNIT}; systemctl stop {UNIT}", check=False)
        self.run("rm -rf /var/lib/vedette /etc/vedette")
        self.forget_journal()

    # -- the unit ---------------------------------------------------------------------------------------

    def configure(self, text, drop_in=""):
        """The agent's config, and what a test changes of the unit."""
        self.write("/etc/vedette/config.toml", text)
        self.write(f"/run/systemd/system/{UNIT}.d/50-test.conf", drop_in)
        self.run(f"systemctl daemon-reload; systemctl reset-failed {UNIT}", check=False)

    def start(self):
        return self.run(f"systemctl restart {UNIT}", check=False)

    def stop(self):
        self.run(f"systemctl stop {UNIT}")

    def show(self, name):
        return self.out(f"systemctl show -P {name} {UNIT}")

    def wait(self, holds, what="", timeout=20.0):
        """Until `holds()` is true; its value."""
        return wait_until(
            holds,
            timeout,
            lambda: f"{what} did not come true\n{self.run(f'systemctl status {UNIT}', check=False).stdout}",
            every=0.1,
        )

    def journal(self, *matches):
        """Entries since `forget_journal`, as journald has them."""
        words = " ".join(f"'{word}'" for word in matches)
        # not --after-cursor: with matches, it passes over the first entry (seen with systemd 252)
        lines = self.out(f"journalctl -q -o json --all --since @{self.since:.6f} {words}", check=False)
        return [json.loads(line) for line in lines.splitlines()]

    def forget_journal(self):
        """What the journal holds so far is not asked for any more."""
        self.run("journalctl --sync")
        self.since = time.time()

    def messages(self, *matches):
        return [entry["MESSAGE"] for entry in self.journal(*matches)]


def install(folder):
    """What install.sh would make of the working tree, in `folder`, to be mounted at /opt/vedette."""
    home = folder / "versions/tested"
    subprocess.run([PYTHON, "-m", "venv", "--without-pip", home], check=True)
    (folder / "current").symlink_to("versions/tested")
    packages = next(home.glob("lib/python3*/site-packages"))
    for distribution in requirements("vedette", {"cpu"}):
        link_files(distribution, packages)
    shutil.copytree(ROOT / "agent", packages / "agent", ignore=shutil.ignore_patterns("__pycache__"))
    command = home / "bin/vedette"
    python = "/opt/vedette/versions/tested/bin/python"
    command.write_text(f"#!{python}\nfrom agent.__main__ import command\ncommand()\n")
    command.chmod(0o755)
    subprocess.run(["chmod", "-R", "go=u-w", folder], check=True)


def requirements(name, extras, seen=None):
    """The installed distributions that `name` with `extras` needs, without itself."""
    seen = set() if seen is None else seen
    for text in importlib.metadata.requires(name) or []:
        requirement = Requirement(text)
        marker = requirement.marker
        if marker and not any(marker.evaluate({"extra": extra}) for extra in {"", *extras}):
            continue
        key = re.sub(r"[-_.]+", "-", requirement.name).lower()
        if key not in seen:
            seen.add(key)
            yield importlib.metadata.distribution(requirement.name)
            yield from requirements(requirement.name, requirement.extras, seen)


def link_files(distribution, target):
    for file in distribution.files or []:
        source, goal = Path(distribution.locate_file(file)), target / file
        if ".." in file.parts or "__pycache__" in file.parts or not source.is_file():
            continue
        goal.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source, goal)
        except OSError:
            shutil.copy2(source, goal)


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    """A booted system with the agent installed and its user made; shared by the tests of a module."""
    if reason := why_not():
        pytest.skip(reason)
    box = Box(tmp_path_factory.mktemp("box"))
    try:
        install(box.share / "vedette")
        shutil.copy(ROOT / "systemd" / UNIT, box.share)
        box.run(
            "useradd --system --user-group --home-dir /var/lib/vedette --shell /usr/sbin/nologin vedette;"
            "mkdir -p /opt/vedette; mount --bind /tmp/share/vedette /opt/vedette;"
            f"cp /tmp/share/{UNIT} /etc/systemd/system/; chmod 644 /etc/systemd/system/{UNIT}"
        )
        yield box
    finally:
        box.close()


@pytest.fixture
def agent(box):
    """The box without a past: nothing in the agent's state, nothing seen of the journal; stopped afterwards."""
    box.clear()
    yield box
    box.run(f"systemctl kill -s KILL {UNIT}; systemctl stop {UNIT}", check=False)
