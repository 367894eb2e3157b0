"""Paths as file:// URLs."""

import pytest

from agent.core.file_url import local_path


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("/videos/a%20b.mp4", "/videos/a%20b.mp4"),
        ("file:///videos/a%20b%25.mp4", "/videos/a b%.mp4"),
        ("FILE:///videos/12:30.mp4", "/videos/12:30.mp4"),
        ("file://localhost/videos/a.mp4", "/videos/a.mp4"),
        ("file://relative/a.mp4", "relative/a.mp4"),
        ("file://~/a.mp4", "/home/me/a.mp4"),
        ("file:///~/a.mp4", "/home/me/a.mp4"),
        ("rtsp://h/a%20b", "rtsp://h/a%20b"),
    ],
)
def test_a_file_url_is_its_path(text, path, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert local_path(text) == path
