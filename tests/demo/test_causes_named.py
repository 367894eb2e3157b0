"""The demo's incidents are named rightly, by the real agent over a real broker: also where its cameras are drawn anew.

Its disturbances share no code with those that causes are recognised by. A busy machine learns late, so that the incident
waits until causes are known.
"""

import io
import re

import pytest
from rich.console import Console

from agent.demo import show
from agent.demo.incident import INCIDENT
from agent.references.store import SIGNATURES, ReferenceStore
from tests.waiting import wait_until

CAUSES = {"crossing": "fog", "avenue": "noise", "aisle": "colour_cast"}
"""Of the cameras that drift; the fourth freezes."""

ACTIONS = {"fog": "wait", "noise": "mend", "colour_cast": "mend"}


def ready(service):
    """Whether causes can be named, and the references are whole."""
    store = ReferenceStore(service.state_directory)
    states = {one["camera"]: one for one in service.handlers["drift"]({})["cameras"]}
    return all(
        store.read(camera, SIGNATURES) is not None and states[camera]["recording"] is None
        for camera in CAUSES
    )


@pytest.mark.slow
@pytest.mark.broker
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("others", [0, 20])
def test_each_incident_is_named_rightly_and_never_by_another_name(others, monkeypatch, listen):
    drawn = re.sub(r"seed = (\d)", lambda found: f"seed = {int(found[1]) + others}\nfps = 3", show.CONFIG)
    patient = drawn.replace("learn_share = 1.0", "learn_share = 1.0\nlearn_busy_limit = 1.0")
    monkeypatch.setattr(show, "CONFIG", patient)
    with show.Demo(Console(file=io.StringIO())) as demo:
        ears = listen(int(demo.broker.url.rpartition(":")[2]))
        wait_until(lambda: ready(demo.service), 900)
        before = len(ears.messages)
        for step in INCIDENT[: len(CAUSES) + 1]:
            demo.service.camera_set.camera(step.camera).set_disturbance(step.disturbance, step.strength)

        def named(heard, camera):
            """The causes that alerts on a camera had, in order."""
            alerts = [m.body for m in heard[before:] if f"/alert/drift-{camera}" in m.topic and m.payload]
            return [alert["evidence"].get("cause", {}).get("name", "") for alert in alerts]

        for camera, cause in CAUSES.items():
            ears.wait(lambda heard, camera=camera, cause=cause: cause in named(heard, camera), 240)
        ears.wait(lambda heard: any("/alert/camera_frozen" in m.topic for m in heard), 120)
        for camera, cause in CAUSES.items():
            ears.wait(
                lambda heard, camera=camera, cause=cause: any(
                    m.topic.endswith(f"/advice/{camera}")
                    and (m.body["cause"], m.body["action"]) == (cause, ACTIONS[cause])
                    for m in heard[before:]
                ),
                120,
            )
            assert set(named(ears.messages, camera)) <= {cause, "unknown", ""}, camera
