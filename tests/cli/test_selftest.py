"""`vedette selftest`: what an upgrade trusts before it switches over."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def selftest(folder, config):
    file = folder / "v.toml"
    file.write_text(config)
    return subprocess.run(
        [sys.executable, "-m", "agent", "selftest", "--config", file],
        cwd=ROOT, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


CONFIG = """
state_directory = "{state}"
[broker]
url = "mqtt://broker.invalid:1883"
[[cameras]]
name = "front"
url = "rtsp://camera.invalid/"
[[notifiers]]
name = "hook"
url = "http://hook.invalid/"
"""


def test_an_installation_that_works_reports_it_and_leaves_no_trace(tmp_path):
    done = selftest(tmp_path, CONFIG.format(state=tmp_path / "state"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "works with" in done.stdout
    assert "frames/s went through the model" in done.stdout
    assert not (tmp_path / "state").exists(), "the real state is not touched"


def test_a_model_that_is_broken_fails_it(tmp_path):
    shutil.copy(ROOT / "agent/detection/demo.onnx", tmp_path / "cut.onnx")
    with (tmp_path / "cut.onnx").open("r+b") as file:
        file.truncate(1000)
    done = selftest(tmp_path, CONFIG.format(state=tmp_path) + '[model]\npath = "cut.onnx"\n')
    assert done.returncode == 1
    assert "cut.onnx" in done.stderr


def test_a_bad_config_has_its_own_exit_code(tmp_path):
    done = selftest(tmp_path, CONFIG.format(state=tmp_path) + "[modell]\n")
    assert done.returncode == 78
    assert "did you mean 'model'?" in done.stderr


@pytest.mark.parametrize("command", ["selftest", "check"])
def test_a_model_that_is_none_is_reported_in_words(tmp_path, capsys, command):
    from agent.__main__ import main

    os.mkfifo(tmp_path / "model.onnx")
    config = tmp_path / "v.toml"
    config.write_text(
        f'state_directory = "{tmp_path}"\n[model]\npath = "{tmp_path}/model.onnx"\n'
        '[[cameras]]\nname = "a"\nkind = "synthetic"\n[broker]\nurl = "mqtt://127.0.0.1:9"\n'
    )
    words = ["selftest", "--config", str(config)] if command == "selftest" else ["check", str(config)]
    assert main(words) == 1
    output = capsys.readouterr()
    output = " ".join((output.out + output.err).split())
    assert "is not a plain file; give the path of a model's file" in output
