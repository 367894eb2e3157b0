"""What the agent starts gets no password from its environment: whoever starts a process says which one it has."""

import ast
from pathlib import Path

import pytest

import agent
from agent.core.child_environment import child_environment

ROOT = Path(agent.__file__).parent
STARTS = {"run", "Popen", "call", "check_call", "check_output", "getoutput", "getstatusoutput"}
OWN = ROOT / "core" / "child_environment.py"


def breaches(source):
    """Lines that start a process with the whole environment, or that copy it."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in STARTS:
            ours = isinstance(node.func.value, ast.Name) and node.func.value.id == "subprocess"
            if ours and not any(keyword.arg == "env" for keyword in node.keywords):
                found.append(node.lineno)
        elif isinstance(node, ast.ImportFrom) and node.module == "subprocess":
            found += [node.lineno for name in node.names if name.name in STARTS]
        elif isinstance(node, ast.Dict):
            found += [
                value.lineno
                for key, value in zip(node.keys, node.values, strict=True)
                if key is None and ast.unparse(value) == "os.environ"
            ]
        elif isinstance(node, ast.Call) and ast.unparse(node).startswith(
            ("dict(os.environ", "os.environ.copy(")
        ):
            found.append(node.lineno)
    return found


@pytest.mark.parametrize(
    "source",
    ["subprocess.run(['a'])", "subprocess.Popen(['a'], cwd='/')", "from subprocess import run",
     "environment = {**os.environ, 'A': '1'}", "dict(os.environ)", "os.environ.copy()"],
)  # fmt: skip
def test_a_planted_breach_is_seen(source):
    assert breaches(source)


def test_every_process_is_given_its_environment():
    found = {
        str(path.relative_to(ROOT)): lines
        for path in ROOT.rglob("*.py")
        if path != OWN and (lines := breaches(path.read_text(encoding="utf-8")))
    }
    assert not found, f"give env=child_environment(): {found}"


def test_passwords_and_the_sockets_of_systemd_stay_here(monkeypatch):
    for name in ("VEDETTE_MQTT_PASSWORD", "CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET", "WATCHDOG_USEC"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("LANG", "C.UTF-8")
    kept = child_environment()
    assert kept["LANG"] == "C.UTF-8"
    assert not [
        name for name in kept if name.startswith(("VEDETTE_", "CREDENTIALS_", "NOTIFY_", "WATCHDOG_"))
    ]
