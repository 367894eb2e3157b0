"""Faults by code that shares nothing with the signatures': `imagecorruptions`, libx264, and a second implementation."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any

import av
import cv2
import numpy as np

Image = Any
Fault = Callable[[Image, int, np.random.Generator], Image]
_FIXED = {"spatter", "motion_blur"}  # in the same place and direction in every frame of a trial


def corruption(name: str) -> Fault:
    """One of `imagecorruptions` (PyPI), whose code is older than numpy 2 and scikit-image 0.19."""
    np.float_ = np.float64  # type: ignore[attr-defined]  # the library asks for it
    import imagecorruptions
    from imagecorruptions import corruptions
    from skimage.filters import gaussian

    corruptions.gaussian = lambda x, sigma=1, multichannel=None, **more: gaussian(
        x, sigma=sigma, channel_axis=-1 if multichannel else None, **more
    )

    def apply(image: Image, severity: int, _random: np.random.Generator) -> Image:
        if name in _FIXED:
            np.random.seed(severity)
        changed = imagecorruptions.corrupt(image[..., ::-1].copy(), severity=severity, corruption_name=name)
        return changed[..., ::-1].astype(np.uint8).copy()

    return apply


def moved(image: Image, severity: int, random: np.random.Generator) -> Image:
    height, width = image.shape[:2]
    part, kind, sign = 0.05 * severity, random.integers(4), 1 if random.random() < 0.5 else -1
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float32)
    middle = np.array([width / 2, height / 2], dtype=np.float32)
    if kind == 0:
        angle = sign * np.deg2rad((3, 6, 9, 13, 17)[severity - 1])
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        target = ((corners - middle) * 1.1) @ turn.T + middle
    elif kind == 1:
        target = corners + np.array([sign * width * part, 0.3 * height * part])
    elif kind == 2:
        target = corners + np.array([0.2 * width * part, sign * height * part])
    else:
        target = (corners - middle) * (1 + 0.1 * severity) + middle
    matrix = cv2.getPerspectiveTransform(corners, target.astype(np.float32))
    return cv2.warpPerspective(image, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)


def dirt(image: Image, severity: int, random: np.random.Generator) -> Image:
    height, width = image.shape[:2]
    field = random.standard_normal((height // 6, width // 6)).astype(np.float32)
    field = cv2.GaussianBlur(field, (0, 0), 3 + random.random() * 2)
    field = cv2.resize(field, (width, height), interpolation=cv2.INTER_CUBIC)
    edge = np.quantile(field, 1 - (0.08, 0.14, 0.2, 0.3, 0.4)[severity - 1])
    mask = (0.9 / (1 + np.exp(-(field - edge) / (0.15 * field.std()))))[..., None]
    tone = np.array([[40, 60, 75], [90, 110, 120], [20, 22, 25]][random.integers(3)])
    return (image * (1 - mask) + tone * mask).astype(np.uint8)


def infrared(image: Image, severity: int, _random: np.random.Generator) -> Image:
    light = cv2.cvtColor(image, cv2.COLOR_BGR2LAB)[..., 0]
    gamma = (1, 0.9, 0.8, 1.15, 1)[severity - 1]
    light = cv2.LUT(light, (255 * (np.arange(256) / 255) ** gamma).astype(np.uint8))
    return cv2.merge([light, light, light])


def lamp(image: Image, severity: int, random: np.random.Generator) -> Image:
    change = 0.14 * severity * (1 if random.random() < 0.6 else -1)
    warm = random.random() < 0.8
    gains = [1 - change, 1.0, 1 + change] if warm else [1 - change / 2, 1 + change / 2, 1 - change / 2]
    linear = (image / 255.0) ** 2.2 * np.array(gains)
    return (255 * np.clip(linear, 0, 1) ** (1 / 2.2)).astype(np.uint8)


def dark(image: Image, severity: int, random: np.random.Generator) -> Image:
    light = 255 * (image / 255.0) ** (1.6, 2.2, 2.8, 3.6, 4.6)[severity - 1]
    return np.clip(random.poisson(np.maximum(light, 0) * 0.9 + 0.5) / 0.9, 0, 255).astype(np.uint8)


def cover(image: Image, severity: int, random: np.random.Generator) -> Image:
    height, width = image.shape[:2]
    reach = (0.2, 0.28, 0.36, 0.45, 0.55)[severity - 1]
    side = [[0, 0], [width * (reach + 0.1), 0], [width * (reach - 0.05), height], [0, height]]
    below = [[width, height], [width, height * (1 - reach)], [0, height * (1.1 - reach)], [0, height]]
    mask = np.zeros((height, width), np.uint8)
    cv2.fillPoly(mask, [np.array(side if random.random() < 0.5 else below).astype(np.int32)], 255)
    soft = cv2.blur(mask, (15, 15))[..., None] / 255.0
    return (image * (1 - soft) + int(random.integers(20, 90)) * soft).astype(np.uint8)


def sun(image: Image, severity: int, random: np.random.Generator) -> Image:
    height, width = image.shape[:2]
    x, y = random.uniform(0.2, 0.8) * width, random.uniform(0, 0.5) * height
    down, across = np.mgrid[:height, :width]
    away = np.hypot(across - x, down - y) / (width * (0.08 + 0.05 * severity))
    light = np.clip((0.15 + 0.1 * severity) * np.exp(-(away**2)) * 3 + 0.04 * severity, 0, 1)
    return (255 * (1 - (1 - image / 255.0) * (1 - light)[..., None])).astype(np.uint8)


def gain(image: Image, severity: int, _random: np.random.Generator) -> Image:
    return np.clip(image * (1.3, 1.6, 2.0, 2.5, 3.2)[severity - 1], 0, 255).astype(np.uint8)


def haze(image: Image, severity: int, _random: np.random.Generator) -> Image:
    depth = (0.3, 0.55, 0.85, 1.2, 1.7)[severity - 1] * np.linspace(1.3, 0.5, image.shape[0])
    through = np.exp(-depth)[:, None, None]
    return (
        cv2.GaussianBlur(image, (0, 0), 0.5) * through + np.array([205, 200, 195]) * (1 - through)
    ).astype(np.uint8)


def shake(image: Image, severity: int, random: np.random.Generator) -> Image:
    size, angle = (5, 9, 13, 17, 23)[severity - 1], random.uniform(0, np.pi)
    line = np.zeros((size, size), np.float32)
    for at in np.linspace(-1, 1, 4 * size):
        place = size // 2 + at * (size // 2) * np.array([np.sin(angle), np.cos(angle)])
        line[tuple(place.round().astype(int))] = 1
    return cv2.filter2D(image, -1, line / line.sum())


def webp(image: Image, severity: int, _random: np.random.Generator) -> Image:
    quality = (12, 8, 5, 3, 1)[severity - 1]
    return cv2.imdecode(
        cv2.imencode(".webp", image, [cv2.IMWRITE_WEBP_QUALITY, quality])[1], cv2.IMREAD_COLOR
    )


def h264(images: Sequence[Image], rate_factor: int) -> list[Image]:
    """All frames as one clip of libx264, each held for three."""
    height, width = (side // 2 * 2 for side in images[0].shape[:2])
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as output:
        stream: Any = output.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"crf": str(rate_factor), "preset": "fast"}
        for image in images:
            even = np.ascontiguousarray(image[:height, :width])
            for _ in range(3):
                output.mux(stream.encode(av.VideoFrame.from_ndarray(even, format="bgr24")))
        output.mux(stream.encode())
    buffer.seek(0)
    with av.open(buffer) as video:
        frames = [frame.to_ndarray(format="bgr24") for frame in video.decode(video=0)][2::3]
    rest = images[0].shape[0] - height, images[0].shape[1] - width
    return [cv2.copyMakeBorder(each, 0, rest[0], 0, rest[1], cv2.BORDER_REPLICATE) for each in frames]


def wall(image: Image, _severity: int, random: np.random.Generator) -> Image:
    """Unknown: a part of the view in another colour, its texture as it was."""
    height, width = image.shape[:2]
    x, y = random.uniform(0, 0.5) * width, random.uniform(0, 0.4) * height
    corners = [
        [x, y],
        [x + 0.4 * width, y + 0.05 * height],
        [x + 0.38 * width, y + 0.45 * height],
        [x, y + 0.4 * height],
    ]
    mask = np.zeros((height, width), np.float32)
    cv2.fillPoly(mask, [np.array(corners).astype(np.int32)], 1)
    lab = cv2.cvtColor(image, cv2.COLOR_BGR2LAB).astype(np.float32)
    lab += mask[..., None] * np.array(
        [20, (30, -30)[random.integers(2)], (35, -30)[random.integers(2)]], np.float32
    )
    return cv2.cvtColor(np.clip(lab, 0, 255).astype(np.uint8), cv2.COLOR_LAB2BGR)


def strangers(image: Image, severity: int, random: np.random.Generator) -> Image:
    """Unknown: objects of other photographs (scikit-image's) in the view, elsewhere in each frame."""
    from skimage import data

    photos = (data.astronaut()[:400, 90:360], data.cat(), data.coffee(), data.rocket())
    (height, width), changed = image.shape[:2], image.copy()
    for _ in range(3 + severity):
        photo = photos[random.integers(4)][..., ::-1]
        tall = int(height * random.uniform(0.15, 0.28))
        wide = int(tall * photo.shape[1] / photo.shape[0])
        y, x = int(random.integers(height - tall)), int(random.integers(max(1, width - wide)))
        part = cv2.resize(photo, (wide, tall), interpolation=cv2.INTER_AREA)[:, : width - x]
        changed[y : y + tall, x : x + wide] = part
    return changed


def known() -> dict[str, tuple[Fault, ...]]:
    """Implementations of each cause."""
    return {
        "fog": (corruption("fog"), haze),
        "defocus": (corruption("defocus_blur"), corruption("gaussian_blur")),
        "motion_blur": (corruption("motion_blur"), shake),
        "dirt": (corruption("spatter"), dirt),
        "noise": tuple(corruption(f"{kind}_noise") for kind in ("gaussian", "shot", "speckle")),
        "low_light": (dark,),
        "compression": (corruption("jpeg_compression"), webp),
        "colour_cast": (lamp,),
        "infrared": (infrared,),
        "overexposure": (corruption("brightness"), gain, sun),
        "cover": (cover,),
        "moved": (moved,),
    }


UNKNOWN: dict[str, Fault] = {"wall": wall, "strangers": strangers}
DEMO = {
    "knocked": "moved", "blur": "defocus", "fog": "fog", "darkness": "low_light", "colour_cast": "colour_cast",
    "overexposed": "overexposure", "dirt": "dirt",
}  # fmt: skip
"""The demo's disturbances, by the cause that they are."""
