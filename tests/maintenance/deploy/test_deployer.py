"""A new model is put in force while the old one runs, and goes back; models, files and threads are real."""

import hashlib
import json
import threading
import time
from dataclasses import replace

import pytest
import structlog

from agent.app.service import Service
from agent.cameras.kinds.synthetic.camera import SyntheticOptions
from agent.config.delivery_settings import BrokerSettings, CommandSettings
from agent.config.schema import CameraSettings, Settings, TelemetrySettings, WindowSettings
from agent.core.errors import VedetteError
from agent.delivery.messages import rfc3339
from agent.delivery.verify.schemas import schema
from agent.detection.opening import DEMO_MODEL
from agent.maintenance.deploy import signing
from agent.maintenance.deploy.journal import DeploymentJournal
from agent.maintenance.deploy.state import CONFIGS, DeploymentStep
from tests.maintenance.deploy.conftest import MODEL, QUICK, ask, outcome, signature
from tests.waiting import wait_until

jsonschema = pytest.importorskip("jsonschema")


@pytest.fixture(autouse=True)
def own_log():
    yield
    structlog.reset_defaults()


def until_runs(service, sha256):
    """The journal comes first, the exchange follows."""
    wait_until(lambda: service.detector.info.sha256 == sha256, 60)


@pytest.mark.broker
def test_in_a_whole_agent_by_mqtt_no_frame_is_lost_and_it_survives_a_restart(
    other_model, tmp_path, key_pair, mosquitto, listen
):
    broker = mosquitto()
    ears = listen(broker.port, "vedette/#")
    signing.path_of(other_model).write_bytes(
        signature(key_pair[0], other_model, hashlib.sha256(other_model.read_bytes()).hexdigest(), version=3)
    )
    settings = Settings(
        state_directory=str(tmp_path / "state"),
        broker=BrokerSettings(url=broker.url),
        commands=CommandSettings(enabled=True, allow=("model_deploy",)),
        windows=WindowSettings(length=1.0),
        telemetry=TelemetrySettings(gpu=False, temperatures=False),
        model=replace(MODEL, lanes=2),
        deploy=replace(QUICK, public_keys=(key_pair[1],)),
        cameras=(CameraSettings(name="drawn", kind="synthetic", options=SyntheticOptions(fps=5.0)),),
    )
    seen, after = [], threading.Event()

    def on_frame(result):
        seen.append(result.frame.index)
        if service.detector.info.name == "yard":
            after.set()

    service = Service(settings, on_frame=on_frame)
    service.open()
    service.start()
    try:
        old = service.detector.info
        prefix = ears.wait(
            lambda heard: next(
                (m.topic.removesuffix("/status") for m in heard if m.topic.endswith("/status")), None
            ),
            60,
        )
        order = {"id": "d7", "time": rfc3339(time.time()), "path": str(other_model), "who": "ann"}
        ears._client.publish(f"{prefix}/command/model_deploy", json.dumps(order), qos=1)
        reply = ears.wait(
            lambda heard: next((m.body for m in heard if m.topic == f"{prefix}/reply/d7"), None), 60
        )
        assert reply["ok"], reply
        done = outcome(service, reply)
        assert (done["state"], done["by"], done["model"]["version"]) == ("kept", "ann", 3), done
        assert done["numbers"]["agreement_ratio"] == 1.0
        published = ears.wait(
            lambda heard: next(
                (m.body for m in heard if m.topic.endswith("/info") and m.body["deployment_state"] == "kept"),
                None,
            ),
            60,
        )
        assert published["deployment_id"] == done["id"]
        assert published["model_name"] == "yard"
        jsonschema.validate(published, schema("info"))
        info = service.device.info()
        assert (info["model_name"], info["deployment_state"]) == ("yard", "kept")
        new = info["model_sha256"]
        assert new != old.sha256
        assert after.wait(60)
        assert service.analyst.settle(60)
        monitors = []
        service.analyst.submit(lambda: monitors.append(service.references._monitors["drawn"]))
        assert service.analyst.settle(60)
        assert monitors[0].subject.model_sha256 == new, "the reference follows the model"
        assert service.scheduler.counts.failed == 0
        assert seen == sorted(seen), "the frames of before come before those of after"
    finally:
        service.stop()

    service = Service(settings)
    service.open()
    service.start()
    try:
        assert service.detector.info.sha256 == new, "it survives a restart"
        assert ask(service, "model_rollback", who="ann")["text"] == "in force: the config's model"
        assert service.detector.info.sha256 == old.sha256
        assert ask(service, "model_deployments")["previous"]["name"] == "yard"
    finally:
        service.stop()


def test_a_config_that_names_another_model_counts(box, other_model, tmp_path):
    here = box()
    done = outcome(here, ask(here, "model_deploy", path=str(other_model)))
    assert done["state"] == "kept"
    assert here.steps == [*DeploymentStep][1:9], "each step once, in order"
    named = tmp_path / "named.onnx"
    named.write_bytes(other_model.read_bytes())
    here = box(model=replace(MODEL, path=str(named)))
    assert here.detector.info.path == str(named)
    with pytest.raises(VedetteError, match="nothing to roll back"):
        ask(here, "model_rollback")


def test_what_does_not_pass_is_refused_with_its_reason_and_the_old_model_runs_on(
    box, other_model, tmp_path, key_pair
):
    key, public = key_pair
    service = box(replace(QUICK, public_keys=(public,), least_agreement=1.0))
    old = service.detector.info.sha256

    def refused(path=other_model, **args):
        done = outcome(service, ask(service, "model_deploy", path=str(path), **args))
        assert done["state"] == "refused", done
        assert service.detector.info.sha256 == old
        return done["reason"]

    assert "not signed" in refused()
    signed = signature(key, other_model, service.deployments.store.copy(other_model, 1 << 30).sha256)
    signing.path_of(other_model).write_bytes(signed)
    other_model.write_bytes(other_model.read_bytes()[:-1] + b"x")
    assert "of another file" in refused()
    assert "cannot be read" in refused(tmp_path / "none.onnx")
    assert "expected 000" in refused(sha256="0" * 64)

    service.deployer.settings = replace(QUICK, most_memory=-1)
    assert "[deploy] most_memory" in refused()
    service.deployer.settings = replace(QUICK, most_latency_ratio=0.0001)
    assert "[deploy] most_latency_ratio" in refused()
    states = [one["state"] for one in ask(service, "model_deployments")["history"]]
    assert set(states) == {"refused"}


def test_a_model_that_finds_other_things_is_refused(box, tmp_path):
    onnx = pytest.importorskip("onnx")
    service = box()
    model = onnx.load(service.detector.info.path)
    for entry in model.metadata_props:
        if entry.key == "names":
            names = json.dumps([f"other{n}" for n in range(len(service.detector.info.classes))])
            entry.value = names
    path = tmp_path / "renamed.onnx"
    onnx.save(model, path)
    done = outcome(service, ask(service, "model_deploy", path=str(path)))
    assert done["state"] == "refused"
    assert "agrees with the running model in 0%" in done["reason"]
    assert done["numbers"]["agreement_ratio"] == 0.0


def test_in_its_probation_a_person_or_a_failure_returns_it_and_a_start_goes_on(box, other_model):
    watched = replace(QUICK, probation=3600.0)
    service = box(watched)
    old = service.detector.info.sha256
    reply = ask(service, "model_deploy", path=str(other_model))
    outcome(service, reply, "probation")
    new = service.detector.info.sha256
    assert new != old
    with pytest.raises(VedetteError, match="on its way"):
        ask(service, "model_deploy", path=str(other_model))

    service = box(watched)
    assert service.detector.info.sha256 != old, "a start in the probation has the new model"
    assert ask(service, "model_deployments")["deployment"]["state"] == "probation"
    assert service.deployer.observations(service.deployments.models.deployment.changed_at)[0].value == 0

    service.counts.failed += 10_000
    done = outcome(service, reply)
    assert done["state"] == "returned"
    assert "it failed on" in done["reason"]
    until_runs(service, old)
    latest = service.deployments.models.latest
    assert service.deployer.observations(latest.changed_at + 1)[0].value == 1.0
    assert service.deployer.observations(latest.changed_at + 1e6)[0].value == 0.0

    reply = ask(service, "model_deploy", path=str(other_model))
    outcome(service, reply, "probation")
    assert ask(service, "model_rollback", who="ann")["text"] == "in force: the config's model"
    done = outcome(service, reply)
    assert (done["state"], done["reason"]) == ("returned", "rolled back by ann")
    assert service.detector.info.sha256 == old
    assert service.deployer.observations(done["changed_at"])[0].value == 0, "that is no alert"


def test_a_damaged_deployed_model_is_replaced_at_the_start(box, other_model, tmp_path):
    service = box()
    old = service.detector.info.sha256
    outcome(service, ask(service, "model_deploy", path=str(other_model)))
    path = service.deployments.store.path(service.deployments.models.good)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    service = box()
    assert service.detector.info.sha256 == old
    assert service.deployments.models.in_force == CONFIGS
    latest = DeploymentJournal(tmp_path / "state" / "models").read("").latest
    assert latest.step is DeploymentStep.RETURNED
    assert "damaged" in latest.reason


def test_a_file_that_is_replaced_after_it_was_verified_is_not_run(box, other_model):
    service = box()
    noted = service.deployer._running.changed

    def changed():
        noted()
        deployment = service.deployments.models.deployment
        if deployment is not None and deployment.step is DeploymentStep.VERIFIED:
            service.deployments.store.path(deployment.model).write_bytes(
                DEMO_MODEL.read_bytes() + b"\x1a\x05evil!"
            )

    object.__setattr__(service.deployer._running, "changed", changed)
    done = outcome(service, ask(service, "model_deploy", path=str(other_model)))
    assert done["state"] == "refused", "it must not be opened beside the cameras, nor switched to"
    assert "was replaced" in done["reason"]


def test_the_network_gives_signed_models_only_and_none_that_is_older(box, other_model, key_pair):
    service = box()
    remote = service.deploy_requests.remote()["model_deploy"]
    with pytest.raises(VedetteError, match="must be signed"):
        remote({"path": str(other_model)})
    service.deployer.settings = replace(QUICK, public_keys=(key_pair[1],))
    with pytest.raises(VedetteError, match="on the device alone"):
        remote({"path": str(other_model), "older": True})
    with pytest.raises(VedetteError, match="argument 'sah256'"):
        remote({"path": str(other_model), "sah256": "0"})


def test_an_order_names_one_place_and_shows_no_secret_of_it(box, other_model):
    here = box()
    for args in ({}, {"path": "a", "url": "https://h/a"}):
        with pytest.raises(VedetteError, match="one of `path`"):
            ask(here, "model_deploy", **args)
    with pytest.raises(VedetteError, match="`sha256` is missing"):
        ask(here, "model_deploy", url="https://h/a.onnx?token=hunter2")
    with pytest.raises(VedetteError, match="not an HTTPS address"):
        ask(here, "model_deploy", url="http://h/a.onnx", sha256="0" * 64)
    reply = ask(here, "model_deploy", url="https://127.0.0.1:1/a.onnx?token=hunter2", sha256="0" * 64)
    assert reply["deployment"]["source"] == "https://127.0.0.1:1/a.onnx"
    ask(here, "model_rollback", who="ann")
    done = outcome(here, reply)
    assert (done["state"], done["reason"]) == ("refused", "rolled back by ann")
    assert "hunter2" not in json.dumps(ask(here, "model_deployments"))


def test_a_probation_goes_on_where_the_model_before_is_no_more(box, other_model, tmp_path):
    """The new one is not returned for that: there is nothing to go back to."""
    named = tmp_path / "named.onnx"
    named.write_bytes(DEMO_MODEL.read_bytes())
    model, watched = replace(MODEL, path=str(named)), replace(QUICK, probation=3600.0)
    service = box(watched, model)
    reply = ask(service, "model_deploy", path=str(other_model))
    outcome(service, reply, "probation")
    new = service.detector.info.sha256
    named.unlink()
    with structlog.testing.capture_logs() as logs:
        service = box(watched, model)
        wait_until(lambda: any(one["event"].startswith("the old model cannot be opened") for one in logs), 60)
    assert service.deployments.models.deployment.step is DeploymentStep.PROBATION
    assert service.detector.info.sha256 == new


def test_what_a_run_that_was_cut_off_left_is_removed_at_the_start(box, tmp_path):
    left = tmp_path / "state" / "models" / "incoming" / "0123.copy"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    box()
    wait_until(lambda: not left.exists(), 30)
