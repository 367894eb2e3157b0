"""What a broken config, a full disk or a closed pipe leaves of the commands: their work, or one line; no traceback."""

import argparse
import subprocess
import sys
from pathlib import Path

import pytest

from agent.__main__ import main
from agent.app.control_socket import ControlServer
from agent.cli.check import _state
from agent.cli.local import state_directory
from agent.cli.status import works
from agent.config.schema import Settings
from agent.core.worker import Health


@pytest.mark.parametrize(
    "broken", ["[model\n", "nonsense = 1\n", '[[cameras]]\nurl = "x"\nurl = "y"\n', "= 3\n"], ids=repr
)
@pytest.mark.parametrize("written", ['state_directory = "state"', "state_directory = 'state'  # here"])
def test_with_a_broken_config_the_agent_is_found_all_the_same(tmp_path, broken, written):
    config = tmp_path / "config.toml"
    config.write_text(f"{written}\n{broken}")
    assert state_directory(argparse.Namespace(config=str(config), state=None)) == tmp_path / "state"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be"])
def test_an_editor_s_encoding_does_not_hide_the_agent(tmp_path, encoding):
    config = tmp_path / "config.toml"
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    config.write_bytes(f'{mark}state_directory = "state"\n'.encode(encoding))
    assert state_directory(argparse.Namespace(config=str(config), state=None)) == tmp_path / "state"


def test_a_state_directory_of_another_table_is_not_taken(tmp_path, monkeypatch):
    monkeypatch.setenv("STATE_DIRECTORY", "/own")
    config = tmp_path / "config.toml"
    config.write_text('[device]\nstate_directory = "wrong"\n[bad')
    assert state_directory(argparse.Namespace(config=str(config), state=None)) == Path("/own")


@pytest.mark.parametrize("words", [["status", "--json"], ["alerts"], ["reload"]], ids=" ".join)
def test_commands_that_need_only_the_socket_need_no_good_config(tmp_path, monkeypatch, capsys, words):
    import threading

    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    config = tmp_path / "config.toml"
    config.write_text(f'state_directory = "{tmp_path}"\n[model\n')
    answer = {"alerts": [], "count": 0, "text": "reloaded"}
    server = ControlServer(tmp_path, {name: lambda _: answer for name in ("status", "alerts", "reload")})
    stop = threading.Event()
    thread = threading.Thread(target=server.run, args=(stop,))
    thread.start()
    try:
        while not server.path.exists():
            assert thread.is_alive()
            stop.wait(0.02)
        assert main([*words, "--config", str(config)]) == 0, capsys.readouterr().err
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize(
    ("state", "well"),
    [
        ("running", True),
        ("done", True),
        ("waiting or warming up", True),
        ("stuck", False),
        ("given up", False),
    ],
)
def test_status_fails_where_a_worker_makes_no_progress(state, well):
    """A container's health check has nothing else to go by."""
    assert (
        works({"parts": [{"part": "analysis", "state": "running"}, {"part": "scheduler", "state": state}]})
        is well
    )
    health = Health(
        name="scheduler", silent_seconds=1.0, **{"stuck": state == "stuck", "given_up": state == "given up"}
    )
    assert (health.state in {"stuck", "given up"}) is not well, "the words are the worker's own"


def test_grafana_to_where_nothing_can_be_written_is_one_line():
    done = subprocess.run(
        [sys.executable, "-m", "agent", "grafana", "export", "/proc/x"], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr.startswith("vedette: /proc/x/") and done.stderr.count("\n") == 1


def test_check_writes_real_bytes_and_leaves_nothing(tmp_path):
    assert "MB free" in _state(Settings(state_directory=str(tmp_path)))
    assert list(tmp_path.iterdir()) == []


def test_check_on_a_full_disk_fails(tmp_path):
    code = f"""
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))  # an empty or a small file can be written
from agent.cli.check import attempt, _state
from agent.config.schema import Settings
print(attempt("state", lambda: _state(Settings(state_directory={str(tmp_path)!r}))))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("('state', False, "), done.stdout


def test_an_alert_names_the_command_that_shows_its_page(capsys):
    """People on the box have no browser for the runbook's link."""
    from agent.cli.alerts import _print_alerts

    words = dict.fromkeys(("what", "expected", "window", "advice", "runbook", "held_back", "id"), "x")
    alert = {
        **words,
        "severity": "warning",
        "state": "firing",
        "rule": "disk",
        "evidence": {},
        "controls": {},
    }
    _print_alerts([alert], 1)
    assert "vedette rules show disk" in capsys.readouterr().out
