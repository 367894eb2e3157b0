"""The command that adds an optional part works from what the person has: a clone, the service, a wheel."""

import subprocess
import sys
from pathlib import Path

import pytest

import agent
from agent.core import installation
from agent.core.installation import Installation, how_to_add, libraries, source_of

REQUIRES = [
    "numpy>=1.24",
    "onnxruntime>=1.17; extra == 'cpu'",
    "ultralytics>=8.3 ; extra == 'export'",
    'onnx>=1.15; python_version > "3.9" and extra == "export"',
    "vedette[cpu]; extra == 'demo'",
    "amqtt>=0.11; extra == 'demo'",
    "apprise>=1.7; extra == 'notify'",
]


def installed(tmp_path, **changes):
    given = {"prefix": tmp_path / "env", "python": "/env/bin/python", "folder": None, "editable": False}
    return Installation(**{**given, "requires": REQUIRES, **changes})


def clone(path):
    (path / "scripts").mkdir(parents=True)
    (path / "pyproject.toml").touch()
    (path / "scripts" / "install.sh").touch()
    return path


def test_a_clone_is_installed_from_its_folder(tmp_path):
    folder = clone(tmp_path / "my clone")
    here = installed(tmp_path, folder=folder, editable=True)
    assert how_to_add("export", here) == f"/env/bin/python -m pip install -e '{folder}[export]'"
    assert "-e" not in how_to_add("export", installed(tmp_path, folder=folder))


def test_a_wheel_is_completed_by_the_libraries_own_names(tmp_path):
    here = installed(tmp_path)
    assert how_to_add("export", here) == "/env/bin/python -m pip install 'ultralytics>=8.3' 'onnx>=1.15'"
    assert libraries("demo", REQUIRES) == ["onnxruntime>=1.17", "amqtt>=0.11"]
    assert libraries("none", REQUIRES) == []


def test_the_service_is_installed_by_its_script_with_the_extras_that_it_has(tmp_path, monkeypatch):
    monkeypatch.setattr(installation, "find_spec", lambda name: name == "apprise" or None)
    (tmp_path / "env" / "share" / "vedette").mkdir(parents=True)
    (tmp_path / "env" / "share" / "vedette" / "install.sh").touch()
    folder = clone(tmp_path / "vedette")
    told = how_to_add("prometheus", installed(tmp_path, folder=folder))
    assert told == f"sudo {folder}/scripts/install.sh --extras notify,prometheus"
    told = how_to_add("prometheus", installed(tmp_path))
    assert told.endswith("--from BUNDLE, with a bundle made by `scripts/bundle --extras notify,prometheus`")


@pytest.mark.parametrize(
    "origin",
    ["", "{}", "[" * 9999, '{"url": 7}', '{"url": "file:///nowhere", "dir_info": {"editable": "yes"}}',
     '{"url": "https://x/vedette.whl", "archive_info": {}}', '{"url": "file:///nowhere", "dir_info": {}}',
     '{"url": "http://[bad", "dir_info": {}}'],
)  # fmt: skip
def test_an_origin_that_leads_nowhere_is_none(origin):
    assert source_of(origin) == (None, False)


def test_the_origin_that_pip_notes_is_read(tmp_path):
    folder = clone(tmp_path / "a b")
    text = f'{{"url": "file://{str(folder).replace(" ", "%20")}", "dir_info": {{"editable": true}}}}'
    assert source_of(text) == (folder, True)


def test_this_clone_names_itself_and_the_command_is_one_that_pip_takes():
    words = how_to_add("export")
    assert words.startswith(f"{sys.executable} -m pip install")
    root = Path(agent.__file__).parent.parent
    if (root / "pyproject.toml").is_file():
        folder = installation.found().folder
        assert folder is not None
        assert (folder / "pyproject.toml").is_file()


def test_no_hint_names_a_package_that_no_index_knows():
    """`pip install 'vedette[...]'` may stand in agent/core/installation.py alone, for a clone without anything else."""
    root = Path(agent.__file__).parent
    found = [
        str(path.relative_to(root))
        for path in root.rglob("*.py")
        if path.name != "installation.py" and "vedette[" in path.read_text()
    ]
    assert found == []


def test_the_command_line_says_it(tmp_path):
    script = (
        "import sys\n"
        "sys.modules['onnx'] = None\n"
        "import importlib.util as u; find = u.find_spec\n"
        "u.find_spec = lambda name, *more: None if name == 'onnx' else find(name, *more)\n"
        "from agent.__main__ import main\n"
        "sys.exit(main(['model', 'prepare', 'x.onnx']))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "-m pip install" in done.stderr
    assert "[export]" in done.stderr or "ultralytics" in done.stderr
    assert len(done.stderr.splitlines()) == 1
