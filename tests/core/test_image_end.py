"""Where an image ends: what stands behind it is no matter, what is missing of it is."""

import cv2
import numpy as np
import pytest

from agent.core.image_file import decode_image
from agent.core.untrusted import BadInput

NOISE = np.random.default_rng(1).integers(0, 255, (96, 128, 3), dtype=np.uint8)


def encoded(suffix, image=NOISE, *options):
    return cv2.imencode(suffix, image, list(options))[1].tobytes()


def segment(marker, content):
    return bytes((0xFF, marker)) + (len(content) + 2).to_bytes(2, "big") + content


JPEG, PNG = encoded(".jpg"), encoded(".png")
THUMBNAIL = segment(0xE1, b"Exif\0\0" + encoded(".jpg", NOISE[:16, :16]))
WHOLE = {
    "motion photo": JPEG + b"\0\0\0\x18ftypmp42" + bytes(300_000),
    "long trailer": JPEG + b"maker" * 2000,
    "trailer with an image in it": JPEG + encoded(".jpg", NOISE[::-1].copy()),
    "padding between segments": JPEG[:2] + b"\xff\xff" + THUMBNAIL + b"\xff\xff" + JPEG[2:],
    "progressive": encoded(".jpg", NOISE, cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
    "restarts": encoded(".jpg", NOISE, cv2.IMWRITE_JPEG_RST_INTERVAL, 2),
    "png with a trailer": PNG + bytes(10_000),
}
CUT = {
    "half": JPEG[: len(JPEG) // 2],
    "all but the end mark": JPEG[:-2],
    "behind the thumbnail": (JPEG[:2] + THUMBNAIL + JPEG[2:])[: len(THUMBNAIL) + 40],
    "head alone": JPEG[:3],
    "png": PNG[:-12],
    "png in a chunk": PNG[: len(PNG) // 2],
}


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_image_is_read(name):
    assert decode_image(WHOLE[name]).shape == NOISE.shape


@pytest.mark.parametrize("name", CUT)
def test_a_cut_off_image_is_not(name):
    with pytest.raises(BadInput, match="cut off"):
        decode_image(CUT[name])


@pytest.mark.parametrize("seed", range(20))
def test_any_damage_ends(seed):
    rng = np.random.default_rng(seed)
    data = bytearray(WHOLE["progressive"] if seed % 2 else JPEG)
    for at in rng.integers(2, len(data), 30):
        data[at] = rng.integers(256)
    try:
        assert decode_image(bytes(data)).ndim == 3
    except BadInput as error:
        assert str(error) in {"is cut off", "is damaged or not an image"} or "pixels" in str(error)
