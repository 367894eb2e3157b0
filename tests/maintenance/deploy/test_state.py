"""The state machine of deployments against a model of it: every walk, with the agent killed at any point."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.errors import ModelError
from agent.core.untrusted import BadInput, parse_object
from agent.maintenance.deploy.journal import DeploymentJournal, from_json, to_json
from agent.maintenance.deploy.state import (
    CONFIGS,
    ENDED,
    IN_FORCE,
    KEPT_HISTORY,
    MOST_STARTS,
    WAY,
    Deployment,
    DeploymentStep,
    Models,
    ModelVersion,
    advance,
    begin,
    cannot_open,
    check_version,
    give_up,
    measure,
    roll_back,
    started,
)

NOTHING = Models(config_path="a.onnx")


def deployment(number, version=0):
    model = ModelVersion(sha256=f"{number:064x}", name=f"m{number}", version=version)
    return Deployment(id=f"d{number}", model=model, source="file", by="ann", begun_at=1.0, changed_at=1.0)


def at(step, models=NOTHING, number=1, version=0):
    models = begin(models, deployment(number, version))
    while models.deployment is not None and models.deployment.step is not step:
        models = advance(models, 2.0)
    return models


def test_the_whole_way_keeps_the_new_model_and_knows_the_old_one():
    models = at(DeploymentStep.KEPT, version=7)
    assert models.in_force.name == "m1"
    assert models.previous == CONFIGS
    assert models.floor == 7
    assert [one.step for one in models.history] == [DeploymentStep.KEPT]
    back = roll_back(models, "ann", 3.0, "r1")
    assert back.in_force == CONFIGS
    assert roll_back(back, "ann", 4.0, "r2").in_force.name == "m1", "and forth again"
    with pytest.raises(ModelError, match="older than 7"):
        check_version(back, 6)
    check_version(back, 7)


@pytest.mark.parametrize("step", WAY[:-1])
def test_who_gives_up_has_the_old_model(step):
    before = at(DeploymentStep.KEPT)
    models = give_up(at(step, before, 2), "too slow", 5.0)
    assert models.in_force == models.good == before.good
    assert models.latest.step is (DeploymentStep.RETURNED if step in IN_FORCE else DeploymentStep.REFUSED)
    assert models.latest.reason == "too slow"


@pytest.mark.parametrize("step", WAY[:-1])
def test_a_start_in_the_middle_has_exactly_the_old_or_the_new_model(step):
    before = at(DeploymentStep.KEPT)
    models = started(at(step, before, 2), "a.onnx", 5.0)
    if step in IN_FORCE:
        assert models.in_force.name == "m2"
        for _ in range(MOST_STARTS - 1):
            models = started(models, "a.onnx", 6.0)
        assert models.latest.step is DeploymentStep.RETURNED
    else:
        assert models.latest.step is DeploymentStep.REFUSED
        assert "deploy it again" in models.latest.reason
    assert models.in_force.name == "m1"


def test_one_at_a_time():
    with pytest.raises(ModelError, match="on its way"):
        begin(at(DeploymentStep.GATED), deployment(2))


def test_a_config_that_names_another_model_ends_what_was_deployed():
    models = started(at(DeploymentStep.PROBATION, at(DeploymentStep.KEPT), 2), "b.onnx", 5.0)
    assert models.in_force == CONFIGS
    assert models.deployment is None
    assert models.latest.step is DeploymentStep.RETURNED
    with pytest.raises(ModelError, match="nothing to roll back"):
        roll_back(models, "ann", 6.0, "r")


def test_what_cannot_be_opened_is_replaced_by_the_one_before_and_last_by_the_configs():
    models = at(DeploymentStep.PROBATION, at(DeploymentStep.KEPT, at(DeploymentStep.KEPT), 2), 3)
    seen = []
    for _ in range(3):
        models = cannot_open(models, "damaged", 5.0)
        seen.append(models.in_force.name)
    assert seen == ["m2", "m1", CONFIGS.name]
    with pytest.raises(ModelError, match="damaged"):
        cannot_open(models, "damaged", 5.0)


OPERATIONS = st.lists(
    st.sampled_from(["begin", "advance", "give_up", "kill", "cannot_open", "roll_back", "config", "measure"]),
    max_size=60,
)


@given(OPERATIONS, st.lists(st.integers(1, 9), min_size=60, max_size=60))
def test_every_walk_holds_the_laws(operations, versions):
    models = NOTHING
    for number, (what, version) in enumerate(zip(operations, versions, strict=False)):
        before = models
        try:
            models = operate(what, before, number, version)
        except ModelError:
            assert models == before, "an error changes nothing"
            continue
        check_laws(before, models, what)


def operate(what, models, number, version):
    operations = {
        "begin": lambda: begin(models, deployment(number, version)),
        "advance": lambda: advance(models, number, numbers={"agreement": 0.5}),
        "give_up": lambda: give_up(models, "no", number),
        "measure": lambda: measure(models, {"latency": 1.0}),
        "kill": lambda: started(from_json(parse_object(_text(models))), models.config_path, number),
        "cannot_open": lambda: cannot_open(models, "damaged", number),
        "roll_back": lambda: roll_back(models, "ann", number, f"r{number}"),
        "config": lambda: started(models, f"{number}.onnx", number),
    }
    return operations[what]()


def check_laws(before, models, what):
    allowed = {before.in_force, before.good, before.previous or CONFIGS, CONFIGS}
    if what == "advance":
        allowed.add(before.deployment.model)
    assert models.in_force in allowed, "exactly a model that was known"
    assert what != "config" or models.in_force == CONFIGS
    assert models.floor >= before.floor
    assert len(models.history) <= KEPT_HISTORY
    assert all(one.step in ENDED for one in models.history)
    if models.in_force.sha256:
        assert models.in_force.sha256 in models.needed, "it is never removed from the store"
    if models.deployment is None:
        return
    assert models.deployment.step not in ENDED
    assert what != "kill" or models.deployment.step in IN_FORCE
    if before.deployment is not None and before.deployment.id == models.deployment.id:
        assert WAY.index(models.deployment.step) >= WAY.index(before.deployment.step)


def _text(models):
    return json.dumps(to_json(models))


def test_the_journal_reads_what_it_wrote_and_takes_the_configs_model_for_what_it_cannot_read(tmp_path):
    journal, models = (
        DeploymentJournal(tmp_path),
        measure(at(DeploymentStep.PROBATION, at(DeploymentStep.KEPT), 2), {"agreement": 0.875}),
    )
    assert journal.read("a.onnx") == NOTHING
    journal.write(models)
    assert journal.read("a.onnx") == models
    whole = (tmp_path / "deploy.json").read_bytes()
    for length in range(0, len(whole), 7):
        (tmp_path / "deploy.json").write_bytes(whole[:length])
        assert journal.read("a.onnx") == NOTHING


def test_whatever_an_error_says_the_journal_is_read_again_with_its_floor(tmp_path):
    """A model's file may put any text into an error; what cannot be read would forget the least version."""
    journal, kept = DeploymentJournal(tmp_path), at(DeploymentStep.PROBATION, at(DeploymentStep.KEPT), 7)
    kept = replace(kept, floor=7)
    for odd in ("x" * 5000, "\n\x00\ud800" * 3000, "é" * 100_000):
        for models in (
            cannot_open(kept, odd, 5.0),
            give_up(kept, odd, 5.0),
            measure(kept, {"ratio": 0.5, "odd": float("nan"), "endless": float("inf")}, odd),
            replace(kept, history=(replace(kept.deployment, source=odd, by=odd, reason=odd, note=odd),) * 50),
        ):
            journal.write(models)
            again = journal.read("other.onnx")
            assert (again.config_path, again.floor, again.good) == (models.config_path, 7, models.good)
            assert len(again.history) == len(models.history)
            assert again.deployment is None or again.deployment.numbers.get("ratio", 0.5) == 0.5


@pytest.mark.parametrize(
    "change",
    [{"good": None}, {"floor": -1}, {"history": [1]}, {"deployment": {"id": "x"}}, {"config_path": 3}],
)
def test_a_journal_of_another_shape_is_refused(change):
    with pytest.raises(BadInput):
        from_json({**to_json(at(DeploymentStep.GATED)), **change})


def test_an_unknown_step_is_refused():
    body = to_json(at(DeploymentStep.GATED))
    with pytest.raises(BadInput, match="step"):
        from_json({**body, "deployment": {**body["deployment"], "step": "landed"}})
    assert replace(NOTHING).latest is None
