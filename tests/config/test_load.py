"""What the person who edits the file gets: every mistake named with file, line, key and the mend."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.app.kinds import KINDS
from agent.config.load import load, parse
from agent.config.schema import Settings
from agent.core.errors import ConfigError, ConfigErrors
from agent.core.units import duration_text, parse_duration, parse_size, size_text


def mistakes(text):
    with pytest.raises(ConfigError) as caught:
        parse(text, KINDS, file="v.toml")
    error = caught.value
    return [str(e) for e in error.errors] if isinstance(error, ConfigErrors) else [str(error)]


def test_an_empty_file_is_all_defaults():
    assert parse("", KINDS) == Settings()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[broker]\nulr = 'x'", "v.toml:2: broker.ulr: unknown key; did you mean 'url'?"),
        ("[brokr]\nurl = 'x'", "v.toml:1: brokr: unknown key; did you mean 'broker'?"),
        (
            "\n[broker]\nurl = 3",
            "v.toml:3: broker.url: is a number (not shown: it may be secret); expected a string",
        ),
        (
            "[windows]\nlength = 0.1",
            'v.toml:2: windows.length: is 0.1; expected a duration such as "30s" or "5m", from 1 to 3600 seconds',
        ),
        (
            "[model]\nprovider = 'cud'",
            "v.toml:2: model.provider: is \"cud\"; expected one of auto, cpu, cuda, tensorrt, openvino; did you mean 'cuda'?",
        ),
        (
            "[model]\nconfidence = true",
            "v.toml:2: model.confidence: is true; expected a number, from 0.001 to 1",
        ),
        ("[[cameras]]\nurl='a'", 'v.toml:1: cameras[0].name: is missing; expected name = "front"'),
        (
            "[[cameras]]\nname='a'\nurl='x'\n\n[[cameras]]\nname='b'\nurl='x'\nfsp=3",
            "v.toml:8: cameras[1].fsp: unknown key",
        ),
        (
            "[[cameras]]\nname='a'\nkind='strem'\nurl='x'",
            'v.toml:3: cameras[0].kind: is "strem"; expected one of stream, snapshot, gstreamer, v4l2, images, synthetic; '
            "did you mean 'stream'?",
        ),
        (
            "[[cameras]]\nname='a'\nurl='x'\n[[cameras]]\nname='a'\nurl='x'",
            'v.toml:5: cameras[1].name: is "a" a second time; expected another name',
        ),
        (
            "[[cameras]]\nname='a/b'\nurl='x'",
            "v.toml:2: cameras[0].name: is \"a/b\"; expected letters, digits, '-' and '_', 63 at most",
        ),
        (
            "[cameras]\nname='a'",
            "v.toml:1: cameras: is not a list; expected [[cameras]] with double brackets",
        ),
        ("broker = 3", "v.toml:1: broker: is 3; expected a table [broker]"),
    ],
)
def test_a_mistake_is_reported_with_line_key_and_remedy(text, expected):
    assert any(line.startswith(expected) for line in mistakes(text)), mistakes(text)


def test_all_mistakes_are_reported_at_once():
    assert len(mistakes("[model]\niou = 9\n[broker]\nkeepalive = 'x'\n[windows]\nlenth = 1")) == 3


def test_broken_toml_names_the_line():
    assert mistakes("[model]\npath = \n")[0].startswith("v.toml:2: path: not TOML")


def test_a_missing_file_is_answered_with_where_to_start(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.toml: there is no such file.*config\.example\.toml"):
        load(tmp_path / "none.toml", KINDS)


def test_a_binary_file_is_refused(tmp_path):
    file = tmp_path / "model.onnx"
    file.write_bytes(b"\xff\xfe\x00model")
    with pytest.raises(ConfigError, match="is not UTF-8 text"):
        load(file, KINDS)


def test_paths_start_from_the_files_directory(tmp_path):
    file = tmp_path / "v.toml"
    file.write_text("[model]\npath = 'm.onnx'\n[[cameras]]\nname='a'\nurl='clips/a.mp4'\n")
    settings = load(file, KINDS)
    assert settings.model.path == str(tmp_path / "m.onnx")
    assert settings.cameras[0].options.url.reveal() == str(tmp_path / "clips/a.mp4")


def test_addresses_are_left_as_they_are():
    settings = parse("[[cameras]]\nname='a'\nurl='rtsp://u:p@h/x'", KINDS)
    assert settings.cameras[0].options.url.reveal() == "rtsp://u:p@h/x"


@given(st.integers(0, 10**7))
def test_durations_read_back_what_is_shown(seconds):
    assert parse_duration(duration_text(float(seconds))) == seconds


@given(st.integers(0, 10**12))
def test_sizes_read_back_what_is_shown(size):
    assert parse_size(size_text(size)) == size


@pytest.mark.parametrize("text", ["5x", "", "m", "-5s", "1h 30", None, True, [1]])
def test_no_duration_is_made_up(text):
    with pytest.raises(ValueError):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "seconds"), [("1h30m", 5400), ("250ms", 0.25), ("1.5s", 1.5), (3, 3), ("2d", 172800)]
)
def test_durations(text, seconds):
    assert parse_duration(text) == seconds


@given(st.text(max_size=200))
def test_no_text_crashes_the_reader(text):
    try:
        assert dataclasses.is_dataclass(parse(text, KINDS))
    except ConfigError as error:
        assert str(error)


MASKED = '[[cameras]]\nname = "front"\nkind = "synthetic"\nprivacy_masks = {}\n'


def test_masks_are_polygons():
    (camera,) = parse(MASKED.format("[[[0, 0], [0.5, 0], [0.5, 0.25]]]"), KINDS).cameras
    assert camera.privacy_masks == (((0.0, 0.0), (0.5, 0.0), (0.5, 0.25)),)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[[0, 0], [1, 1], [1, 0], [0, 1]]]", "cameras[0].privacy_masks[0]: its outline crosses"),
        ("[[[0, 0], [1, 0], [1, 1]], [[0, 0], [nan, 0], [1, 1]]]", "privacy_masks[1]: corner 2 is outside"),
        ("[[[0, 0], [640, 0], [640, 360]]]", "divide pixels by the frame's width and height"),
        ("[[0, 0], [1, 0], [1, 1]]", "privacy_masks[0]: corner 1 is not a pair of numbers"),
        ('"0,0,1,0,1,1"', 'privacy_masks: is "0,0,1,0,1,1"'),
        ("[" + "[[0, 0], [1, 0], [1, 1]]," * 33 + "]", "privacy_masks: has 33 polygons"),
        ("[[" + "[0, 0]," * 3000 + "]]", "privacy_masks[0]: has 3000 corners"),
    ],
    ids=["crossing", "nan", "pixels", "flat", "text", "many", "large"],
)
def test_a_bad_polygon_is_refused_with_its_key_and_a_mend(text, words):
    with pytest.raises(ConfigError) as caught:
        parse(MASKED.format(text), KINDS, file="v.toml")
    assert words in str(caught.value)
    assert "v.toml:4" in str(caught.value)
    assert "expected" in str(caught.value)
