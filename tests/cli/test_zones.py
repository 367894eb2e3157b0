"""`vedette zones show`: the config's masks and zones over a frame, which shows nothing that they hide."""

import threading

import cv2
import numpy as np
import pytest

from agent.app.control_socket import SOCKET_NAME, ControlServer
from agent.app.kinds import KINDS
from agent.cli.status import proposal_line
from agent.cli.zones import COLOURS, PROPOSED, areas, drawn
from agent.config.load import parse
from tests.app.test_agent import vedette

CONFIG = """
state_directory = "state"
[[cameras]]
name = "yard"
kind = "images"
path = "images"
privacy_masks = [[[0, 0], [0.4, 0], [0.4, 0.4], [0, 0.4]]]
ignore_masks = [[[0.6, 0.9], [1, 0.9], [1, 1], [0.6, 1]]]
include_zones = [[[0.1, 0.5], [0.5, 0.5], [0.3, 0.8]]]
exclude_zones = [[[0.6, 0.1], [0.9, 0.1], [0.9, 0.5], [0.6, 0.5]]]
[[cameras]]
name = "gate"
kind = "synthetic"
"""


@pytest.fixture
def config(tmp_path):
    (tmp_path / "images").mkdir()
    image = np.full((180, 320, 3), 128, np.uint8)
    image[20:60, 20:100] = (255, 0, 255)  # under the privacy mask
    cv2.imwrite(str(tmp_path / "images" / "0.png"), image)
    file = tmp_path / "v.toml"
    file.write_text(CONFIG)
    return file


def show(config, *words):
    return vedette("zones", "show", "--config", str(config), "--out", str(config.parent / "z.png"), *words)


def test_each_area_is_drawn_in_its_colour_and_what_is_private_is_black(config):
    done = show(config, "--camera", "yard")
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()[1:]] == [f"{key}[0]" for key in COLOURS]
    assert "over a frame of camera yard, opened for this" in done.stdout
    image = cv2.imread(str(config.parent / "z.png"))
    assert image.shape == (360, 640, 3)
    for key, (x, y) in zip(COLOURS, [(0.2, 0.3), (0.8, 0.97), (0.3, 0.6), (0.8, 0.4)], strict=True):
        at = image[int(y * 360), int(x * 640)].astype(int)
        ground = 0 if key == "privacy_masks" else 128
        assert np.abs(at - np.array(COLOURS[key]) * 0.3 - ground * 0.7).max() < 6, key
    assert np.abs(image[200, 20].astype(int) - 128).max() < 3, "where there is none, the frame is as it was"
    blue, green, red = (image[..., channel].astype(int) for channel in range(3))
    assert not ((blue > 200) & (red > 200) & (green < 100)).any()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--camera", "yrad"], "did you mean 'yard'?"),
        ([], "choose one with --camera"),
    ],
)
def test_another_camera_is_refused_with_a_mend(config, words, said):
    done = show(config, *words)
    assert done.returncode == 1
    assert said in done.stderr


def test_nothing_but_a_png_is_replaced(config):
    done = vedette("zones", "show", "--config", str(config), "--camera", "yard", "--out", str(config))
    assert done.returncode == 1 and "--force" in done.stderr
    assert config.read_text() == CONFIG
    other = config.parent / "z.png"
    other.write_text("something else")
    assert show(config, "--camera", "yard", "--force").returncode == 0
    assert other.read_bytes().startswith(b"\x89PNG")


def test_a_bad_polygon_is_refused_with_its_key(config):
    config.write_text(CONFIG.replace("[0.3, 0.8]]]", "[0.3, 1.8]]]"))
    done = show(config, "--camera", "yard")
    assert done.returncode == 78
    assert "cameras[0].include_zones[0]: corner 3 is outside the frame" in done.stderr
    assert "v.toml:9" in done.stderr


def test_areas_at_every_edge_and_on_small_frames_are_drawn(config):
    camera, _ = parse(CONFIG, KINDS).cameras
    assert [one.name for one in areas(camera)] == [f"{key}[0]" for key in COLOURS]
    for width, height in ((1, 1), (16, 9), (1920, 1080)):
        before = np.full((height, width, 3), 90, np.uint8)
        assert drawn(before, areas(camera)).shape[1] >= 640 or width < 640
        assert (before == 90).all()


def test_what_the_agent_proposes_is_drawn_where_it_is_not_in_the_config_yet(config, tmp_path):
    known, new = [[0.6, 0.9], [1, 0.9], [1, 1], [0.6, 1]], [[0.1, 0.9], [0.4, 0.9], [0.4, 1], [0.1, 1]]
    answer = {"proposals": {"yard": f"ignore_masks = {[known, new]}", "gate": ""}}
    (tmp_path / "state").mkdir()
    server, stop = ControlServer(tmp_path / "state", {"status": lambda _: answer}), threading.Event()
    thread = threading.Thread(target=server.run, args=(stop,))
    thread.start()
    try:
        while not (tmp_path / "state" / SOCKET_NAME).exists():
            pass
        done = show(config, "--camera", "yard", "--open")
    finally:
        stop.set()
        thread.join(5)
    assert done.stdout.splitlines()[-1].startswith("  proposed[0]  3 % of the frame"), (
        done.stdout + done.stderr
    )
    image = cv2.imread(str(tmp_path / "z.png"))
    assert np.abs(image[348, 200].astype(int) - np.array(PROPOSED) * 0.3 - 128 * 0.7).max() < 6


def test_status_names_the_camera_of_a_proposal():
    assert proposal_line("yard", "ignore_masks = [[[0.1, 0.9]]]").plain.startswith(
        "camera yard: an area changes every second"
    )
