"""What an alert says holds no text that a terminal, a journal or a mail would obey."""

import pytest

from agent.alerts.alert_text import AlertText, evidence_lines, journal_line

HOSTILE = "\x1b]52;c;cm0=\x07\nSubject: paid\r\u202e"


def plain(text):
    return all(sign.isprintable() for sign in text)


def test_what_a_camera_answers_is_escaped_in_every_sentence(drive):
    from agent.config.alert_settings import RuleSettings

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


def test_a_line_says_who_only_where_people_made_the_event(drive):
    from agent.alerts.controls import Control, ControlKind
    from agent.config.alert_settings import RuleSettings

    box = drive(RuleSettings(name="hot", when="camera.fps_in > 5 for 10s"))
    about = {"labels": {"camera": "front"}, "rule": "hot"}
    box.engine.apply(
        Control(kind=ControlKind.LIMIT, who="bob", why="a trial", at=box.now, value=6.0, **about)
    )
    box.go(2, 1.0, ("camera.fps_in", 9))
    (pending,) = box.engine.active_alerts(box.now)
    box.engine.apply(
        Control(kind=ControlKind.ACKNOWLEDGE, who="ada", why="on my way", at=box.now, alert=pending.alert.id)
    )
    (fired,) = box.go(20, 1.0, ("camera.fps_in", 9))
    assert journal_line(fired).startswith("WARNING: camera front: "), journal_line(fired)
    box.engine.apply(Control(kind=ControlKind.SNOOZE, who="eve", at=box.now, until=box.now + 60, **about))
    (snoozed,) = box.step()
    assert journal_line(snoozed).startswith("snoozed by eve: ")
