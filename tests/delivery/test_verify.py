import json
import threading
import time

import pytest

from agent.__main__ import main
from agent.delivery.messages import FAMILIES, Stamp, encode
from agent.delivery.verify import Verifier, describe

from .conftest import NOW, Drafts


def hear(
    verifier, drafts, seqs, *, lost=None, merged=None, topic="vedette/dock/box/host", boot="b-e", late=0.0
):
    for seq in seqs:
        extra = {"merged": merged[seq]} if merged and seq in merged else {}
        stamp = Stamp(
            prefix="vedette/dock/box", device="box", boot=boot, seq=seq, at=NOW, lost=(lost or {}).get(seq, 0)
        )
        payload = encode(drafts.host(**extra), stamp).payload
        verifier.hear(topic, payload, retained=False, now=NOW + late)


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
    verifier.hear("vedette/dock/box/host", payload, retained=False, now=NOW)
    report = verifier.report()
    assert (report["ok"], report["devices"]["dock/box"]["invalid"]) == (False, 1)
    assert "vedette/dock/box/host: " in describe(report)


def test_foreign_topics_and_cleared_alerts_are_no_errors():
    verifier = Verifier("fleet/vedette")
    for topic in ("homeassistant/x", "fleet/vedette/a", "vedette/dock/box/host"):
        verifier.hear(topic, b"{}", retained=False, now=NOW)
    verifier.hear("fleet/vedette/dock/box/alert/1", b"", retained=False, now=NOW)
    assert verifier.report() == {"ok": True, "foreign": 3, "devices": {}}
    assert "nothing was heard" in describe(verifier.report())


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
