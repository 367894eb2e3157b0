"""Twin of agent/app/validate.py and of `config.load.placed`: every mistake with file, line, key and mend."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys

import pytest

from agent.app.kinds import KINDS
from agent.app.validate import validate, validate_classes
from agent.config.load import load, placed
from agent.core.errors import ConfigError, ConfigErrors
from agent.detection import ModelInfo

CAMERA = '[[cameras]]\nname = "front"\nkind = "synthetic"\n'


def mistakes(tmp_path, text):
    """What is said of a config with `text`, one string each, without the folder."""
    file = tmp_path / "v.toml"
    file.write_text(CAMERA + text)
    settings = load(file, KINDS)
    with pytest.raises(ConfigError) as caught, placed(file):
        validate(settings)
    return str(caught.value).replace(f"{tmp_path}/", "").splitlines()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[[rules]]\nname = "slow"\nwhen = "camera.latency.p99 > 0.2 for 5m"\n',
         "v.toml:6: rules[slow].when: unknown metric 'camera.latency.p99'; expected one of those of `vedette "
         "rules list --metrics`; did you mean 'camera.latency_p99_seconds'?"),
        ('[[rules]]\nname = "slow"\nseverity = "info"\nwhen = "camera.fps_in >> 3"\n',
         "v.toml:7: rules[slow].when: '>' is not expected here (at character 16 of "
         "'camera.fps_in >> 3'); expected a number"),
        ('[[rules]]\nname = "latncy_p99"\n',
         "v.toml:4: rules[latncy_p99].when: is missing, and no default rule has this name; expected a condition "
         'such as "camera.latency_p99_seconds > 0.5 for 5m"; did you mean \'latency_p99\'?'),
        ('[[rules]]\nname = "dark"\nwhen = \'camera.black{camera="frnt"}\'\n',
         "v.toml:6: rules[dark].when: there is no camera 'frnt'; did you mean 'front'?"),
        ('[[rules]]\nname = "a"\nwhen = "camera.black"\n[[rules]]\nname = "a"\nwhen = "camera.down"\n',
         "v.toml:8: rules[a].name: is defined twice; expected another name"),
        ('[[notifiers]]\nname = "night"\nurl = "http://h/x"\nquiet_hours = "nights"\n',
         "v.toml:7: notifiers[night].quiet_hours: 'nights' is not a schedule; expected a schedule such as "
         '"22:00-06:00", "sat-sun" or "mon-fri 08:00-17:00, sat 08:00-12:00"'),
        ('[[notifiers]]\nname = "night"\nurl = "ftp://h/x"\n',
         "v.toml:6: notifiers[night].url: is not an HTTP address; expected https://HOST/PATH"),
        ('[[notifiers]]\nname = "night"\nurl = "http://h/x"\nrules = ["latency-p99"]\n',
         "v.toml:7: notifiers[night].rules: there is no rule 'latency-p99'; did you mean 'latency_p99'?"),
        ('[[notifiers]]\nname = "night"\nurl = "http://h/x"\ncameras = ["gate"]\n',
         "v.toml:7: notifiers[night].cameras: there is no camera 'gate'; expected one of front"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_place_and_mend(tmp_path, text, said):
    assert mistakes(tmp_path, text) == [said]


def test_all_are_told_at_once(tmp_path):
    rules = "".join(f'[[rules]]\nname = "{name}"\nwhen = "nothing"\n' for name in "ab")
    found = mistakes(tmp_path, rules + '[[notifiers]]\nname = "n"\nurl = "ftp://h"\n')
    assert [line.split(": ")[:2] for line in found] == [
        ["v.toml:6", "rules[a].when"], ["v.toml:9", "rules[b].when"], ["v.toml:12", "notifiers[n].url"],
    ]  # fmt: skip


def test_a_file_that_went_away_meanwhile_hides_no_mistake(tmp_path):
    file = tmp_path / "v.toml"
    file.write_text(CAMERA + '[[rules]]\nname = "slow"\nwhen = "nothing > 1"\n')
    settings = load(file, KINDS)
    file.unlink()
    with pytest.raises(ConfigError, match=r"rules\[slow\].when: unknown metric 'nothing'"), placed(file):
        validate(settings)


def test_errors_from_elsewhere_pass_through():
    with pytest.raises(ConfigErrors) as caught, placed(None):
        raise ConfigErrors([ConfigError("is bad", key="a.b"), ConfigError("too", key="rules[x].when")])
    assert len(caught.value.errors) == 2


def test_it_is_quick_to_ask(tmp_path):
    """No model, no camera, no broker library is loaded for it."""
    heavy = "{'cv2', 'onnxruntime', 'av', 'paho', 'torch'}"
    code = f"import sys, agent.alerts.rules, agent.cli.rules; print(sorted({heavy} & set(sys.modules)))"
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    assert ran.stdout.strip() == "[]"


def test_ordinary_settings_give_the_rules_in_force(tmp_path):
    file = tmp_path / "v.toml"
    file.write_text(CAMERA + '[alerts]\nrunbooks = "https://wiki.example/vedette/"\n')
    rules = {rule.name: rule for rule in validate(load(file, KINDS))}
    assert rules["disk"].runbook == "https://wiki.example/vedette/disk.md"
    file.write_text(
        CAMERA + '[alerts]\ndefault_rules = false\n[[rules]]\nname = "a"\nwhen = "camera.black"\n'
    )
    assert [rule.name for rule in validate(load(file, KINDS))] == ["a"]


# -- classes of the model ----------------------------------------------------------------------------------------


MODEL = ModelInfo(
    path="/m/yolo.onnx", sha256="", name="yolo.onnx", classes=("person", "traffic light", "car"), input_size=(64, 64),
    stride=32, input_type="float32", dynamic_batch=True, dynamic_size=True, max_batch=8, layout="channels",
    embedding_size=0, provider="cpu", precision="fp32", threads=1, lanes=1, runtime="", source="",
)  # fmt: skip


@pytest.mark.parametrize(
    ("classes", "said"),
    [
        ('["persn"]', "no class 'persn'; did you mean 'person'?"),
        (
            '["car", "zebra crossing"]',
            "no class 'zebra crossing'; expected one of person, traffic light, car",
        ),
        ('["class0"]', "no class 'class0'"),
    ],
)
def test_a_class_that_the_model_does_not_have_is_named_with_its_place(tmp_path, classes, said):
    file = tmp_path / "v.toml"
    file.write_text(f"{CAMERA}classes = {classes}\n")
    settings = load(file, KINDS)
    with pytest.raises(ConfigError) as caught, placed(file):
        validate_classes(settings, MODEL)
    assert f"v.toml:4: cameras[front].classes: the model yolo.onnx has {said}" in str(caught.value)


def test_classes_are_those_of_the_model_or_its_numbers_where_it_has_no_names(tmp_path):
    file = tmp_path / "v.toml"
    file.write_text(f'{CAMERA}classes = ["traffic light", "car"]\n')
    validate_classes(load(file, KINDS), MODEL)
    unnamed = dataclasses.replace(MODEL, classes=())
    file.write_text(f'{CAMERA}classes = ["class7"]\n')
    validate_classes(load(file, KINDS), unnamed)
    file.write_text(f'{CAMERA}classes = ["car"]\n')
    with pytest.raises(ConfigError, match=r"expected class0, class1, ..."):
        validate_classes(load(file, KINDS), unnamed)
