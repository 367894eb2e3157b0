"""The shell scripts: sound by shellcheck, they teach with --help, and a wrong word changes nothing."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
SHELL = sorted(
    path for path in SCRIPTS.iterdir() if path.is_file() and b"bash" in path.read_bytes().partition(b"\n")[0]
)


def run(*words, **more):
    return subprocess.run(words, capture_output=True, text=True, timeout=60, **more)


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="needs shellcheck (Debian package)")
@pytest.mark.parametrize("script", SHELL, ids=lambda path: path.name)
def test_shellcheck_finds_nothing(script):
    done = run("shellcheck", "-x", script, cwd=SCRIPTS.parent)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", ["install.sh", "bundle"])
def test_help_teaches(name):
    done = run(SCRIPTS / name, "--help")
    assert done.returncode == 0
    assert "--runtime" in done.stdout


@pytest.mark.parametrize("words", [["instal"], ["--form", "x"], ["--from"], ["--runtime"]], ids=" ".join)
@pytest.mark.parametrize("name", ["install.sh", "bundle"])
def test_a_wrong_word_is_wrong_usage(name, words):
    if name == "bundle" and words == ["--from"]:
        words = ["--arch"]
    assert run(SCRIPTS / name, *words).returncode == 2


@pytest.mark.parametrize("name", ["VEDETTE_SETTLE_SECONDS", "VEDETTE_SELFTEST_SECONDS"])
def test_seconds_that_are_no_number_are_named_before_anything_is_built(name, monkeypatch):
    monkeypatch.setenv(name, "5 min")
    done = run(SCRIPTS / "install.sh", "check")
    assert (done.returncode, f"{name}=5 min" in done.stderr) == (2, True)


def test_what_is_no_bundle_is_not_installed_from(tmp_path):
    done = run(SCRIPTS / "install.sh", "--from", tmp_path)
    assert (done.returncode, "is not a bundle" in done.stderr) == (1, True)


def test_a_host_without_opt_is_judged_by_its_root():
    judged = f"""set -euo pipefail
step() {{ :; }}
HOME_DIR=/nowhere/vedette runtime=cpu bundle=
. {SCRIPTS}/host.sh
check_host"""
    done = run("bash", "-c", judged)
    assert (done.returncode, "MB free for /nowhere/vedette" in done.stdout) == (0, True), (
        done.stdout + done.stderr
    )


@pytest.mark.parametrize("words", [["--extras", "notify"], ["--runtime", "gpu"]], ids=" ".join)
def test_what_a_bundle_does_not_hold_is_not_asked_of_it(tmp_path, words):
    (tmp_path / "requirements.txt").write_text("vedette==1.0.0\n")
    done = run(SCRIPTS / "install.sh", "--dry-run", "--from", tmp_path, *words)
    assert (done.returncode, "give --runtime and --extras to scripts/bundle" in done.stderr) == (2, True)


def test_a_python_in_somebodys_home_is_not_taken():
    """The service runs as a user of its own, with homes hidden from it."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    try:
        home = (
            folder / "usr"
        )  # a whole Python below /tmp: a copy of the system's, so that base_prefix lies there
        (home / "bin").mkdir(parents=True)
        shutil.copy(os.path.realpath("/usr/bin/python3"), home / "bin/python3")
        library = next(Path("/usr/lib").glob("python3.*/os.py")).parent
        (home / "lib").mkdir()
        (home / "lib" / library.name).symlink_to(library)
        own = home / "bin/python3"
        where = run(own, "-c", "import sys; print(sys.base_prefix)").stdout.strip()
        assert where.startswith("/tmp"), where
        done = run(
            "bash", "-c", f". {SCRIPTS}/host.sh; PYTHON={own} find_python", env={"PATH": "/usr/bin:/bin"}
        )
        assert done.stdout.strip() not in {"", str(own)}
    finally:
        shutil.rmtree(folder)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may do everything")
def test_without_root_nothing_is_begun():
    assert run(SCRIPTS / "install.sh", "uninstall").returncode == 1
