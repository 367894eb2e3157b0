"""`vedette sketch merge`: what real agents sent through a real broker, merged from files and while listening."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from agent.__main__ import main
from agent.references.offline.fleet_merge import Merger
from tests.references.conftest import NOON, SUBJECT, Source, recorded
from tests.references.offline.test_fleet_merge import message

ROOT = Path(__file__).resolve().parents[2]


def merged(capsys, *words):
    code = main(["sketch", "merge", *map(str, words)])
    return code, capsys.readouterr().out


def test_two_real_agents_become_one_distribution(tmp_path, mosquitto, listen, capsys):
    broker = mosquitto()
    subscriber = listen(broker.port)
    agents = []
    for name, seed in (("one", 1), ("two", 2)):
        config = tmp_path / f"{name}.toml"
        config.write_text(
            f'state_directory = "{tmp_path}/{name}"\n[device]\nname = "{name}"\n[broker]\nurl = "{broker.url}"\nclient_id = "{name}"\n'
            f'[windows]\nlength = "1s"\n[reports]\nprofile = "full"\n[[cameras]]\nname = "gate"\nkind = "synthetic"\nseed = {seed}\n'
        )
        words = [sys.executable, "-m", "agent", "run", "--config", str(config)]
        agents.append(subprocess.Popen(words, cwd=ROOT, stderr=subprocess.DEVNULL))
    output = {}

    def hear():
        output["code"] = main(["sketch", "merge", "--broker", broker.url, "--for", "3s", "--json"])

    try:
        subscriber.wait(
            lambda heard: {m.topic.split("/")[2] for m in heard if "/sketch/" in m.topic} == {"one", "two"},
            60,
        )
        listening = threading.Thread(target=hear)
        listening.start()
        listening.join(60)
        subscriber.wait(lambda heard: len([m for m in heard if "/sketch/" in m.topic]) >= 6, 60)
    finally:
        for agent in agents:
            agent.terminate()
        for agent in agents:
            agent.wait(20)
    live = json.loads(capsys.readouterr().out)
    assert output["code"] == 0
    assert live[0]["sources"] == ["one/gate", "two/gate"]

    file = tmp_path / "sketches.jsonl"
    payloads = [m.payload for m in subscriber.messages if "/sketch/" in m.topic]
    file.write_bytes(b"\n".join(payloads))
    code, out = merged(capsys, file)
    assert code == 0
    assert f"{len(payloads)} windows of 2 cameras (one/gate, two/gate)" in out
    assert "brightness" in out
    assert "embedding_0" in out


def test_against_an_exported_reference_it_prints_ks_and_psi(tmp_path, capsys):
    source = Source(seed=6)
    lines = [message(source.window(tint=2)[0], seq) for seq in range(1, 11)]
    (tmp_path / "a.jsonl").write_bytes(b"\n".join(lines[:5]))
    (tmp_path / "b.jsonl").write_bytes(b"\n".join([*lines[3:], b"{torn"]))
    exported = tmp_path / "front.json"
    exported.write_text(recorded(windows=12).make(NOON, final=True).to_text())
    code, out = merged(capsys, tmp_path / "a.jsonl", tmp_path / "b.jsonl", "--reference", exported)
    assert code == 0
    first = next(line for line in out.splitlines() if line.startswith(("tint", "brightness")))
    assert first.startswith("tint"), "what differs most stands first"
    assert "2 messages came twice and were counted once" in out
    assert "1 message could not be read" in out


def test_the_wrong_reference_and_missing_files_are_reported(tmp_path, capsys):
    file = tmp_path / "a.jsonl"
    file.write_bytes(message(Source().window()[0], 1))
    exported = tmp_path / "other.json"
    exported.write_text(recorded(windows=12, model_sha256="b" * 64).make(NOON, final=True).to_text())
    assert main(["sketch", "merge", str(file), "--reference", str(exported)]) == 1
    assert "another model" in capsys.readouterr().err
    assert main(["sketch", "merge", str(tmp_path / "gone")]) == 1
    assert "No such file" in capsys.readouterr().err
    assert main(["sketch", "merge"]) == 78
    assert "give FILES or --broker" in capsys.readouterr().err
    empty = tmp_path / "empty"
    empty.touch()
    assert main(["sketch", "merge", str(empty)]) == 1
    assert "no sketch message was found" in capsys.readouterr().out


@pytest.mark.parametrize("count", [1, 40])
def test_what_it_prints_as_json_can_be_merged_further(tmp_path, capsys, count):
    source = Source()
    file = tmp_path / "a.jsonl"
    file.write_bytes(b"\n".join(message(source.window()[0], seq + 1) for seq in range(count)))
    assert main(["sketch", "merge", str(file), "--json"]) == 0
    (group,) = json.loads(capsys.readouterr().out)
    again = Merger()
    again.process(
        json.dumps(
            {
                **group["merged"],
                "schema": "sketch/1",
                "device": "fleet",
                "boot": "b",
                "seq": 1,
                "model_sha256": SUBJECT.model_sha256,
            }
        )
    )
    assert again.damaged == 0
    assert next(iter(again.groups.values())).window.frames == count * source.samples


def test_one_device_with_another_model_does_not_hide_the_others(tmp_path, capsys):
    source = Source()
    file = tmp_path / "a.jsonl"
    file.write_bytes(message(source.window()[0], 1) + b"\n" + message(source.window()[0], 2, model="b" * 64))
    exported = tmp_path / "front.json"
    exported.write_text(recorded(windows=12).make(NOON, final=True).to_text())
    code, out = merged(capsys, file, "--reference", exported)
    assert code == 0
    assert "KS" in out
    assert out.count("not compared: ") == 1
    assert main(["sketch", "merge", str(file), "--reference", str(exported), "--json"]) == 0
    groups = json.loads(
        capsys.readouterr().out, parse_constant=lambda name: pytest.fail(f"{name} is not JSON")
    )
    assert [("not_compared" in group) for group in groups] == [False, True]


@pytest.mark.parametrize(
    "change",
    [
        {"frames_sampled": 10**18}, {"frames_sampled": "many"}, {"start": "[/x]"}, {"end": 1e300}, {"merged": -1},
        {"seq": "1"}, {"device": ["x"]}, {"model_sha256": None}, {"class_0_count": 1e18}, {"brightness_kll": 5},
        {"brightness_kll": "AAAA"}, {"brightness_step_mean": "x"}, {"feature_version": {}}, {"\x1b]0;t\x07[/x]_kll": "AgMPAA=="},
    ],
)  # fmt: skip
def test_a_message_that_is_none_is_counted_and_the_others_are_merged(tmp_path, capsys, change):
    good, bad = message(Source().window()[0], 1), json.loads(message(Source().window()[0], 2))
    file = tmp_path / "a.jsonl"
    file.write_bytes(good + b"\n" + json.dumps({**bad, **change}).encode())
    code, out = merged(capsys, file)
    assert code == 0
    assert "1 message could not be read" in out
    assert "1 window of 1 camera" in out


def test_names_in_it_are_shown_and_never_obeyed(tmp_path, capsys):
    body = json.loads(message(Source().window()[0], 1))
    body |= {"camera": "[/x]\x1b]52;c;x\x07", "feature_version": "\x9b2J", "model_sha256": "[red]"}
    file = tmp_path / "a.jsonl"
    file.write_text(json.dumps(body))
    code, out = merged(capsys, file)
    assert code == 0
    assert "[/x]" in out
    assert all(sign.isprintable() or sign == "\n" for sign in out)
