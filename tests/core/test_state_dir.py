"""State on disk: found where it should be, and never torn."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from agent.core import state_dir as state
from agent.core.errors import VedetteError


def test_a_configured_directory_wins(monkeypatch):
    monkeypatch.setenv("STATE_DIRECTORY", "/from/systemd")
    assert str(state.directory("/mine")) == "/mine"


def test_systemds_directory_comes_next(monkeypatch):
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/vedette:/other")
    assert str(state.directory()) == "/var/lib/vedette"


def test_a_user_keeps_state_at_home(monkeypatch):
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", "/home/me/.state")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert str(state.directory()) == "/home/me/.state/vedette"


def test_a_write_replaces_the_whole_file(tmp_path):
    path = tmp_path / "deep" / "a.json"
    state.write_atomic(path, b"old and long")
    state.write_atomic(path, b"new")
    assert path.read_bytes() == b"new"
    assert [p.name for p in path.parent.iterdir()] == ["a.json"]


def test_a_failing_disk_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    state.write_atomic(path, b"old")

    def fail(_handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        state.write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_a_link_is_replaced_and_not_followed(tmp_path):
    (tmp_path / "precious").write_text("keep")
    (tmp_path / "a.json").symlink_to(tmp_path / "precious")
    state.write_atomic(tmp_path / "a.json", b"new")
    assert (tmp_path / "precious").read_text() == "keep"
    assert not (tmp_path / "a.json").is_symlink()


def test_a_link_that_waits_where_it_is_written_first_is_not_followed(tmp_path, monkeypatch):
    (tmp_path / "precious").write_text("keep")
    monkeypatch.setattr(state.secrets, "token_hex", lambda _count: "known")
    (tmp_path / ".a.json.known.tmp").symlink_to(tmp_path / "precious")
    with pytest.raises(FileExistsError, match=r"a\.json"):
        state.write_atomic(tmp_path / "a.json", b"new")
    assert (tmp_path / "precious").read_text() == "keep"


def test_folders_pipes_and_devices_are_left_as_they_are(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "pipe", tmp_path / "folder", Path("/dev/null")):
        before = path.stat().st_mode
        with pytest.raises(FileExistsError, match=path.name):
            state.write_atomic(path, b"new")
        assert path.stat().st_mode == before


@pytest.fixture
def foreign():
    """A directory of somebody else's, whom root may become."""
    if os.geteuid() != 0:
        pytest.skip("only root can act as somebody else")
    folder = Path(tempfile.mkdtemp(prefix="vedette-test-"))
    os.chown(folder, 12345, 12345)
    yield folder
    shutil.rmtree(folder)


def test_root_works_on_another_ones_directory_with_that_ones_rights(foreign, tmp_path):
    with state.as_owner(foreign):
        (foreign / "mine").write_text("x")
        assert os.geteuid() == os.getegid() == 12345
        with pytest.raises(PermissionError):
            Path("/etc/vedette-test").write_text("x")
        (foreign / "link").symlink_to("/etc/shadow")
        with pytest.raises(PermissionError):
            (foreign / "link").read_text()
    assert os.geteuid() == 0
    assert (foreign / "mine").stat().st_uid == 12345


def test_root_is_root_again_after_an_error(foreign):
    groups = os.getgroups()
    with pytest.raises(ValueError, match="oops"), state.as_owner(foreign):
        raise ValueError("oops")
    assert (os.geteuid(), os.getegid(), os.getgroups()) == (0, 0, groups)


def test_a_directory_that_is_another_ones_link_is_refused(foreign, tmp_path):
    link = foreign / "state"
    link.symlink_to("/etc")
    os.lchown(link, 12345, 12345)
    with pytest.raises(VedetteError, match="is a link of another user"), state.as_owner(link):
        pass


def test_ones_own_directory_changes_nothing(tmp_path):
    for folder in (tmp_path, tmp_path / "none"):
        before = os.geteuid()
        with state.as_owner(folder):
            assert os.geteuid() == before


def test_a_state_directory_has_one_agent_at_a_time(tmp_path):
    free = state.claim(tmp_path / "state")
    with pytest.raises(
        VedetteError, match=rf"another agent \(process {os.getpid()}\) uses this state directory"
    ):
        state.claim(tmp_path / "state")
    free()
    state.claim(tmp_path / "state")()


def test_a_disk_that_takes_no_lock_file_is_used_without(tmp_path):
    (tmp_path / "state").write_text("a file where the directory should be")
    state.claim(tmp_path / "state")()


def test_no_file_of_the_agents_is_written_through_a_link(tmp_path):
    """Whoever may write to the state directory could else have root empty or fill a file that is not theirs."""
    from agent.alerts.runtime.observation_log import ObservationLog, day_of
    from agent.alerts.runtime.store import AlertStore
    from agent.core.types import Observation
    from agent.delivery.outbox.store import MessageStore, StoreUnwritable

    precious = tmp_path / "precious"
    precious.write_text("keep")
    precious.chmod(0o644)
    log = ObservationLog(tmp_path)
    folder = tmp_path / "observations"
    folder.mkdir()
    (folder / f"{day_of(1_800_000_000.0)}.jsonl.gz").symlink_to(precious)
    log.record([Observation(metric="host.cpu_used_ratio", value=0.5, at=1_800_000_000.0)], 1_800_000_000.0)
    log.flush(1_800_000_000.0)
    (tmp_path / "alerts.sqlite3").symlink_to(precious)
    store = AlertStore(tmp_path)
    store.open()
    store.close()
    (tmp_path / "outbox.db").symlink_to(precious)
    outbox = MessageStore(tmp_path / "outbox.db", 1_000_000)
    with pytest.raises(StoreUnwritable, match="is a link"):
        outbox.open()
    assert precious.read_text() == "keep"
    assert precious.stat().st_mode & 0o777 == 0o644


def test_the_file_for_a_crash_is_no_link_and_for_its_owner_alone(tmp_path):
    script = (
        "import sys, pathlib\n"
        "from agent.cameras.isolation import quarantine\n"
        "quarantine.watch(pathlib.Path(sys.argv[1]), [])\n"
    )
    (tmp_path / "precious").write_text("keep")
    (tmp_path / "crash.txt").symlink_to(tmp_path / "precious")
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert "is a link that the agent did not make: remove it" in done.stdout + done.stderr
    assert (tmp_path / "precious").read_text() == "keep"
    (tmp_path / "crash.txt").unlink()
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, capture_output=True)
    assert (tmp_path / "crash.txt").stat().st_mode & 0o777 == 0o600


def modes(directory):
    return {
        path.relative_to(directory).as_posix(): oct(path.lstat().st_mode & 0o777)
        for path in [directory, *directory.rglob("*")]
    }


@pytest.fixture
def open_mask():
    before = os.umask(0o022)
    yield
    os.umask(before)


def test_nobody_else_reads_what_the_agent_keeps(tmp_path, open_mask):
    kept = tmp_path / "state"
    words = [sys.executable, "-m", "agent", "run", "--source", "synthetic", "--broker", "mqtt://127.0.0.1:1"]
    subprocess.run([*words, "--state", kept, "--seconds", "2"], check=True, capture_output=True, timeout=60)
    assert [path.name for path in kept.iterdir() if not state.is_ours(path)] == []
    found = modes(kept)
    assert {"outbox.db", "crash.txt", "alerts.sqlite3", "observations", "notices.json"} <= set(found)
    assert {mode for mode in found.values() if int(mode, 8) & 0o077} == set()
    kept.chmod(0o755)  # an older version: it is closed where all in it is known as the agent's
    state.keep_private(kept)
    assert modes(kept)["."] == "0o700"


def test_what_an_older_version_left_open_is_closed(tmp_path, open_mask):
    kept = tmp_path / "state"
    (kept / "observations").mkdir(parents=True)
    for name in ("agent.lock", "outbox.db", "outbox.db-wal", "crash.txt", "observations/2026-01-01.jsonl"):
        (kept / name).touch()
    (tmp_path / "outside").touch()
    (kept / "outbox.db-shm").symlink_to(tmp_path / "outside")
    state.keep_private(kept)
    found = modes(kept)
    assert found.pop("outbox.db-shm") == "0o777"  # a link's own
    assert set(found.values()) == {"0o700", "0o600", "0o644"}
    assert [name for name, mode in found.items() if mode == "0o644"] == ["agent.lock"]  # a number
    assert (tmp_path / "outside").stat().st_mode & 0o777 == 0o644


def test_other_peoples_files_beside_are_left_alone(tmp_path, open_mask):
    for name in ("agent.lock", "outbox.db", "thesis.odt"):
        (tmp_path / name).touch()
    tmp_path.chmod(0o755)
    state.keep_private(tmp_path)
    assert modes(tmp_path) == {
        ".": "0o755",
        "agent.lock": "0o644",
        "outbox.db": "0o600",
        "thesis.odt": "0o644",
    }
