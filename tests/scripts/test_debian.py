"""Debian 13 and its Python 3.13: a bundle installs there without a network, the agent works, the pure rooms' tests pass.

Minutes; needs root, PyPI and Debian's archive: pytest -m slow tests/scripts/test_debian.py
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.brokers import roots

ROOT = Path(__file__).resolve().parents[2]
PURE_ROOMS = ("core", "config", "features", "drift", "alerts", "pipeline", "telemetry", "detection")
SETS = ("base", "test-core", "data", "notify", "prometheus")
OF_A_CLONE = (  # Vedette is installed from its wheel here
    "tests/core/test_installation.py::test_this_clone_names_itself_and_the_command_is_one_that_pip_takes",
    "tests/detection/test_providers.py::test_each_machine_is_told_its_own_command",
)
PLATFORMS = [f"manylinux_2_{glibc}_x86_64" for glibc in range(41, 16, -1)]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600), pytest.mark.xdist_group("debian")]

# $1: the root; $2: seen there as /opt; $3: seen there as /mnt. No network but a loopback.
ENTER = """set -e
ip link set lo up
mount --bind "$2" "$1/opt" && mount --bind "$3" "$1/mnt" && mount -t tmpfs tmp "$1/tmp"
mount -t proc proc "$1/proc" && mount --rbind /dev "$1/dev"
root=$1; shift 3
exec chroot "$root" env -i PATH=/usr/sbin:/usr/bin HOME=/tmp PYTHONDONTWRITEBYTECODE=1 sh -ec "$*"
"""


class Debian:
    def __init__(self, root, work):
        self.root, self.work = root, work

    def run(self, command, timeout=1200):
        """A shell command in there; its output, stderr too."""
        apart = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child"]
        words = [*apart, "sh", "-c", ENTER, "sh", self.root, self.work, ROOT, command]
        done = subprocess.run(words, capture_output=True, text=True, timeout=timeout)
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
        return done.stdout + done.stderr


@pytest.fixture(scope="module")
def debian(tmp_path_factory):
    """Debian 13 with Vedette installed in /opt/venv, from a bundle."""
    if reason := roots.missing(roots.PYTHON):
        pytest.skip(reason)
    work = tmp_path_factory.mktemp("debian")
    made = subprocess.run(
        [ROOT / "scripts" / "bundle", "--out", work, "--python", "3.13"],
        capture_output=True,
        text=True,
        timeout=1200,
    )
    assert made.returncode == 0, made.stderr
    bundle = Path(made.stdout.split()[-1]).name
    box = Debian(roots.trixie(roots.PYTHON), work)
    box.run(f"""python3 -m venv /opt/venv
cd /opt/{bundle} && sha256sum --quiet --check SHA256SUMS
/opt/venv/bin/pip install -q --no-index --find-links wheels --require-hashes --requirement requirements.txt""")
    return box


def test_it_is_what_it_says(debian):
    assert "Python 3.13" in debian.run("/opt/venv/bin/python --version")
    assert "No broken requirements" in debian.run("/opt/venv/bin/pip check")


def test_the_agent_works_there(debian):
    assert "works with the defaults" in debian.run("cd /tmp && /opt/venv/bin/vedette selftest")


def test_the_demo_runs_there_with_debians_broker(debian):
    shown = debian.run("cd /tmp && /opt/venv/bin/vedette demo --seconds 40")
    assert "avenue    online" in shown and re.search(r"[1-9][0-9]* messages", shown)


def test_the_pure_rooms_pass_there(debian):
    subprocess.run([sys.executable, "-m", "venv", debian.work / "pip"], check=True)
    python = debian.work / "pip" / "bin" / "python"
    wanted = [python, "-I", ROOT / "scripts" / "locked.py", *SETS, "--python", "3.13"]
    (debian.work / "test.txt").write_bytes(subprocess.run(wanted, check=True, stdout=subprocess.PIPE).stdout)
    words = ["--require-hashes", "--no-deps", "--only-binary=:all:", "--python-version", "3.13"]
    words += [word for platform in PLATFORMS for word in ("--platform", platform)]
    words += ["--dest", debian.work / "wheels", "--requirement", debian.work / "test.txt"]
    subprocess.run([python, "-m", "pip", "download", "-q", *words], check=True, timeout=1200)
    debian.run(
        "/opt/venv/bin/pip install -q --no-index --find-links /opt/wheels --require-hashes --requirement /opt/test.txt"
    )
    folders = " ".join(
        [*(f"tests/{room}" for room in PURE_ROOMS), *(f"--deselect {one}" for one in OF_A_CLONE)]
    )
    passed = debian.run(
        f"cd /mnt && /opt/venv/bin/python -m pytest -q -n 2 -p no:cacheprovider {folders}", timeout=2400
    )
    assert " passed" in passed and " failed" not in passed
