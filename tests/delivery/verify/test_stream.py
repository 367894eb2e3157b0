import json
import subprocess
import threading
import time

import pytest

from agent.__main__ import main
from agent.delivery.messages import FAMILIES, Stamp, encode, status_draft
from agent.delivery.verify.stream import Verifier, describe
from tests.delivery.conftest import NOW, Drafts
from tests.waiting import wait_until

pytestmark = pytest.mark.usefixtures("hurried")


def hear(
    verifier, drafts, seqs, *, lost=None, merged=None, topic="vedette/dock/box/host", boot="b-e", late=0.0
):
    for seq in seqs:
        extra = {"merged": merged[seq]} if merged and seq in merged else {}
        stamp = Stamp(
            prefix="vedette/dock/box", device="box", boot=boot, seq=seq, at=NOW, lost=(lost or {}).get(seq, 0)
        )
        payload = encode(drafts.host(**extra), stamp).payload
        verifier.process(topic, payload, retained=False, now=NOW + late)


def stream(verifier):
    (found,) = verifier.report()["devices"]["dock/box"]["streams"]
    return found


@pytest.mark.parametrize(
    ("seqs", "lost", "merged", "expected"),
    [
        ([1, 2, 3], {}, {}, {"received": 3}),
        ([5, 6, 9], {}, {}, {"received": 3, "gaps": 2}),
        ([5, 6, 9], {9: 2}, {}, {"received": 3, "lost": 2}),
        ([5, 6, 9], {9: 1}, {}, {"received": 3, "lost": 1, "gaps": 1}),
        ([1, 2, 2, 3, 1], {}, {}, {"received": 3, "duplicates": 2}),
        ([1, 3, 2], {}, {}, {"received": 3, "disorder": 1}),
        ([1, 11, 12], {}, {11: 10}, {"received": 3, "merged": 9}),
        ([1, 11, 12], {}, {11: 8}, {"received": 3, "merged": 7, "gaps": 2}),
    ],
)
def test_every_number_is_accounted_for_or_a_gap(seqs, lost, merged, expected):
    verifier, drafts = Verifier(), Drafts()
    hear(verifier, drafts, seqs, lost=lost, merged=merged)
    counted = ("gaps", "lost", "merged", "duplicates", "disorder", "altered")
    assert {k: v for k, v in stream(verifier).items() if k in ("received", *counted) and v} == expected
    assert verifier.report()["ok"] == (not {"gaps", "disorder", "altered"} & expected.keys())


@pytest.mark.parametrize(
    ("again", "missing", "expected"),
    [
        (3, 0, {"received": 61, "duplicates": 1}),
        (3, 5, {"received": 61, "disorder": 1}),
        (5, 5, {"received": 61, "disorder": 1}),
    ],
)
def test_what_a_broker_delivers_once_more_after_long_is_no_disorder(monkeypatch, again, missing, expected):
    """One that was killed goes on from what it had saved half an hour before. Where something is missing, it may be that."""
    monkeypatch.setattr("agent.delivery.verify.stream.MOST_SEEN", 20)
    verifier, drafts = Verifier(), Drafts()
    hear(verifier, drafts, [seq for seq in range(1, 62) if seq != missing] + [again])
    found = stream(verifier)
    counted = ("gaps", "lost", "merged", "duplicates", "disorder", "altered")
    assert {k: v for k, v in found.items() if k in ("received", *counted) and v} == expected


def test_a_new_epoch_counts_anew_and_a_new_boot_goes_on():
    verifier, drafts = Verifier(), Drafts()
    hear(verifier, drafts, [7, 8], boot="boot1-epoch1")
    hear(verifier, drafts, [9], boot="boot2-epoch1")
    hear(verifier, drafts, [1, 2], boot="boot2-epoch2")
    streams = verifier.report()["devices"]["dock/box"]["streams"]
    assert [(s["epoch"], s["received"], s["gaps"]) for s in streams] == [("epoch1", 3, 0), ("epoch2", 2, 0)]


def test_a_message_that_changed_under_its_id_is_found():
    verifier, drafts = Verifier(), Drafts()
    hear(verifier, drafts, [1])
    drafts.at += 60
    hear(verifier, drafts, [1])
    assert stream(verifier)["altered"] == 1


def test_late_and_replayed_messages_are_counted():
    verifier, drafts = Verifier(), Drafts()
    hear(verifier, drafts, [1, 2], topic="vedette/dock/box/replay/host", late=500.0)
    assert (stream(verifier)["replayed"], stream(verifier)["worst_delay_seconds"]) == (2, 500.0)


@pytest.mark.parametrize("payload", [b"{", b"[]", b'{"schema":"host/1"}', b"\xff\xfe"])
def test_what_breaks_the_schema_is_reported_with_an_example(payload):
    verifier = Verifier()
    verifier.process("vedette/dock/box/host", payload, retained=False, now=NOW)
    report = verifier.report()
    assert (report["ok"], report["devices"]["dock/box"]["invalid"]) == (False, 1)
    assert "vedette/dock/box/host: " in describe(report)


def test_foreign_topics_and_cleared_alerts_are_no_errors():
    verifier = Verifier("fleet/vedette")
    for topic in ("homeassistant/x", "fleet/vedette/a", "vedette/dock/box/host"):
        verifier.process(topic, b"{}", retained=False, now=NOW)
    verifier.process("fleet/vedette/dock/box/alert/1", b"", retained=False, now=NOW)
    assert verifier.report() == {"ok": True, "foreign": 3, "left_out": 0, "devices": {}}
    assert "no messages were received" in describe(verifier.report())


def test_a_clock_that_is_ahead_is_told_and_no_delay_is_negative():
    verifier, drafts = Verifier(), Drafts()
    hear(verifier, drafts, [1, 2], late=-30.0)
    hear(verifier, drafts, [3], late=90.0)
    report = verifier.report()["devices"]["dock/box"]
    assert (report["clock_ahead_seconds"], stream(verifier)["worst_delay_seconds"]) == (30.0, 90.0)
    assert stream(verifier)["late"] == 1
    text = describe(verifier.report())
    assert "30 s ahead of ours" in text
    assert "1 more than 60 s late" in text


def test_a_device_of_which_only_states_are_heard_is_told():
    verifier = Verifier()
    stamp = Stamp(prefix="vedette/dock/box", device="box", boot="b-e", seq=1, at=NOW)
    message = encode(status_draft("offline", since=NOW, version="1"), stamp)
    verifier.process(message.topic, message.payload, retained=True, now=NOW)
    assert "is it offline" in describe(verifier.report())


@pytest.mark.broker
@pytest.mark.parametrize("kept", [True, False])
def test_a_broken_line_is_mended_and_told(mosquitto, publish, drafts, capsys, tmp_path, kept):
    """The broker is restarted meanwhile; where it keeps sessions, nothing is missing."""
    keeping = ("persistence true", f"persistence_location {tmp_path}/") if kept else ()
    broker = mosquitto("allow_anonymous true", "log_type all", *keeping)
    running, codes = publish(broker.url), []
    listening = threading.Thread(
        target=lambda: codes.append(main(["verify", "--broker", broker.url, "--for", "5s"]))
    )
    listening.start()
    wait_until(lambda: "Sending SUBACK to vedette-verify" in broker.log.read_text(), 10)
    running.publisher.publish(drafts.host(start=time.time()))
    assert running.publisher.drain(10)
    broker.stop()
    broker.start()
    running.until(lambda p: p.connection.state == "connected")
    for _ in range(3):
        running.publisher.publish(drafts.host(start=time.time()))
    assert running.publisher.drain(10)
    listening.join()
    out = capsys.readouterr().out
    if kept:
        assert codes == [0]
        assert "  host    4 messages, 0 gaps" in out
        assert "the line was down 1 time" in out
        assert "the broker kept what came meanwhile" in out
    else:
        assert "the broker did not keep what came meanwhile" in out


@pytest.mark.broker
def test_the_config_of_an_agent_says_where_and_how_to_listen(mosquitto, publish, drafts, capsys, tmp_path):
    passwords = tmp_path / "passwords"
    subprocess.run(
        ["mosquitto_passwd", "-c", "-b", passwords, "agent", "right"], check=True, capture_output=True
    )
    rules = tmp_path / "rules"
    rules.write_text("user agent\ntopic readwrite fleet/vedette/#\n")
    broker = mosquitto("allow_anonymous false", f"password_file {passwords}", f"acl_file {rules}")
    config = tmp_path / "v.toml"
    config.write_text(
        f'[broker]\nurl = "{broker.url}"\nusername = "agent"\npassword = "right"\ntopic_prefix = "fleet/vedette"\n'
        '[[cameras]]\nname = "a"\nkind = "synthetic"\n'
    )
    assert main(["verify", "--config", str(config), "--for", "300ms"]) == 1
    assert "no messages were received" in capsys.readouterr().out
    config.write_text(config.read_text().replace('"right"', '"wrong"'))
    assert main(["verify", "--config", str(config), "--for", "300ms"]) == 1
    assert "not authorized" in capsys.readouterr().err


@pytest.mark.broker
def test_a_broker_that_does_not_let_us_subscribe_is_told(no_subscriptions, capsys):
    assert main(["verify", "--broker", no_subscriptions.url, "--for", "5s"]) == 1
    assert "may not subscribe to vedette/#" in capsys.readouterr().err


@pytest.mark.broker
def test_the_command_listens_and_reports(mosquitto, publish, drafts, capsys):
    broker = mosquitto()
    running, stop = publish(broker.url), threading.Event()

    def feed():
        while not stop.wait(0.02):
            running.publisher.publish(drafts.host(start=time.time()))

    thread = threading.Thread(target=feed)
    thread.start()
    code = main(["verify", "--broker", broker.url, "--for", "1500ms", "--json"])
    stop.set()
    thread.join()
    out = capsys.readouterr().out
    report = json.loads(out[out.index("{") :])
    assert code == 0
    assert report["devices"]["dock/box"]["streams"][0]["received"] > 10
    assert main(["verify", "--broker", broker.url, "--for", "200ms", "--prefix", "other"]) == 1
    assert main(["verify", "--broker", broker.url, "--for", "soon"]) == 78
    assert main(["verify", "--broker", "mqtt://127.0.0.1:1", "--for", "1s"]) == 1


def test_the_schema_command_prints_what_ships(capsys):
    assert main(["schema"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(FAMILIES)
    assert main(["schema", "camera"]) == 0
    assert json.loads(capsys.readouterr().out)["$id"] == "urn:vedette:camera:1"
    assert main(["schema", "kamera"]) == 78
