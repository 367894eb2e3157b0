import cv2
import numpy as np

from agent.features import FEATURES
from agent.references.canvas import HEIGHT, WIDTH, Canvas
from agent.references.charts import draw_explained, draw_reference
from tests.references.conftest import NOON, Source


def test_a_picture_of_each_feature_with_something_drawn_on_it(stored, tmp_path):
    paths = draw_reference(stored.reference, tmp_path / "new" / "folder")
    assert [path.stem for path in paths] == list(FEATURES)
    image = cv2.imread(str(paths[0]))
    assert image.shape == (HEIGHT, WIDTH, 3)
    blue = (image[..., 0].astype(int) - image[..., 2]) > 100
    assert blue.sum() > 50, "the median is drawn"


def test_what_was_seen_is_drawn_against_what_is_normal(stored, tmp_path):
    window, _ = Source(start=NOON + 3600).window(contrast=6)
    paths = draw_explained(stored.reference, window, tmp_path)
    image = cv2.imread(str(tmp_path / "contrast.png"))
    red = np.argwhere((image[60:380, :, 2].astype(int) - image[60:380, :, 0]) > 100)
    blue = np.argwhere((image[60:380, :, 0].astype(int) - image[60:380, :, 2]) > 100)
    assert len(paths) == len(FEATURES)
    assert red[:, 1].mean() > blue[:, 1].mean() + 100, "the shifted curve lies to the right"


def test_axes_of_nothing_at_all_are_still_axes(tmp_path):
    for span in ((1.0, 1.0), (0.0, 0.0), (float("nan"), 1.0), (-1e-9, 1e9)):
        canvas = Canvas("constant", "", (0.0, 1.0), span)
        canvas.line(np.array([0.0, np.nan, 1.0]), np.array([1.0, 1.0, np.inf]), (0, 0, 255))
        assert canvas.save(tmp_path / "a.png").stat().st_size > 500
