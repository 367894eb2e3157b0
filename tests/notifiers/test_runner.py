from __future__ import annotations

import json
import threading
import time

import pytest
from structlog.testing import capture_logs

from agent.config.schema import NotifierSettings
from agent.core.errors import ConfigError
from agent.notifiers.runner import EXPIRY_SECONDS, MOST_QUEUED, NotifierWorker, make_notifiers
from agent.notifiers.webhook import WebhookNotifier, WebhookOptions

NOW = 1_700_000_000.0


def part(tmp_path, *urls, picture=None, **keys):
    notifiers = [
        (NotifierSettings(name=f"n{number}", group_interval=0.0, **keys),
         WebhookNotifier(WebhookOptions(url=url, format="json", timeout=1.0)))
        for number, url in enumerate(urls)
    ]  # fmt: skip
    return NotifierWorker(notifiers, tmp_path, device="edge-1", site="plant", picture=picture)


DEAD = "http://127.0.0.1:9/services/secret-token"


def test_what_is_offered_arrives(tmp_path, receiver, make_alert):
    one, stop = part(tmp_path, receiver.url), threading.Event()
    thread = threading.Thread(target=one.run, args=(stop,))
    thread.start()
    one.offer([make_alert()])
    deadline = time.monotonic() + 10
    while not receiver.received and time.monotonic() < deadline:
        time.sleep(0.05)
    stop.set()
    thread.join(5)
    assert receiver.bodies()[0]["alerts"][0]["id"] == make_alert().id
    assert not one.stuck()


def test_it_is_retried_with_growing_pauses_until_it_is_taken(tmp_path, receiver, make_alert):
    receiver.answers = [503, 503, 200]
    one = part(tmp_path, receiver.url)
    one.offer([make_alert()])
    with capture_logs() as logs:
        for second in range(20):
            one.work(NOW + second, second)
    assert len(receiver.received) == 3
    assert one.sent == 1
    said = [entry["event"] for entry in logs]
    assert said == ["notifier cannot deliver, retrying", "notifier works again"]


def test_one_that_is_refused_for_good_is_said_and_let_go(tmp_path, receiver, make_alert):
    receiver.answers = [404, 200]
    one = part(tmp_path, receiver.url)
    one.offer([make_alert()])
    with capture_logs() as logs:
        one.work(NOW, 0)
    assert (one.lost, logs[0]["event"]) == (1, "notice is lost")
    one.offer([make_alert("next")])
    one.work(NOW, 1)
    assert one.sent == 1


def test_one_that_is_unreachable_holds_up_no_other_and_shows_no_secret(tmp_path, receiver, make_alert):
    one = part(tmp_path, DEAD, receiver.url)
    one.offer([make_alert()])
    with capture_logs() as logs:
        one.work(NOW, 0)
    assert len(receiver.received) == 1
    assert logs[0]["reason"] == "127.0.0.1: connection refused"
    assert "secret" not in str(logs)


def test_what_waits_survives_a_restart_and_the_picture_does_not(tmp_path, receiver, make_alert):
    one = part(tmp_path, DEAD, picture=lambda camera: camera.encode())
    one.offer([make_alert(), make_alert("slow", severity="warning")])
    one.work(NOW, 0)
    two = part(tmp_path, receiver.url)
    two._restore()
    two.offer([make_alert(state="resolved")])
    for second in range(3):
        two.work(NOW + 100 + second, second)
    first, second = receiver.bodies()
    assert [alert["rule"] for alert in first["alerts"]] == ["camera_down", "slow"]
    assert second["resolved"]


def test_a_picture_is_sent_only_where_it_is_allowed(tmp_path, receiver, make_alert):
    asked = []

    def picture(camera):
        asked.append(camera)
        return b"jpeg"

    for allowed in (False, True):
        one = part(tmp_path / str(allowed), receiver.url, picture=picture)
        one._outlets[0].route.settings = NotifierSettings(name="n", group_interval=0.0, picture=allowed)
        one.offer([make_alert()])
        one.work(NOW, 0)
    assert ["picture_jpeg" in body for body in receiver.bodies()] == [False, True]
    assert asked == ["front"]


def test_a_broken_file_is_said_and_begun_anew(tmp_path, receiver, make_alert):
    (tmp_path / "notices.json").write_text('{"n0": {"route": 5}}')
    one = part(tmp_path, receiver.url)
    with capture_logs() as logs:
        one._restore()
    assert logs[0]["event"] == "kept notices cannot be read, starting without them"
    one.offer([make_alert()])
    one.work(NOW, 0)
    assert one.sent == 1


def test_the_queue_is_bounded_and_its_losses_are_counted(tmp_path, make_alert):
    one = part(tmp_path, DEAD)
    for number in range(MOST_QUEUED + 10):
        one.offer([make_alert(f"rule{number}")])
        one.work(NOW + number, 0)
    assert one.lost == 10


def test_a_day_old_notice_is_let_go(tmp_path, receiver, make_alert):
    one = part(tmp_path, DEAD)
    one.offer([make_alert()])
    one.work(NOW, 0)
    one.work(NOW + EXPIRY_SECONDS + 1, 1e6)
    assert one.lost == 1


def test_ten_thousand_alerts_are_one_notice(tmp_path, receiver, make_alert):
    one = part(tmp_path, receiver.url)
    one.offer([make_alert(f"rule{number}") for number in range(10_000)])
    began = time.perf_counter()
    one.work(NOW, 0)
    assert time.perf_counter() - began < 5
    (body,) = receiver.bodies()
    assert body["more"] == 9_800


@pytest.mark.parametrize(
    ("keys", "options", "key"),
    [
        ({}, WebhookOptions(url="ftp://host/secret"), "notifiers[n].url"),
        ({}, WebhookOptions(url="http://[broken/secret"), "notifiers[n].url"),
        ({"quiet_hours": "x"}, WebhookOptions(url="http://host"), "notifiers[n].quiet_hours"),
    ],
)
def test_bad_settings_name_notifier_and_key(keys, options, key):
    with pytest.raises(ConfigError) as caught:
        make_notifiers([NotifierSettings(name="n", options=options, **keys)])
    assert caught.value.key == key
    assert "secret" not in str(caught.value)


def test_a_disabled_one_is_left_out():
    assert make_notifiers([NotifierSettings(name="n", enabled=False)]) == []


def test_what_fires_is_sent_again_to_a_receiver_that_forgets(tmp_path, receiver, make_alert):
    one = part(tmp_path, receiver.url)
    one._outlets[0].notifier.refresh_seconds = 60.0
    one.offer([make_alert()])
    for second in range(0, 200, 10):
        one.work(NOW + second, 1000.0 + second)
    assert len(receiver.received) == 4
    one.offer([make_alert(state="resolved")])
    for second in range(200, 400, 10):
        one.work(NOW + second, 1000.0 + second)
    assert len(receiver.received) == 5


def test_what_was_sent_is_known_on_disk_before_the_next_one_has_its_turn(tmp_path, receiver, make_alert):
    """A process killed while a slow notifier sends must not tell the quick one again."""
    one = part(tmp_path, receiver.url, DEAD)
    seen = []
    slow = one._outlets[1].notifier

    class Slow:
        refresh_seconds = 0.0

        def send(self, notice):
            seen.append(json.loads((tmp_path / "notices.json").read_text())["n0"]["queue"])
            slow.send(notice)

    one._outlets[1].notifier = Slow()
    one.offer([make_alert()])
    one.work(NOW, 0)
    assert (len(receiver.received), seen) == (1, [[]])


def test_a_change_of_notifiers_loses_nothing_that_waits_or_is_offered_meanwhile(
    tmp_path, receiver, make_alert
):
    one = part(tmp_path, DEAD)
    one.offer([make_alert()])
    one.work(NOW, 0)
    one.offer([make_alert("slow")])
    one.change([(outlet.route.settings, outlet.notifier) for outlet in part(tmp_path, receiver.url)._outlets])
    one.offer([make_alert("late")])
    for second in range(1, 5):
        one.work(NOW + 100 * second, 100 * second)
    rules = [alert["rule"] for body in receiver.bodies() for alert in body["alerts"]]
    assert sorted(rules) == ["camera_down", "late", "slow"]
