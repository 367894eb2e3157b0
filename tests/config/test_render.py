"""The shipped example and `config show`: complete, true, and without secrets."""

import re
import subprocess
import sys
from pathlib import Path

from agent.app.kinds import KINDS
from agent.cameras import CAMERAS
from agent.config.load import parse
from agent.config.render import example, show
from agent.config.schema import Settings

EXAMPLE = Path(__file__).parents[2] / "config.example.toml"


def test_the_shipped_example_is_what_the_declarations_say():
    assert EXAMPLE.read_text() == example(KINDS), "run: vedette config example > config.example.toml"


def test_the_reference_page_is_what_the_declarations_say():
    page = [sys.executable, "scripts/reference_page.py", "--check", "configuration.md"]
    done = subprocess.run(page, cwd=EXAMPLE.parent, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"run: python scripts/reference_page.py\n{done.stdout}{done.stderr}"


def test_the_example_as_it_is_means_all_defaults():
    assert parse(EXAMPLE.read_text(), KINDS) == Settings()


def test_uncommenting_every_default_changes_nothing():
    head, _, _ = EXAMPLE.read_text().partition("## One [[cameras]] table")
    text = re.sub(r"(?m)^# ([a-z_]+ = )", r"\1", head)
    assert text != head
    assert parse(text, KINDS) == Settings()


def test_every_camera_key_of_the_example_is_accepted():
    text = EXAMPLE.read_text()
    for kind in CAMERAS:
        own = text.partition(f'## With kind = "{kind}" these too:')[2].partition("\n\n")[0]
        lines = [line[2:] for line in own.splitlines() if re.match(r"# [a-z_]+ = ", line)]
        settings = parse("\n".join(["[[cameras]]", 'name = "x"', f'kind = "{kind}"', *lines]), KINDS)
        assert settings.cameras[0].options == CAMERAS.load(kind).Options(
            **{
                field: getattr(settings.cameras[0].options, field)
                for field in ("url", "device", "pipeline", "directory", "path")
                if hasattr(settings.cameras[0].options, field)
            }
        )


def test_what_is_shown_reads_back_and_hides_secrets():
    text = """
        [broker]
        url = "mqtts://user:secret@host:8883"
        password = "geheim"
        [[cameras]]
        name = "front"
        url = "rtsp://admin:hunter2@10.0.0.9/s"
        [[rules]]
        name = "slow"
        when = "camera.latency_p99_seconds > 0.5"
    """
    settings = parse(text, KINDS)
    shown = show(settings)
    for secret in ("secret@", "geheim", "hunter2"):
        assert secret not in shown
    assert parse(shown, KINDS).cameras[0].options.url.reveal() == "rtsp://***@10.0.0.9/s"
    assert show(parse(shown, KINDS)) == shown


def test_the_example_can_be_had_without_the_optional_libraries(monkeypatch):
    monkeypatch.setitem(sys.modules, "apprise", None)
    monkeypatch.delitem(sys.modules, "agent.notifiers.apprise", raising=False)
    text = example(KINDS)
    assert "## notifier 'apprise' needs the library 'apprise': " in text
    assert "[notify]" in text or "apprise>=" in text
    assert parse(text, KINDS) == Settings()
