"""install.sh on a real systemd without any network: from nothing to a running service, upgraded, rolled back, gone.

The whole story takes minutes: `pytest -m slow tests/systemd`. With VEDETTE_TEST_ROOT=DIR it plays on the tree in DIR
(a debootstrap of Debian, say) instead of over this machine's own.
"""

import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.systemd.conftest import ROOT, Box, why_not

pytestmark = [pytest.mark.xdist_group("systemd"), pytest.mark.timeout(1500)]

CONFIG = '[windows]\nlength = "2s"\n[[cameras]]\nname = "front"\nkind = "synthetic"\n'


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """A booted system without anything of ours; the repository's scripts lie in /tmp/share/repository."""
    if reason := why_not():
        pytest.skip(reason)
    box = Box(tmp_path_factory.mktemp("bare"), os.environ.get("VEDETTE_TEST_ROOT", "/"))
    try:
        copy_repository(box.share / "repository")
        yield box
    finally:
        box.close()


def copy_repository(target):
    target.mkdir()
    for name in ("agent", "scripts", "systemd", "docs", "requirements"):
        shutil.copytree(ROOT / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "config.example.toml"):
        shutil.copy(ROOT / name, target / name)


def tree(box):
    return box.out("find /opt /etc /usr/local/bin /var/lib/vedette -xdev 2>/dev/null | sort | sha256sum")


def test_a_dry_run_judges_the_host_says_what_it_would_do_and_does_nothing(bare):
    before = tree(bare)
    done = bare.run("/tmp/share/repository/scripts/install.sh --dry-run", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for said in ("ok  systemd", "ok  Python 3", "MB free", "useradd", "virtual environment"):
        assert said in done.stdout
    assert tree(bare) == before
    assert bare.run("id vedette", check=False).returncode != 0


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("true", "an NVIDIA GPU with its driver; ONNX Runtime: gpu"),  # the harness has its nodes
        ("rm /dev/nvidia*", "no NVIDIA GPU; ONNX Runtime: cpu"),
        (
            "echo '# R36 (release), REVISION: 4.0' >/etc/nv_tegra_release",
            "--runtime https://pypi.jetson-ai-lab.io/jp6/cu126",
        ),
        ("rm /etc/nv_tegra_release", "no NVIDIA GPU; ONNX Runtime: cpu"),
    ],
)
def test_the_runtime_fits_the_machine(bare, command, said):
    assert said in bare.out(f"{command}; /tmp/share/repository/scripts/install.sh check")


def test_a_host_that_is_not_fit_is_left_alone(bare):
    before = tree(bare)
    done = bare.run("mount -t tmpfs none /run/systemd; /tmp/share/repository/scripts/install.sh", check=False)
    bare.run("umount /run/systemd")
    assert done.returncode == 3
    assert "NO  systemd does not run here" in done.stdout
    assert "nothing was changed" in done.stderr
    assert tree(bare) == before


def test_what_is_made_can_be_read_by_the_service_whatever_roots_umask_is(bare):
    """It fails, as there is no network; the folders are there by then."""
    done = bare.run(
        "umask 077; PIP_RETRIES=0 /tmp/share/repository/scripts/install.sh --runtime cpu",
        check=False,
        timeout=120,
    )
    assert "the packages could not be installed" in done.stderr, done.stdout + done.stderr
    try:
        assert bare.out("stat -c %a /opt/vedette /opt/vedette/versions").split() == ["755", "755"]
    finally:
        bare.run("rm -rf /opt/vedette; userdel vedette")


def test_two_do_not_install_at_a_time(bare):
    done = bare.run(
        "flock /run/vedette-install.lock /tmp/share/repository/scripts/install.sh uninstall", check=False
    )
    assert (done.returncode, "another install.sh is at work" in done.stderr) == (1, True)


def test_a_purge_follows_no_link_that_the_services_user_planted(bare):
    bare.run("useradd --system vedette; mkdir -p /etc/precious/inside; touch /etc/precious/file")
    before = bare.out("find /etc/precious -printf '%p %m %U\\n' | sort")
    for folder in ("/var/lib/vedette", "/var/cache/vedette"):
        bare.run(f"install -d -o vedette {folder}")
        bare.run(
            f"setpriv --reuid vedette --regid vedette --clear-groups ln -s /etc/precious {folder}/references"
        )
    done = bare.run("/tmp/share/repository/scripts/install.sh uninstall --purge", check=False)
    assert done.returncode == 0, done.stderr
    assert bare.out("find /etc/precious -printf '%p %m %U\\n' | sort") == before
    assert bare.run("ls /var/lib/vedette /var/cache/vedette", check=False).stdout == ""


def test_an_upgrade_of_nothing_is_an_error(bare):
    done = bare.run("/tmp/share/repository/scripts/install.sh upgrade", check=False)
    assert (done.returncode, "nothing is installed" in done.stderr) == (1, True)


# -- the whole story -----------------------------------------------------------------------------------------

VERSIONS = {
    "9.1.0": None,
    "9.2.0": None,
    "9.3.0": "a broken model: the self-test fails",
    "9.4.0": "a unit that exits after a while: it is ready, and does not stay",
    "9.5.0": "a unit that is wrong: it never becomes ready",
}


@pytest.fixture(scope="module")
def bundles(bare, tmp_path_factory):
    """Bundles of five versions, made by scripts/bundle from copies of the working tree; by version."""
    made = {}
    for version in VERSIONS:
        source = tmp_path_factory.mktemp("sources") / "repository"
        copy_repository(source)
        package, unit = source / "agent/__init__.py", source / "systemd/vedette.service"
        package.write_text(re.sub(r'(__version__ = )".*"', rf'\1"{version}"', package.read_text()))
        if version == "9.3.0":
            model = source / "agent/detection/demo.onnx"
            model.write_bytes(model.read_bytes()[:1000])
        if version == "9.4.0":
            unit.write_text(unit.read_text().replace("config.toml\n", "config.toml --seconds 2\n", 1))
        if version == "9.5.0":
            unit.write_text(unit.read_text().replace("vedette run ", "vedette rum ", 1))
        # below the working directory, as people write it
        command = [source / "scripts/bundle", "--out", "bundles", "--tar", "--python", python_of(bare)]
        if made:
            command += ["--like", f"bundles/{Path(made['9.1.0']).name}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=bare.share)
        assert done.returncode == 0, done.stderr
        assert (bare.share / "bundles" / f"{Path(done.stdout.strip()).name}.tar").stat().st_size > 1 << 20
        made[version] = f"/tmp/share/bundles/{done.stdout.strip().rpartition('/')[2]}"
    return made


def python_of(box):
    return box.out("/usr/bin/python3 -c 'import sys; print(\"%d.%d\" % sys.version_info[:2])'")


def install(box, words, timeout=400):
    began = time.monotonic()
    done = box.run(f"VEDETTE_SETTLE_SECONDS=6 {words} 2>&1", check=False, timeout=timeout)
    print(f"\n$ {words}\n{done.stdout}(exit code {done.returncode}, {time.monotonic() - began:.0f} s)")
    return done.returncode, done.stdout


@pytest.mark.slow
def test_from_nothing_to_gone(bare, bundles):
    box = bare
    assert box.run("ls /sys/class/net", check=False).stdout.split() == ["lo"], "there is no network here"

    code, said = install(box, f"{bundles['9.1.0']}/install.sh")
    assert code == 0
    assert "edit /etc/vedette/config.toml" in said
    assert box.run("systemctl is-active vedette", check=False).stdout.strip() != "active", (
        "nothing to watch yet"
    )
    assert "selftest" not in box.out("ls /tmp")

    box.run(f"printf '{CONFIG}' >/etc/vedette/config.toml".replace("\n", "\\n"))
    code, said = install(box, f"{bundles['9.1.0']}/install.sh")
    assert code == 0
    assert "already exists" in said
    assert "stays as it is" in said
    assert re.search(r"vedette 9\.1\.0-\w+ runs: . of 1 camera online", said)
    assert box.show("UnitFileState") == "enabled"
    pid = box.show("MainPID")
    assert install(box, f"{bundles['9.1.0']}/install.sh")[1].count("nothing to do") == 1
    assert box.show("MainPID") == pid, "the same again changes nothing"

    box.run("vedette alerts mute --rule camera_down --for 2h --why test")
    muted = box.out("vedette alerts controls")
    assert "camera_down" in muted

    code, said = install(box, f"{bundles['9.2.0']}/install.sh upgrade")
    assert code == 0
    assert "vedette 9.2.0" in box.out("vedette --version")
    assert "camera_down" in box.out("vedette alerts controls"), "state outlives the upgrade"
    for version in ("9.1.0", "9.2.0"):
        assert install(box, "/opt/vedette/install.sh rollback")[0] == 0
        assert f"vedette {version}" in box.out("vedette --version")
        assert box.show("ActiveState") == "active"
    good = box.show("MainPID")

    code, said = install(box, f"{bundles['9.3.0']}/install.sh upgrade")
    assert code == 1
    assert "fails its self-test" in said
    assert box.show("MainPID") == good, "the old version was not even restarted"

    for version in ("9.4.0", "9.5.0"):
        code, said = install(box, f"{bundles[version]}/install.sh upgrade")
        assert code == 1
        assert "does not run: going back to 9.2.0" in said
        assert "runs again, with all of its state" in said
        assert "9.2.0" in box.out("vedette --version")
        assert box.show("ActiveState") == "active"
        assert "camera_down" in box.out("vedette alerts controls")
    assert len(box.out("ls /opt/vedette/versions").split()) <= 2

    box.run(
        "printf 'geheim\\n' >/etc/vedette/credentials/broker_password; /opt/vedette/install.sh credentials"
    )
    box.run("systemctl restart vedette")
    assert box.out("ls /run/credentials/vedette.service") == "broker_password"

    code, said = install(box, "/opt/vedette/install.sh uninstall")
    assert code == 0
    assert box.out("ls /etc/vedette /var/lib/vedette").count("\n") > 3, "config and state stay"
    for gone in ("/opt/vedette", "/usr/local/bin/vedette", "/etc/systemd/system/vedette.service"):
        assert box.run(f"test -e {gone}", check=False).returncode == 1
    code, said = install(box, f"{bundles['9.2.0']}/install.sh")
    assert (code, box.show("ActiveState")) == (0, "active")
    assert "camera_down" in box.out("vedette alerts controls"), "and are found again"
    code, said = install(box, "/opt/vedette/install.sh uninstall --purge")
    assert code == 0
    assert box.run("ls -d /etc/vedette /var/lib/vedette", check=False).stdout == ""
    assert box.run("id vedette", check=False).returncode != 0
