"""kill -9 at every step of a real deployment: the next start has exactly the old or the new model, open and whole."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from agent.config.deploy_settings import DeploySettings
from agent.config.schema import ModelSettings
from agent.detection.scheduler import ServedCounts
from agent.detection.session import Detector
from agent.maintenance.deploy import trial
from agent.maintenance.deploy.deployer import Deployer
from agent.maintenance.deploy.deployments import Deployments
from agent.maintenance.deploy.requests import DeployRequests
from agent.maintenance.deploy.state import IN_FORCE, WAY, DeploymentStep
from agent.maintenance.deploy.trial import RunningModel

MODEL = ModelSettings(threads=1, lanes=1)
SETTINGS = DeploySettings(compared_frames=4, most_latency_ratio=1000.0, probation=3600.0)


def deploy(state, source):
    """Deploys in this process; each step is a line on stdout. The golden images alone are compared."""
    trial.FRAMES_SECONDS = 0.0
    detector, deployments = Detector(MODEL), Deployments(Path(state), MODEL)
    deployments.open_in_force(detector)
    running = RunningModel(
        detector=detector,
        exchange=detector.exchange,
        results=list,
        counts=ServedCounts,
        check=lambda info: None,
        full_pace=lambda: True,
        changed=lambda: print(deployments.models.latest.step.value, flush=True),
    )
    deployer = Deployer(deployments, running, SETTINGS, cache=None)
    DeployRequests(deployer, deployments).handlers()["model_deploy"]({"path": source})
    print(DeploymentStep.ACCEPTED.value, flush=True)
    deployer.run(threading.Event())


@pytest.mark.slow
@pytest.mark.parametrize("step", WAY[:-1])
def test_a_kill_at_any_step_leaves_the_old_or_the_new_model(tmp_path, other_model, step):
    state = tmp_path / "state"
    driver = [
        sys.executable,
        "-c",
        f"from {__name__} import deploy; deploy({str(state)!r}, {str(other_model)!r})",
    ]
    with subprocess.Popen(
        driver, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=Path(__file__).parents[3]
    ) as process:
        for line in process.stdout:
            if line.strip() == step.value:
                break
        process.kill()
    detector, deployments = Detector(MODEL), Deployments(state, MODEL)
    deployments.open_in_force(detector)
    models = deployments.models
    try:
        if models.in_force.sha256:
            assert detector.info.sha256 == models.in_force.sha256
            assert models.deployment.step in IN_FORCE
        else:
            assert detector.info.name == "demo"
            assert models.latest.step is DeploymentStep.REFUSED
            assert "deploy it again" in models.latest.reason
        if step in IN_FORCE:
            assert detector.info.name == "yard"
    finally:
        detector.close()
