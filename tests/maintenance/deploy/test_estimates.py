"""A model is returned in its probation by the accuracy that is estimated without labels, where that can be trusted."""

import threading
from dataclasses import replace

import numpy as np
import pytest

from agent.cameras.kinds.synthetic.drawing.disturbances import apply
from agent.cameras.kinds.synthetic.drawing.scene import Scene
from agent.config.deploy_settings import DeploySettings
from agent.config.schema import ModelSettings
from agent.core.errors import ModelError
from agent.detection.matching import BoxMatches
from agent.detection.opening import DEMO_MODEL
from agent.detection.session import Detector
from agent.detection.thermal.governor import Governor
from agent.detection.trial import trial_image
from agent.drift.diagnosis.accuracy import Estimate
from agent.drift.diagnosis.learn import small
from agent.maintenance.deploy.estimates import Estimates, check_estimates, numbers_of
from agent.references.accuracy_estimator import Glance
from agent.references.frame_store import FrameStore, NormalSpan, mark_of
from agent.references.signature_learner import SignatureLearner
from agent.references.store import ReferenceStore
from tests.maintenance.deploy.conftest import QUICK, ask, outcome
from tests.maintenance.story.models import blind_in_fog

LEAST = DeploySettings().least_accuracy_estimate
OLD, NEW = "a" * 64, "b" * 64
BRIGHTER = 40  # than the trial image a camera is, for a model that is blind by then
NOON = 1_790_000_000.0


def estimate(ratio, band=0.1, trust=0.7, model=NEW):
    return Estimate(ratio=ratio, low=max(0.0, ratio - band), high=ratio + band, trust=trust, model=model)


def checked(*estimates, camera="yard", beside=None):
    known = Estimates()
    for each in estimates:
        known.add(camera, each)
    check_estimates(known, NEW, LEAST, beside)
    return known


def test_two_low_ones_in_a_row_speak_against_it_with_camera_and_figures():
    with pytest.raises(ModelError, match=r"camera yard .* 20% without labels, at most 30%; .* asks for 50%$"):
        checked(estimate(0.9, model=OLD), estimate(0.3), estimate(0.2))


@pytest.mark.parametrize(
    "estimates",
    [
        pytest.param([estimate(0.1)], id="one alone"),
        pytest.param([estimate(0.1), estimate(0.8), estimate(0.1)], id="not in a row"),
        pytest.param([estimate(0.1, trust=0.0)] * 9, id="no trust"),
        pytest.param([estimate(0.3, trust=0.29)] * 9, id="little trust"),
        pytest.param([estimate(0.3, band=0.25)] * 9, id="it may be as good as is asked"),
        pytest.param([estimate(0.1, model=OLD)] * 9, id="of the model before"),
    ],
)
def test_anything_less_does_not(estimates):
    checked(*estimates)


@pytest.mark.parametrize(
    ("found", "wrong"),
    [
        pytest.param(BoxMatches(pairs=1, first=2, second=9), True, id="the one before sees what it misses"),
        pytest.param(BoxMatches(first=0, second=4), True, id="it is blind where few objects are"),
        pytest.param(BoxMatches(), False, id="neither finds anything: fog"),
        pytest.param(BoxMatches(pairs=2, first=2, second=3), False, id="fog that leaves both a few"),
        pytest.param(BoxMatches(pairs=40, first=40, second=40), False, id="both find the same"),
        pytest.param(BoxMatches(pairs=20, first=90, second=22), False, id="it finds new objects besides"),
    ],
)
def test_they_count_only_where_the_model_before_finds_more_on_the_same_frames_of_that_camera(found, wrong):
    cameras = {"yard": found, "gate": BoxMatches(first=0, second=99)}
    low = estimate(0.3), estimate(0.2)
    if not wrong:
        checked(*low, beside=cameras.__getitem__)
        return
    with pytest.raises(
        ModelError, match=f"camera yard .* finds {found.second} boxes there, it finds {found.first}"
    ):
        checked(*low, beside=cameras.__getitem__)


def test_what_was_measured_is_that_of_the_lowest_camera():
    known = checked(estimate(0.9), estimate(0.8))
    known.add("gate", estimate(0.6))
    assert numbers_of(known, NEW) == {"accuracy_estimate_ratio": 0.6, "accuracy_estimate_high_ratio": 0.7}
    assert numbers_of(known, OLD) == {}


@pytest.fixture
def blind_model(tmp_path):
    pytest.importorskip("onnx")
    return blind_in_fog(DEMO_MODEL, tmp_path / "blind.onnx", (trial_image().mean() + BRIGHTER / 2) / 255)


@pytest.mark.parametrize("kept_for", ["no trust", "both find the same"])
def test_a_model_is_kept_against_estimates_that_are_low(box, blind_model, other_model, kept_for):
    service = box(replace(QUICK, least_agreement=0.0, probation=2.0), brighter=BRIGHTER)
    model, trust = (blind_model, 0.0) if kept_for == "no trust" else (other_model, 0.8)
    reply = ask(service, "model_deploy", path=str(model))
    outcome(service, reply, "probation")
    for _ in range(2):
        service.estimates.add("yard", estimate(0.2, trust=trust, model=service.detector.info.sha256))
    assert outcome(service, reply)["state"] == "kept"


def test_a_model_that_misses_what_the_one_before_finds_is_returned_by_estimates_that_are_low(
    box, blind_model
):
    service = box(replace(QUICK, least_agreement=0.0, probation=3600.0), brighter=BRIGHTER)
    reply = ask(service, "model_deploy", path=str(blind_model))
    outcome(service, reply, "probation")
    for _ in range(2):
        service.estimates.add("yard", estimate(0.2, model=service.detector.info.sha256))
    done = outcome(service, reply)
    assert done["state"] == "returned"
    assert "on camera yard its accuracy is estimated at 20%" in done["reason"]
    assert "it finds 0" in done["reason"]
    assert service.deployments.models.in_force.name == "the config's model"


class Box:
    """A camera's kept frames, and a learner beside a model: what it makes of the frames of now."""

    def __init__(self, folder, model):
        self.scene, self.known, self.stop = Scene("street", 5, 480, 270), Estimates(), threading.Event()
        store = FrameStore(ReferenceStore(folder))
        for at in range(12):
            store.put("yard", mark_of(()), NOON + at, self.frame(at), kept=None, since=NOON)
        self.detector = Detector(ModelSettings(provider="cpu", lanes=1, path=str(model)))
        self.detector.open()
        self.learner = SignatureLearner(
            self.detector, Governor(0.0), folder, done=self.learnt, estimated=self.known.add, share=1.0, busy_limit=2.0
        )  # fmt: skip
        self.learner.ask("yard", NormalSpan(NOON, NOON + 100.0), True)
        self.run()

    def frame(self, number, **disturbed):
        image = np.array(self.scene.draw(3.0 * number, 12.0, number).image)
        return small(apply(image, disturbed) if disturbed else image)

    def learnt(self, _camera, signatures):
        if signatures is None or signatures.found:
            self.stop.set()

    def run(self):
        thread = threading.Thread(target=self.learner.run, args=(self.stop,))
        thread.start()
        thread.join()

    def look(self, first, *, calm, **disturbed):
        images = tuple(self.frame(first + number, **disturbed) for number in range(6))
        self.learner.estimate(Glance(camera="yard", images=images, calm=calm))
        self.learner._estimator.serve(threading.Event())


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_estimate_of_a_real_model_that_is_blind_in_fog_tells_it_from_one_that_is_not(tmp_path):
    pytest.importorskip("onnx")
    blind = blind_in_fog(DEMO_MODEL, tmp_path / "blind.onnx", 0.55)
    for name, model in (("sees", DEMO_MODEL), ("blind", blind)):
        made = Box(tmp_path / name, model)
        for first in (100, 120, 140):
            made.look(first, calm=True)
        for first in (200, 220):
            made.look(first, calm=False, fog=0.5)
        sha = made.detector.info.sha256
        assert len(made.known.of(sha)["yard"]) == 2, made.known.of(sha)
        made.detector.close()
        if name == "sees":
            check_estimates(made.known, sha, LEAST, None)
        else:
            with pytest.raises(ModelError, match="its accuracy is estimated at"):
                check_estimates(made.known, sha, LEAST, None)
