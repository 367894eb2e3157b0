"""A disk that keeps only what was synced, models and keys to deploy, and a deployer beside a running model."""

import os
import random
import stat
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from agent.config.deploy_settings import DeploySettings
from agent.config.schema import ModelSettings
from agent.core.types import Frame, FrameResult, StageSeconds
from agent.detection.opening import DEMO_MODEL
from agent.detection.scheduler import ServedCounts
from agent.detection.session import Detector
from agent.detection.trial import trial_image
from agent.maintenance.deploy import signing
from agent.maintenance.deploy.deployer import Deployer
from agent.maintenance.deploy.deployments import Deployments
from agent.maintenance.deploy.requests import DeployRequests
from agent.maintenance.deploy.signing import SignedModel
from agent.maintenance.deploy.trial import RunningModel
from tests.waiting import wait_until

SYNC = os.fsync
QUICK = DeploySettings(
    compared_frames=4, least_agreement=0.5, most_latency_ratio=1000.0, probation=0.0, shadow_share=0.5
)
MODEL = ModelSettings(threads=1, lanes=1, golden_every=0.0)


class PowerCut(BaseException):
    """The power is cut: nothing after it runs."""


class Disk:
    """What a power cut leaves of `root`: content that was synced, names of folders that were synced.

    Watches `os.fsync` and raises PowerCut at the call number `cut_at`, before it takes effect. What was written or
    renamed and not synced may be there or not: `survivors` draws it.
    """

    def __init__(self, root, monkeypatch, cut_at=None):
        self.root, self.cut_at, self.syncs = root, cut_at, 0
        self.contents, self.folders = {}, {}
        self.off = False
        self._keep_all()
        monkeypatch.setattr(os, "fsync", self.fsync)

    def _keep_all(self):
        for folder, _, files in os.walk(self.root):
            self._keep_folder(Path(folder))
            for name in files:
                self._keep_file(Path(folder, name))

    def _keep_folder(self, path):
        self.folders[path.stat().st_ino] = {one.name: one.lstat().st_ino for one in path.iterdir()}

    def _keep_file(self, path):
        self.contents[path.lstat().st_ino] = path.read_bytes()

    def fsync(self, handle):
        if self.off:
            raise PowerCut
        self.syncs += 1
        if self.syncs == self.cut_at:
            self.off = True
            raise PowerCut
        path = Path(os.readlink(f"/proc/self/fd/{handle}"))
        SYNC(handle)
        if path.is_relative_to(self.root):
            (self._keep_folder if stat.S_ISDIR(os.fstat(handle).st_mode) else self._keep_file)(path)

    def survivors(self, target, rng):
        """Write what is left below `target`."""
        now = {}
        for folder, names, files in os.walk(self.root):
            inode = Path(folder).stat().st_ino
            now[inode] = {name: Path(folder, name).lstat().st_ino for name in (*names, *files)}
            for name in files:
                path = Path(folder, name)
                now.setdefault(path.lstat().st_ino, path.read_bytes())
        self._write(self.root.stat().st_ino, target, now, rng)

    def _write(self, inode, target, now, rng):
        target.mkdir(parents=True, exist_ok=True)
        synced, present = self.folders.get(inode, {}), now.get(inode, {})
        for name in sorted({*synced, *(present if isinstance(present, dict) else {})}):
            choices = [one for one in (synced.get(name), present.get(name)) if one is not None]
            if name not in synced or name not in present:
                choices.append(None)
            chosen = rng.choice(choices)
            if chosen is None:
                continue
            if isinstance(now.get(chosen), dict) or chosen in self.folders:
                self._write(chosen, target / name, now, rng)
            else:
                (target / name).write_bytes(self._content(chosen, now, rng))

    def _content(self, inode, now, rng):
        if inode in self.contents and self.contents[inode] == now.get(inode, self.contents[inode]):
            return self.contents[inode]
        data = now.get(inode, b"")
        return data[: rng.randrange(0, len(data) + 1)]


@pytest.fixture
def disk(monkeypatch):
    return lambda root, cut_at=None: Disk(root, monkeypatch, cut_at)


@pytest.fixture
def other_model(tmp_path):
    """The demo model under another digest: its producer's name is changed by one field at the end."""
    path = tmp_path / "yard.onnx"
    path.write_bytes(DEMO_MODEL.read_bytes() + b"\x1a\x05other")  # field 3 of ModelProto: producer_version
    return path


@pytest.fixture
def key_pair(tmp_path):
    key = signing.new_key()
    path = tmp_path / "deploy.pub"
    path.write_bytes(signing.public_text(key.public_key()))
    return key, str(path)


def seeded(number):
    return random.Random(number)


def signature(key, path, digest, version=1, expires=None):
    return signing.sign(SignedModel(name=path.name, sha256=digest, version=version, expires=expires), key)


class Camera:
    """A camera whose newest result changes at each look."""

    def __init__(self, detector, brighter):
        self.detector, self.index, self.brighter = detector, 0, brighter

    def results(self):
        self.index += 1
        image = np.ascontiguousarray(np.roll(trial_image(), 8 * self.index, axis=1))
        image = np.clip(image.astype(np.int16) + self.brighter, 0, 255).astype(np.uint8)
        frame = Frame(camera="yard", index=self.index, image=image, captured_at=0.0, monotonic_ns=self.index)
        stages = StageSeconds(decode=0, wait=0, preprocess=0, inference=0.01, postprocess=0, total=0.01)
        return [FrameResult(frame=frame, detections=None, stages=stages, batch=1)]


@pytest.fixture
def box(tmp_path):
    """Starts the deployer beside a running model, again and again on one state directory."""
    running = []

    def stop():
        while running:
            thread, stop, detector = running.pop()
            stop.set()
            thread.join(60)
            assert not thread.is_alive()
            detector.close()

    def start(settings=QUICK, model=MODEL, brighter=0):
        stop()
        detector = Detector(model)
        deployments = Deployments(tmp_path / "state", model)
        deployments.open_in_force(detector)
        counts, steps = ServedCounts(served=100), []
        host = RunningModel(
            detector=detector,
            exchange=detector.exchange,
            results=Camera(detector, brighter).results,
            counts=lambda: counts,
            check=lambda info: None,
            full_pace=lambda: True,
            changed=lambda: steps.append(deployments.models.latest.step),
        )
        deployer = Deployer(deployments, host, settings, cache=None)
        requests = DeployRequests(deployer, deployments)
        ended = threading.Event()
        thread = threading.Thread(target=deployer.run, args=(ended,))
        thread.start()
        running.append((thread, ended, detector))
        return SimpleNamespace(
            detector=detector,
            deployments=deployments,
            deployer=deployer,
            deploy_requests=requests,
            handlers=requests.handlers(),
            counts=counts,
            steps=steps,
            estimates=host.estimates,
        )

    yield start
    stop()


def ask(service, command, **args):
    return service.handlers[command](args)


def outcome(service, reply, *states):
    """The deployment once it is in one of `states` (default: at its end)."""

    def found():
        report = ask(service, "model_deployments")
        wanted = states or ("kept", "returned", "refused")
        of = [one for one in (report["deployment"], *report["history"]) if one]
        return next((one for one in of if one["id"] == id and one["state"] in wanted), None)

    id = reply["deployment"]["id"]
    return wait_until(found, 90, lambda: ask(service, "model_deployments"), every=0.05)
