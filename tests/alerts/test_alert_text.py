"""What an alert says holds no text that a terminal, a journal or a mail would obey."""

import pytest

from agent.alerts.alert_text import AlertText, evidence_lines, journal_line

HOSTILE = "\x1b]52;c;cm0=\x07\nSubject: paid\r\u202e"


def plain(text):
    return all(sign.isprintable() for sign in text)


def test_what_a_camera_answers_is_escaped_in_every_sentence(drive):
    from agent.config.schema import RuleSettings

    drive = drive(RuleSettings(name="down", when="camera.down for 1s"))
    drive.observe("camera.down", 1, text=f"server says {HOSTILE}")
    drive.go(5, 1.0, ("camera.down", 1))
    published = drive.observe("camera.down", 1, text=HOSTILE) or drive.published
    assert published
    for alert in drive.published:
        assert plain(alert.what)
        assert plain(alert.expected)
        assert plain(journal_line(alert))


@pytest.mark.parametrize("name", ["what", "expected", "window"])
def test_no_sentence_can_be_made_of_anything_else(name):
    words = AlertText(**{"what": "a", "expected": "b", "window": "c", name: HOSTILE * 1000})
    assert plain(getattr(words, name))
    assert len(getattr(words, name)) < 10_000


def test_evidence_with_a_class_of_that_name_is_escaped_too():
    lines = evidence_lines({"features": {HOSTILE: {"ratio": 1.5}}, "classes": [HOSTILE]})
    assert len(lines) == 2
    assert all(plain(line) for line in lines)
