"""Planted pixels: a colour inside a privacy mask is in nothing that the agent gives out or keeps, from the reload on."""

import argparse
import base64
import functools
import re
import time
from datetime import datetime, timezone

import cv2
import numpy as np
import pytest
import structlog

from agent.app.control_socket import call
from agent.app.kinds import KINDS
from agent.app.service import Service
from agent.cli import zones
from agent.cli.saving import Saver
from agent.config.load import parse
from tests.waiting import wait_until

CONFIG = """
state_directory = "{folder}/state"
[broker]
url = "{broker}"
[windows]
length = "1s"
[[cameras]]
name = "yard"
kind = "images"
path = "{folder}/images"
fps = 20
loop = true
{masks}
[[rules]]
name = "seen"
when = "camera.frames_inferred > 0"
keep_firing = "0s"
[[notifiers]]
name = "hook"
kind = "webhook"
format = "json"
url = "{hook}"
picture = true
group_interval = "0s"
"""
MASK = "privacy_masks = [[[0.1, 0.1], [0.5, 0.1], [0.6, 0.6], [0.1, 0.5]]]"
SIZES = ((640, 360), (320, 240), (360, 640), (640, 360))


@pytest.fixture(autouse=True)
def quiet():
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    yield
    structlog.reset_defaults()


def planted(folder):
    """Images of several sizes, each with a magenta square well inside the mask, and grey noise around."""
    folder.mkdir()
    random = np.random.default_rng(3)
    for number, (width, height) in enumerate(SIZES):
        image = random.integers(90, 160, (height, width, 1), dtype=np.uint8).repeat(3, axis=2)
        image[height // 5 : height * 9 // 20, width // 5 : width * 9 // 20] = (255, 0, 255)
        cv2.imwrite(str(folder / f"{number}.png"), image)


def shows(data):
    """Whether an image file in `data` shows the planted colour."""
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    blue, green, red = (image[..., channel].astype(int) for channel in range(3))
    return bool(((blue > 150) & (red > 150) & (green < 100)).any())


def images_in(data):
    """Image files that stand in `data`, as they are or in base64."""
    found = [data[at.start() :] for at in re.finditer(rb"\xff\xd8\xff|\x89PNG", data)]
    texts = re.findall(rb"(?:/9j/|iVBORw0K)[A-Za-z0-9+/=]{200,}", data)
    whole = [text[: len(text) // 4 * 4] for text in texts]
    return found + [base64.b64decode(text) for text in whole]


until = functools.partial(wait_until, seconds=60)


def test_the_search_finds_what_it_looks_for():
    image = np.full((90, 160, 3), 120, np.uint8)
    plain = cv2.imencode(".jpg", image)[1].tobytes()
    image[20:40, 20:60] = (255, 0, 255)
    loud = cv2.imencode(".jpg", image)[1].tobytes()
    assert [shows(one) for one in images_in(b"x" + plain)] == [False]
    assert [shows(one) for one in images_in(b'{"a": "' + base64.b64encode(loud) + b'"}')] == [True]


def test_what_is_under_a_privacy_mask_leaves_the_agent_nowhere(tmp_path, mosquitto, listen, receiver):
    planted(tmp_path / "images")
    broker, state, saved = mosquitto(), tmp_path / "state", tmp_path / "saved"
    ears = listen(broker.port, "#")
    text = CONFIG.format(folder=tmp_path, broker=broker.url, hook=receiver.url, masks="{masks}")
    settings = {masks: parse(text.format(masks=masks), KINDS) for masks in ("", MASK)}
    wanted = [settings[""]]
    service = Service(settings[""], load=lambda: wanted[0])
    service.open()
    service.start()
    try:
        with Saver(saved, service.snapshots):
            # Without a mask it is in all of them: the search can find it.
            until(service.snapshots.cameras)
            assert shows(base64.b64decode(call(state, "snapshot", {"camera": "yard"})["jpeg"]))
            until(lambda: any(shows(path.read_bytes()) for path in saved.glob("*.jpg")))
            until(lambda: any(shows(path.read_bytes()) for path in _reference_frames(state)))
            receiver.wait()
            assert any(shows(one) for body in receiver.bodies() for one in _pictures(body))

            wanted[0] = settings[MASK]
            assert "camera yard changed" in call(state, "reload")["text"]
            changed = time.time()
            sent, clean = len(receiver.received), 0
            end = time.monotonic() + 3
            while time.monotonic() < end or clean < 2 * len(SIZES):
                if "yard" in call(state, "snapshot")["cameras"]:
                    answer = call(state, "snapshot", {"camera": "yard"})
                    assert not shows(base64.b64decode(answer["jpeg"]))
                    clean += 1
            receiver.wait(sent + 1)
            assert not shows(_zones(text.format(masks=MASK), tmp_path))
        for body in receiver.bodies()[sent:]:
            assert not any(map(shows, _pictures(body)))
        later = [path for path in saved.glob("*.jpg") if _taken(path) > changed]
        assert later
        assert not any(shows(path.read_bytes()) for path in later)
    finally:
        service.stop()
    kept = [path for path in state.rglob("*") if path.is_file()]
    assert any(path.name == "outbox.db" for path in kept)
    assert _reference_frames(state)
    assert [path for path in kept if any(map(shows, images_in(path.read_bytes())))] == []
    assert not any(images_in(message.payload) for message in ears.messages)


def _zones(config, folder):
    """What `vedette zones show` draws over the agent's last frame."""
    file, out = folder / "v.toml", folder / "zones.png"
    file.write_text(config)
    arguments = argparse.Namespace(
        config=str(file), state=None, camera="yard", out=out, open=False, force=False
    )
    assert zones.run(arguments) == 0
    return out.read_bytes()


def _reference_frames(state):
    return list((state / "references" / "yard" / "frames").glob("*.png"))


def _pictures(body):
    return [base64.b64decode(body["picture_jpeg"])] if body.get("picture_jpeg") else []


def _taken(path):
    stamp = path.stem.partition("-")[2]
    return datetime.strptime(stamp, "%Y%m%dT%H%M%S.%fZ").replace(tzinfo=timezone.utc).timestamp()
