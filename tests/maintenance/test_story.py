"""The loop is closed on the box, unattended: a model that went wrong is noticed, mended, proved, swapped, and watched.

Some ten minutes, for drift and training take their time. The steps are in story/run.py, docs/maintenance.md tells them.
"""

import os
import re

import pytest

from agent.features import FAMILIES
from tests.maintenance.story.run import Story

CONFIDENCE = {
    feature.name for family in FAMILIES if family.name == "confidence" for feature in family.features
}
"""What balloons that the model does not know change. Clouds and traffic, longer than a reference here, change others."""

ULTRALYTICS = os.environ.get("VEDETTE_TEST_ULTRALYTICS", "")


@pytest.mark.slow
@pytest.mark.skipif(not ULTRALYTICS, reason="VEDETTE_TEST_ULTRALYTICS names no Python that has ultralytics")
@pytest.mark.timeout(3600)
def test_the_loop_closes(tmp_path):
    pytest.importorskip("onnx")
    pytest.importorskip("cryptography")
    facts = Story(tmp_path, ULTRALYTICS).run()

    # drift is noticed, and its cause is named
    assert facts["causes"]["avenue"] == "fog"
    assert "drift of" in facts["alerts"]["crossing"]["what"]
    assert facts["alerts"]["avenue"]["advice"]

    # samples are kept, labelled, and say how right the model is
    assert {"audit", "drift"} <= set(facts["reasons"])
    assert facts["boxes"]["balloon"] > 30
    assert facts["accuracy_published"]["recall_ratio"] < 0.8

    # a better model is made, and shown to be
    assert "is better than demo.onnx" in facts["training"]
    assert "is better than demo.onnx" in facts["evaluation"]
    assert "finds none of" not in facts["training"], "the new class passes the agent's threshold"

    # what is tampered with, unsigned, bad or old does not come in
    assert "sha256" in facts["refused"]["tampered"]
    assert "not signed" in facts["refused"]["unsigned"]
    assert "labelled images its mAP50-95" in facts["refused"]["bad"]
    assert "version 1 is older than 2" in facts["refused"]["older"]

    # kill -9 leaves exactly the old or the new one
    assert facts["cut_before_switch"]["state"] == "refused"
    assert facts["in_force_after_cut"]["sha256"] == ""
    assert (facts["deployed"]["state"], facts["in_force"]["name"]) == ("kept", "now-trained")
    assert facts["note"] == ""

    # references follow, and what is accepted is normal
    assert {one["made_how"] for one in facts["followed"].values()} <= {"kept frames", "recording"}
    assert all(one["provisional"] for one in facts["followed"].values())
    states = dict(re.findall(r"^(avenue|crossing) +(\w+)", facts["drift_after"], re.MULTILINE))
    assert states["avenue"] == "normal", "the fog has lifted"
    after = facts["drifts"]
    assert len(after) > 20
    again = sum(ratio >= 1.0 and feature in CONFIDENCE for ratio, feature in after)
    assert again <= len(after) / 10, (
        "the balloons are normal, but for moments; clouds and traffic come and go"
    )

    # a worse one is returned by itself, and an alert says so
    assert facts["returned"]["state"] == "returned"
    assert "agrees with the running model" in facts["returned"]["reason"]
    assert facts["in_force_at_the_end"] == facts["in_force"]
