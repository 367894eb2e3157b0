"""`vedette model deploy`, `rollback`, `history`, `keygen` and `sign`, as a person types them."""

import json
import stat
import threading
from dataclasses import replace

import pytest

from agent.__main__ import main
from agent.app.control_socket import ControlServer
from agent.maintenance.deploy import signing
from tests.maintenance.deploy.conftest import QUICK


@pytest.fixture
def served(box, tmp_path):
    """Serves the commands of a deployer at the control socket of its state directory."""
    started = []

    def start(settings=QUICK):
        here = box(settings)
        server, stop = ControlServer(tmp_path / "state", here.handlers), threading.Event()
        thread = threading.Thread(target=server.run, args=(stop,))
        thread.start()
        started.append((stop, thread))
        deadline = threading.Event()
        while not server.path.exists():
            assert not deadline.wait(0.02)
        return here

    yield start
    for stop, thread in started:
        stop.set()
        thread.join(30)


@pytest.fixture
def typed(tmp_path, capsys):
    def run(*words):
        code = main(["model", *map(str, words)])
        return code, capsys.readouterr()

    return run


def test_a_signed_model_from_the_keys_to_the_rollback(served, typed, other_model, tmp_path):
    state = ("--state", tmp_path / "state")
    code, out = typed("keygen", "--out", tmp_path / "release")
    assert code == 0, out.err
    assert stat.S_IMODE((tmp_path / "release.key").stat().st_mode) == 0o600
    code, out = typed("keygen", "--out", tmp_path / "release")
    assert code == 1
    assert "is there already" in out.err

    here = served(replace(QUICK, public_keys=(str(tmp_path / "release.pub"),)))
    code, out = typed("deploy", other_model, *state)
    assert code == 1
    assert "not signed" in out.out

    words = ("sign", other_model, "--key", tmp_path / "release.key", "--version")
    code, out = typed(*words, "7", "--for", "90d")
    assert code == 0, out.err
    assert signing.path_of(other_model).exists()
    code, out = typed("deploy", other_model, *state)
    assert code == 0, out
    assert "kept" in out.out
    assert not list((tmp_path / "state" / "models" / "incoming").iterdir()), (
        "the copy for the agent is removed"
    )

    code, out = typed("history", *state)
    assert "in force: yard version 7" in out.out
    assert "refused" in out.out
    code, out = typed("rollback", *state)
    assert (code, out.out) == (0, "in force: the config's model\n")
    assert here.detector.info.name == "demo"

    typed(*words, "6")
    code, out = typed("deploy", other_model, *state)
    assert code == 1
    assert "version 6 is older than 7" in out.out
    code, out = typed("deploy", other_model, "--older", "--no-wait", *state)
    assert code == 0
    code, out = typed("history", "--json", *state)
    assert json.loads(out.out)["least_version"] == 7


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("sign", "none.onnx", "--key", "k", "--version", "1"), "none.onnx"),
        (("sign", "none.onnx", "--key", "k", "--version", "0"), "--version 0"),
        (
            ("sign", "none.onnx", "--key", "k", "--version", "1", "--for", "soon"),
            "--for: 'soon' is not a duration",
        ),
        (("deploy", "none.onnx", "--state", "/nowhere"), "no agent answers"),
        (("history", "--state", "/nowhere"), "no agent answers"),
    ],
)
def test_slips_are_answered_in_one_line(typed, words, reason):
    code, out = typed(*words)
    assert code
    assert reason in out.err
    assert "Traceback" not in out.err
