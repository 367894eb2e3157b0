"""Advice as it is published: once, anew where it changed, with the course that the recorded week shows."""

import dataclasses
import threading
from types import SimpleNamespace

import numpy as np
import pytest

from agent.alerts.runtime.observation_log import ObservationLog
from agent.app.advising import Advisor
from agent.core.types import Observation
from agent.drift.advice import Situation
from agent.drift.course import DAY

NOW = 19_000 * DAY
SINCE = NOW - 3 * 3600.0


@pytest.fixture
def camera(tmp_path):
    """An advisor, the situation that it finds, and what it published."""
    known = SimpleNamespace(
        situation=Situation(camera="front"), published=[], golden="agrees", state=tmp_path, advisor=None
    )
    references = SimpleNamespace(
        writer=SimpleNamespace(ask=lambda _what, task: task()),
        situation=lambda _camera: known.situation,
        situations=lambda _args: [known.situation],
    )
    known.advisor = Advisor(references, tmp_path, golden=lambda: known.golden, publish=known.published.append)
    return known


def record(state, *, step_at):
    """Two days of a camera's minutes, in which brightness steps, beside another camera's."""
    log, random = ObservationLog(state), np.random.default_rng(1)
    for minute in np.arange(NOW - 2 * DAY, NOW, 60.0):
        values = {
            "camera.feature_brightness_mean": 100 + random.standard_normal() + 30 * (minute >= step_at),
            "drift.ratio": 0.2 + 3.0 * (minute >= step_at),
        }
        log.record(
            [Observation(metric=name, value=value, at=minute, labels={"camera": "front"}) for name, value in values.items()]
            + [Observation(metric="camera.feature_brightness_mean", value=7.0, at=minute, labels={"camera": "back"})],
            minute,
        )  # fmt: skip
    log.flush(NOW)


def drifting(lasts, **known):
    return Situation(
        camera="front", since=SINCE, lasts=lasts, cause="dirt", confidence=0.9, features=4, **known
    )


def test_advice_is_published_once_and_again_where_it_changed(camera, monkeypatch):
    for _ in range(3):
        camera.advisor.window("front")
    camera.situation = drifting(1300.0)
    for lasts in range(1300, 2000, 60):
        monkeypatch.setattr("agent.core.clock.now", lambda lasts=lasts: 1e6 + lasts)
        camera.situation = dataclasses.replace(drifting(float(lasts)), features=4 + lasts % 3)
        camera.advisor.window("front")
    bodies = [draft.body for draft in camera.published]
    assert [body["action"] for body in bodies] == ["nothing", "mend", "mend"]
    assert bodies[1]["drift_since"] == SINCE
    assert "features are over the limit" in bodies[1]["for_it"]
    assert all(draft.retain and draft.topic == "advice/front" for draft in camera.published)
    camera.golden = "differs"
    camera.advisor.window("front")
    assert camera.published[-1].body["action"] == "check_model"


def test_a_camera_that_comes_back_is_advised_on_anew(camera):
    camera.advisor.window("front")
    camera.advisor.remove("front")
    camera.advisor.window("front")
    assert len(camera.published) == 2


def test_the_recorded_week_tells_how_a_drift_came(camera):
    record(camera.state, step_at=SINCE)
    camera.situation = drifting(NOW - SINCE)
    [answer] = camera.advisor.handlers()["advice"]({})["cameras"]
    assert (answer["change"], answer["returns"]) == ("abrupt", "")
    assert answer["change_since"] == pytest.approx(SINCE, abs=1800)
    assert any(reason.startswith("it came at once, at 20") for reason in answer["for_it"])


def test_commands_and_windows_may_come_at_once(camera):
    record(camera.state, step_at=SINCE)
    camera.situation = drifting(NOW - SINCE)
    threads = [threading.Thread(target=camera.advisor.window, args=("front",)) for _ in range(4)]
    for thread in threads:
        thread.start()
    answers = [camera.advisor.handlers()["advice"]({}) for _ in range(4)]
    for thread in threads:
        thread.join()
    assert {answer["cameras"][0]["change"] for answer in answers} == {"abrupt"}
