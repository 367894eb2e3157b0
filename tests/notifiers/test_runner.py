from __future__ import annotations

import json
import threading

import pytest
from structlog.testing import capture_logs

from agent.config.schema import NotifierSettings
from agent.core.errors import ConfigError, RetryableDelivery
from agent.notifiers.runner import EXPIRY_SECONDS, MOST_QUEUED, NotifierWorker, make_notifiers
from agent.notifiers.webhook import WebhookNotifier, WebhookOptions

NOW = 1_700_000_000.0


def webhook(url):
    return WebhookNotifier(WebhookOptions(url=url, format="json", timeout=1.0))


def named(*kinds, **keys):
    return [
        (NotifierSettings(name=f"n{number}", group_interval=0.0, **keys), kind)
        for number, kind in enumerate(kinds)
    ]


def worker(tmp_path, *urls, scene=None, **keys):
    """A worker with a webhook for each URL (or with the notifiers given)."""
    kinds = [webhook(url) if isinstance(url, str) else url for url in urls]
    return NotifierWorker(named(*kinds, **keys), tmp_path, device="edge-1", site="plant", snapshot=scene)


def start_and_stop(one):
    """Run `one` as after a restart, without a round of work."""
    stopped = threading.Event()
    stopped.set()
    one.run(stopped)


DEAD = "http://127.0.0.1:9/services/secret-token"


def test_what_is_offered_arrives(tmp_path, receiver, make_alert):
    one, stop = worker(tmp_path, receiver.url), threading.Event()
    thread = threading.Thread(target=one.run, args=(stop,))
    thread.start()
    one.offer([make_alert()])
    receiver.wait()
    stop.set()
    thread.join(5)
    assert receiver.bodies()[0]["alerts"][0]["id"] == make_alert().id
    assert not one.stuck()


def test_it_is_retried_with_growing_pauses_until_it_is_taken(tmp_path, receiver, make_alert):
    receiver.answers = [503, 503, 200]
    one = worker(tmp_path, receiver.url)
    one.offer([make_alert()])
    with capture_logs() as logs:
        for second in range(20):
            one.work(NOW + second, second)
    assert len(receiver.received) == 3
    assert one.sent == 1
    said = [entry["event"] for entry in logs]
    assert said == ["notifier cannot deliver, retrying", "notifier works again"]


def test_one_that_is_refused_for_good_is_logged_and_discarded(tmp_path, receiver, make_alert):
    receiver.answers = [404, 200]
    one = worker(tmp_path, receiver.url)
    one.offer([make_alert()])
    with capture_logs() as logs:
        one.work(NOW, 0)
    assert (one.lost, logs[0]["event"]) == (1, "notice is lost")
    one.offer([make_alert("next")])
    one.work(NOW, 1)
    assert one.sent == 1


def test_one_that_is_unreachable_holds_up_no_other_and_shows_no_secret(tmp_path, receiver, make_alert):
    one = worker(tmp_path, DEAD, receiver.url)
    one.offer([make_alert()])
    with capture_logs() as logs:
        one.work(NOW, 0)
    assert len(receiver.received) == 1
    assert logs[0]["reason"] == "127.0.0.1: connection refused"
    assert "secret" not in str(logs)


def test_what_waits_survives_a_restart_and_the_picture_does_not(tmp_path, receiver, make_alert):
    one = worker(tmp_path, DEAD, scene=lambda camera: camera.encode())
    one.offer([make_alert(), make_alert("slow", severity="warning")])
    one.work(NOW, 0)
    two = worker(tmp_path, receiver.url)
    start_and_stop(two)
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
        one = worker(tmp_path / str(allowed), receiver.url, scene=picture, picture=allowed)
        one.offer([make_alert()])
        one.work(NOW, 0)
    assert ["picture_jpeg" in body for body in receiver.bodies()] == [False, True]
    assert asked == ["front"]


def test_a_broken_file_is_logged_and_replaced(tmp_path, receiver, make_alert):
    (tmp_path / "notices.json").write_text('{"n0": {"route": 5}}')
    one = worker(tmp_path, receiver.url)
    with capture_logs() as logs:
        start_and_stop(one)
    assert logs[0]["event"] == "stored notices cannot be read, starting without them"
    one.offer([make_alert()])
    one.work(NOW, 0)
    assert one.sent == 1


def test_the_queue_is_bounded_and_its_losses_are_counted(tmp_path, make_alert):
    one = worker(tmp_path, DEAD)
    for number in range(MOST_QUEUED + 10):
        one.offer([make_alert(f"rule{number}")])
        one.work(NOW + number, 0)
    assert one.lost == 10


def test_a_day_old_notice_is_discarded(tmp_path, receiver, make_alert):
    one = worker(tmp_path, DEAD)
    one.offer([make_alert()])
    one.work(NOW, 0)
    one.work(NOW + EXPIRY_SECONDS + 1, 1e6)
    assert one.lost == 1


def test_ten_thousand_alerts_are_one_notice(tmp_path, receiver, make_alert):
    one = worker(tmp_path, receiver.url)
    one.offer([make_alert(f"rule{number}") for number in range(10_000)])
    one.work(NOW, 0)
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
    forgetful = webhook(receiver.url)
    forgetful.refresh_seconds = 60.0
    one = worker(tmp_path, forgetful)
    one.offer([make_alert()])
    for second in range(0, 200, 10):
        one.work(NOW + second, 1000.0 + second)
    assert len(receiver.received) == 4
    one.offer([make_alert(state="resolved")])
    for second in range(200, 400, 10):
        one.work(NOW + second, 1000.0 + second)
    assert len(receiver.received) == 5


def test_what_was_sent_is_known_on_disk_before_the_next_one_has_its_turn(tmp_path, receiver, make_alert):
    """A process killed while a slow notifier sends must not send to the quick one again."""
    stored = []

    class Slow:
        refresh_seconds = 0.0

        def send(self, notice):
            stored.append(json.loads((tmp_path / "notices.json").read_text())["n0"]["queue"])
            raise RetryableDelivery("too slow")

    one = worker(tmp_path, receiver.url, Slow())
    one.offer([make_alert()])
    one.work(NOW, 0)
    assert (len(receiver.received), stored) == (1, [[]])


def test_a_change_of_notifiers_loses_nothing_that_waits_or_is_offered_meanwhile(
    tmp_path, receiver, make_alert
):
    one = worker(tmp_path, DEAD)
    one.offer([make_alert()])
    one.work(NOW, 0)
    one.offer([make_alert("slow")])
    one.change(named(webhook(receiver.url)))
    one.offer([make_alert("late")])
    for second in range(1, 5):
        one.work(NOW + 100 * second, 100 * second)
    rules = [alert["rule"] for body in receiver.bodies() for alert in body["alerts"]]
    assert sorted(rules) == ["camera_down", "late", "slow"]
