"""What hides a part of the view is told from fog, night, what passes by, and plain spots here and there."""

import cv2
import numpy as np
import pytest

from agent.cameras.health.cover import Cover
from agent.cameras.health.features import measure
from agent.cameras.health.light import LightMode
from agent.cameras.health.normals import LASTING_SECONDS, first_normal, recent_after


def scene(seed=0):
    """A textured view (90, 160); the grain differs with the seed."""
    texture = cv2.GaussianBlur(
        np.random.default_rng(5).normal(0, 60, (90, 160)).astype(np.float32), (0, 0), 1.5
    )
    grain = np.random.default_rng(seed).normal(0, 0.5, (90, 160))
    return np.clip(125 + texture + grain, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def normal():
    samples = [measure(scene(seed)) for seed in range(12)]
    return first_normal(samples, (640, 360), LightMode.DAY, known=True)


def after_a_minute(normal, shown):
    cover, lasting = Cover(), None
    for index in range(41):
        figures = measure(shown(scene(index), index))
        lasting = recent_after(lasting, figures.edges, 2.0, LASTING_SECONDS)
        cover = cover.after(figures, lasting, normal, 2.0 * index)
    assert cover.known(80.0)
    return cover.hidden


def plain(image, index, part):
    image = image.copy()
    image[part] = 80 + index % 2
    return image


LEFT = np.s_[:, :60]  # three of eight columns of blocks


def test_a_part_that_stays_plain_is_hidden(normal):
    assert after_a_minute(normal, lambda image, index: plain(image, index, LEFT)) == pytest.approx(
        0.3, abs=0.1
    )


@pytest.mark.parametrize(
    "shown",
    [
        lambda image, _index: image,
        lambda image, _index: cv2.convertScaleAbs(image, alpha=0.15, beta=150),  # fog
        lambda image, _index: cv2.convertScaleAbs(image, alpha=0.1),  # night
        lambda image, index: plain(image, index, LEFT) if index % 4 == 0 else image,  # a van now and then
        lambda image, index: plain(image, index, np.s_[:, index * 20 % 160 : index * 20 % 160 + 40]),  # a bus
        lambda image, index: plain(image, index, np.s_[:36, :40]),  # four blocks
    ],
    ids=["nothing", "fog", "night", "now and then", "passing", "a small part"],
)
def test_what_is_no_cover_hides_nothing(normal, shown):
    assert after_a_minute(normal, shown) == 0.0


def test_plain_spots_apart_from_one_another_hide_nothing(normal):
    def spots(image, index):
        for row in range(5):
            for column in range(row % 2, 8, 2):
                image = plain(image, index, np.s_[row * 18 : row * 18 + 18, column * 20 : column * 20 + 20])
        return image

    assert after_a_minute(normal, spots) == 0.0


FAINT = np.s_[36:, :80]


def faint(seed=0):
    """A view of which a part has structure of half a level, less than the noise of a single frame."""
    view = scene(seed).astype(np.float32)
    noise = np.random.default_rng(900 + seed).normal(0, 1.0, view.shape)
    view[FAINT] = 110 + (view[FAINT] - 125) / 25
    return np.clip(np.rint(view + noise), 0, 255).astype(np.uint8)


def faintly_seen(shown):
    """What is hidden a minute after the change, of a normal that was learnt of noisy samples."""
    samples = [measure(faint(seed)) for seed in range(48)]
    normal = first_normal(samples, (640, 360), LightMode.DAY, known=True)
    return after_a_minute(normal, lambda _image, index: shown(faint(100 + index)))


def covered_faintly(image):
    image = image.copy()
    image[FAINT] = 105 + np.random.default_rng(int(image.sum())).normal(0, 1.0, image[FAINT].shape)
    return image


def test_structure_fainter_than_the_noise_is_missed_when_it_is_hidden():
    assert faintly_seen(lambda image: image) == 0.0
    within = 6 / 40  # its outer blocks hold some of what is beside them
    assert faintly_seen(covered_faintly) >= within


@pytest.mark.parametrize("aside", [2, 4])
def test_faint_structure_that_is_shifted_aside_is_not_hidden(aside):
    def shifted(image):
        image = image.copy()
        image[FAINT] = np.roll(image[FAINT], aside, axis=1)
        return image

    assert faintly_seen(shifted) < 0.12


def test_without_a_normal_nothing_is_known():
    assert Cover().after(measure(scene()), measure(scene()).edges, None, 0.0).samples == ()
