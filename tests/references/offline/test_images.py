from dataclasses import replace

import cv2
import numpy as np
import pytest

from agent.cameras.kinds.synthetic.drawing.scene import Scene
from agent.config.schema import ModelSettings
from agent.core.errors import ReferenceMismatch
from agent.core.scope import Scope
from agent.drift.judge import DriftJudge
from agent.drift.sketch import Window
from agent.features import FEATURE_VERSION, FEATURES
from agent.references.offline.images import LEAST_IMAGES, ImagePlan, build
from tests.references.conftest import NOON


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Drawn scenes as image files."""
    folder = tmp_path_factory.mktemp("pictures")
    scene = Scene("street", 1, 320, 192)
    for number in range(LEAST_IMAGES + 4):
        cv2.imwrite(str(folder / f"{number:03d}.jpg"), scene.draw(number * 3.0, 12.0, number).image)
    return folder


def plan(paths):
    return ImagePlan(
        camera="front",
        images=paths,
        model=ModelSettings(provider="cpu"),
        window_seconds=60.0,
        window_frames=120.0,
    )


def test_images_make_a_provisional_reference_that_judges_live_windows(pictures):
    seen = []
    built = build(
        plan(sorted(pictures.iterdir())), now=NOON, progress=lambda paths, total: seen.append(total) or paths
    )
    assert seen == [LEAST_IMAGES + 4]
    assert built.used == LEAST_IMAGES + 4
    assert built.boxes > 10
    reference = built.stored.reference
    assert reference.provisional
    assert reference.any_hour
    window = Window("front", FEATURES, FEATURE_VERSION)
    middle = (built.stored.low + built.stored.high) / 2
    spread = (built.stored.high - built.stored.low) / 6
    vectors = np.random.default_rng(1).normal(middle, spread, (120, len(FEATURES))).astype(np.float32)
    window.extend(vectors, at=np.arange(120) / 2)
    verdict = DriftJudge(reference).judge(window.close(NOON, NOON + 60), NOON + 60)
    assert verdict.judged
    assert not verdict.alarm


def test_damaged_files_are_named_and_left_out(pictures, tmp_path):
    bad = tmp_path / "torn.jpg"
    bad.write_bytes(next(pictures.iterdir()).read_bytes()[:300])
    text = tmp_path / "text.png"
    text.write_text("not a picture")
    (tmp_path / "empty.jpg").touch()
    paths = [*sorted(pictures.iterdir()), text, tmp_path / "empty.jpg", tmp_path / "gone.jpg"]
    built = build(plan(paths), now=NOON)
    assert {path.name: reason for path, reason in built.unreadable} == {
        "text.png": "is damaged or not an image",
        "empty.jpg": "is empty",
        "gone.jpg": "is not there",
    }


def test_too_few_images_say_how_many_are_needed(pictures, tmp_path):
    with pytest.raises(ReferenceMismatch, match=f"3 images are too few .* at least {LEAST_IMAGES}"):
        build(plan(sorted(pictures.iterdir())[:3]), now=NOON)
    broken = tmp_path / "a.jpg"
    broken.write_text("x")
    with pytest.raises(ReferenceMismatch, match=r"0 images .* 1 cannot be read \(the first: .*a.jpg\)"):
        build(plan([broken]), now=NOON)


def test_images_are_masked_as_the_cameras_frames_are(pictures, tmp_path):
    """What is under a mask is in no figure of the reference."""
    corner = ((0.0, 0.0), (0.4, 0.0), (0.4, 0.5), (0.0, 0.5))
    limits = []
    for level in (0, 255):
        folder = tmp_path / str(level)
        folder.mkdir()
        for number, path in enumerate(sorted(pictures.iterdir())[:LEAST_IMAGES]):
            image = cv2.imread(str(path))
            image[:94, :126] = level if number % 2 else 90
            cv2.imwrite(str(folder / f"{path.stem}.png"), image)
        scope = Scope(ignored=(corner,), excluded=(((0.5, 0.0), (1.0, 0.0), (1.0, 1.0)),))
        masked = replace(plan(sorted(folder.iterdir())), privacy=(corner,), scope=scope)
        built = build(masked, now=NOON)
        limits.append((built.boxes, *built.stored.low.tolist(), *built.stored.high.tolist()))
    assert np.array_equal(*limits, equal_nan=True)
    assert limits[0][0] < build(plan(sorted(pictures.iterdir())[:LEAST_IMAGES]), now=NOON).boxes
