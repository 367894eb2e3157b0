"""`vedette grafana export`: files where they were asked for, or one line."""

import json
import os

import pytest

from agent.__main__ import main


def test_dashboards_are_written_and_written_again(tmp_path, capsys):
    for _ in range(2):
        assert main(["grafana", "export", str(tmp_path / "deep" / "er")]) == 0
    files = sorted((tmp_path / "deep" / "er").iterdir())
    assert len(files) >= 4
    assert all(json.loads(path.read_text())["title"] for path in files)


@pytest.mark.parametrize("place", ["/proc/x", "/dev/null", "file"])
def test_a_place_that_cannot_be_written_is_one_line(tmp_path, capsys, monkeypatch, place):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("mine")
    assert main(["grafana", "export", place]) == 1
    output = capsys.readouterr().err
    assert "cannot be written" in output
    assert len(output.splitlines()) == 1
    assert (tmp_path / "file").read_text() == "mine"


def test_a_link_in_the_way_is_not_followed(tmp_path, capsys):
    main(["grafana", "export", str(tmp_path / "out")])
    one = next((tmp_path / "out").iterdir())
    (tmp_path / "precious").write_text("keep")
    one.unlink()
    os.symlink(tmp_path / "precious", one)
    assert main(["grafana", "export", str(tmp_path / "out")]) == 1
    assert "is a link" in capsys.readouterr().err
    assert (tmp_path / "precious").read_text() == "keep"
