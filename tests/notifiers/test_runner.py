from __future__ import annotations

import base64
import re
import socket
import threading

import pytest
from structlog.testing import capture_logs

from agent.cli.status import notifier_line
from agent.config.alert_settings import NotifierSettings
from agent.core.errors import ConfigError, VedetteError
from agent.notifiers.outlet import MOST_QUEUED
from agent.notifiers.runner import EXPIRY_SECONDS, NotifierWorker, make_notifiers
from agent.notifiers.webhook import WebhookNotifier, WebhookOptions
from tests.waiting import wait_until

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


def turn(one, now, monotonic):
    """A round of work at a time of its own, and the end of what it began."""
    one.work(now, monotonic)
    wait_until(
        lambda: not (any(outlet.attempt is not None and not outlet.attempt.ended for outlet in one._outlets)),
        60,
    )
    one._collect(now, monotonic)


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


def test_an_image_that_waits_is_not_sent_once_its_camera_was_changed(tmp_path, receiver, make_alert):
    """Its privacy masks may be others now."""
    one = worker(tmp_path, receiver.url, scene=lambda camera: camera.encode(), picture=True)
    receiver.answers = [503, 503, 200]
    one.offer([make_alert()])
    turn(one, NOW, 0)
    one.offer([make_alert(labels={"camera": "back"})])
    turn(one, NOW + 1, 1)
    one.remove("front")
    for second in range(2, 20):
        turn(one, NOW + second, second)
    first, *_, third, fourth = receiver.bodies()
    assert base64.b64decode(first["picture_jpeg"]) == b"front"
    assert "picture_jpeg" not in third
    assert third["alerts"] == first["alerts"]
    assert base64.b64decode(fourth["picture_jpeg"]) == b"back"


def test_it_is_retried_with_growing_pauses_until_it_is_taken(tmp_path, receiver, make_alert):
    receiver.answers = [503, 503, 200]
    one = worker(tmp_path, receiver.url)
    one.offer([make_alert()])
    with capture_logs() as logs:
        for second in range(20):
            turn(one, NOW + second, second)
    assert len(receiver.received) == 3
    assert one.sent == 1
    said = [entry["event"] for entry in logs]
    assert said == ["notifier cannot deliver, retrying", "notifier works again"]


def test_a_name_that_is_not_resolved_is_tried_again_soon_however_long_that_lasts(
    tmp_path, make_alert, monkeypatch
):
    """Name resolution comes up late at a boot: the notices of the first minutes go out within seconds of it."""

    def fail(*_args, **_keywords):
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    one = worker(tmp_path, "http://nowhere.invalid/")
    one.offer([make_alert()])
    with capture_logs() as logs:
        for second in range(0, 300, 5):
            turn(one, NOW + second, second)
    (outlet,) = one.report()
    assert outlet["failures"] > 50
    assert [entry["event"] for entry in logs] == ["notifier cannot deliver, retrying"], (
        "one line for all of it"
    )


def test_one_that_is_refused_for_good_is_logged_and_discarded(tmp_path, receiver, make_alert):
    receiver.answers = [404, 200]
    one = worker(tmp_path, receiver.url)
    one.offer([make_alert()])
    with capture_logs() as logs:
        turn(one, NOW, 0)
    assert (one.lost, logs[0]["event"]) == (1, "notice discarded")
    one.offer([make_alert("next")])
    turn(one, NOW, 1)
    assert one.sent == 1


def test_one_that_is_unreachable_holds_up_no_other_and_shows_no_secret(tmp_path, receiver, make_alert):
    one = worker(tmp_path, DEAD, receiver.url)
    one.offer([make_alert()])
    with capture_logs() as logs:
        turn(one, NOW, 0)
    assert len(receiver.received) == 1
    assert logs[0]["reason"] == "127.0.0.1: connection refused"
    assert "secret" not in str(logs)


def test_what_waits_survives_a_restart_and_the_picture_does_not(tmp_path, receiver, make_alert):
    one = worker(tmp_path, DEAD, scene=lambda camera: camera.encode())
    one.offer([make_alert(), make_alert("slow", severity="warning")])
    turn(one, NOW, 0)
    two = worker(tmp_path, receiver.url)
    start_and_stop(two)
    two.offer([make_alert(state="resolved")])
    for second in range(3):
        turn(two, NOW + 100 + second, second)
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
        turn(one, NOW, 0)
    assert ["picture_jpeg" in body for body in receiver.bodies()] == [False, True]
    assert asked == ["front"]


def test_a_broken_file_is_logged_and_replaced(tmp_path, receiver, make_alert):
    (tmp_path / "notices.json").write_text('{"n0": {"route": 5}}')
    one = worker(tmp_path, receiver.url)
    with capture_logs() as logs:
        start_and_stop(one)
    assert logs[0]["event"] == "stored notices cannot be read, starting without them"
    one.offer([make_alert()])
    turn(one, NOW, 0)
    assert one.sent == 1


def test_the_queue_is_bounded_and_its_losses_are_counted(tmp_path, make_alert):
    one = worker(tmp_path, DEAD)
    for number in range(MOST_QUEUED + 10):
        one.offer([make_alert(f"rule{number}")])
        turn(one, NOW + number, 0)
    assert one.lost == 10


def test_a_day_old_notice_is_discarded(tmp_path, receiver, make_alert):
    one = worker(tmp_path, DEAD)
    one.offer([make_alert()])
    turn(one, NOW, 0)
    turn(one, NOW + EXPIRY_SECONDS + 1, 1e6)
    assert one.lost == 1


def test_ten_thousand_alerts_are_one_notice(tmp_path, receiver, make_alert):
    one = worker(tmp_path, receiver.url)
    one.offer([make_alert(f"rule{number}") for number in range(10_000)])
    turn(one, NOW, 0)
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
        turn(one, NOW + second, 1000.0 + second)
    assert len(receiver.received) == 4
    one.offer([make_alert(state="resolved")])
    for second in range(200, 400, 10):
        turn(one, NOW + second, 1000.0 + second)
    assert len(receiver.received) == 5


@pytest.mark.parametrize(
    "keys", [{"resolved": False}, {"resolved": False, "group_interval": 30.0}, {"severity": "critical"}]
)
def test_what_is_over_is_sent_again_by_no_filter(tmp_path, receiver, make_alert, keys):
    """An Alertmanager would show it as firing for ever: where ends are left out, or a reload changed the filters."""
    forgetful = webhook(receiver.url)
    forgetful.refresh_seconds = 60.0
    later = NotifierSettings(name="n0", **{"group_interval": 0.0, **keys})
    before = NotifierSettings(name="n0", group_interval=later.group_interval, resolved=later.resolved)
    one = NotifierWorker([(before, forgetful)], tmp_path, device="edge-1", site="plant")
    one.offer([make_alert(severity="warning")])
    turn(one, NOW, 1000.0)
    one.change([(later, forgetful)])
    one.offer([make_alert(state="resolved", severity="warning")])
    for second in range(10, 400, 10):
        turn(one, NOW + second, 1000.0 + second)
    states = [alert["state"] for body in receiver.bodies() for alert in body["alerts"]]
    assert states == (["firing"] if "resolved" in keys else ["firing", "resolved"])


def test_what_waits_for_quiet_hours_to_end_is_not_sent_as_an_alert_that_expires(
    tmp_path, receiver, make_alert
):
    forgetful = webhook(receiver.url)
    forgetful.refresh_seconds = 60.0
    one = NotifierWorker(
        [(NotifierSettings(name="n0", quiet_hours="00:00-24:00"), forgetful)], tmp_path, device="e", site="s"
    )
    one.offer([make_alert(severity="warning")])
    for second in range(0, 400, 10):
        turn(one, NOW + second, 1000.0 + second)
    assert not receiver.received


def test_what_a_full_disk_refused_is_stored_once_there_is_room(tmp_path, make_alert):
    """A restart in an outage of hours lost the notices that waited."""
    state = tmp_path / "state"
    state.write_text("no folder can be made here")
    one = worker(state, DEAD)
    one.offer([make_alert()])
    with capture_logs() as logs:
        for second in range(3):
            turn(one, NOW + 1e-3 * second, 1e-3 * second)
    assert sum("cannot be stored" in entry["event"] for entry in logs) == 1
    state.unlink()
    turn(one, NOW + 1, 1)
    again = worker(state, DEAD)
    start_and_stop(again)
    assert [len(outlet.queue) for outlet in again._outlets] == [1]


def test_a_change_of_notifiers_loses_nothing_that_waits_or_is_offered_meanwhile(
    tmp_path, receiver, make_alert
):
    one = worker(tmp_path, DEAD)
    one.offer([make_alert()])
    turn(one, NOW, 0)
    one.offer([make_alert("slow")])
    one.change(named(webhook(receiver.url)))
    one.offer([make_alert("late")])
    for second in range(1, 5):
        turn(one, NOW + 100 * second, 100 * second)
    rules = [alert["rule"] for body in receiver.bodies() for alert in body["alerts"]]
    assert sorted(rules) == ["camera_down", "late", "slow"]


def test_a_server_is_given_the_time_it_asks_for_from_the_end_of_the_attempt(tmp_path, receiver, make_alert):
    receiver.answers, receiver.headers = [429, 200], {"Retry-After": "90"}
    one = worker(tmp_path, receiver.url)
    one.offer([make_alert()])
    one.work(NOW, 100.0)
    receiver.wait()
    assert one._outlets[0].attempt.wait(60)
    one.work(NOW + 8, 108.0)  # the answer came after 8 s
    (report,) = one.report()
    assert (report["state"], report["waiting"], report["failures"]) == ("failing", 1, 1)
    assert "answered 429 Too Many Requests" in report["reason"]
    assert "asks to wait 90 s" in report["reason"]
    for monotonic in (190.0, 197.9):
        turn(one, NOW + monotonic, monotonic)
    assert len(receiver.received) == 1
    turn(one, NOW + 99, 198.1)
    (report,) = one.report()
    assert (report["state"], report["reason"], report["sent"]) == ("ok", "", 1)


def test_a_server_that_hangs_delays_no_other_and_has_failed_when_its_time_is_over(
    tmp_path, receiver, dripper, make_alert
):
    pytest.importorskip("apprise")
    from agent.notifiers.apprise import AppriseNotifier, AppriseOptions

    smtp = dripper(b"220 mail.example.org ", b"a")
    url = f"mailto://127.0.0.1:{smtp.port}?from=a@example.org&to=b@example.org&mode=insecure"
    mail = AppriseNotifier(AppriseOptions(urls=(url,), timeout=20.0))
    one = worker(tmp_path, mail, receiver.url)
    one.offer([make_alert()])
    one.work(NOW, 0.0)
    assert one._outlets[1].attempt.wait(60), "though the first one hangs"
    assert len(receiver.received) == 1
    hanging = one._outlets[0].attempt
    with capture_logs() as logs:
        one.work(NOW + 19.9, 19.9)
        assert one.report()[0]["state"] == "ok"
        one.work(NOW + 20.0, 20.0)
    assert [entry["reason"] for entry in logs] == ["no complete answer within 20 s"]
    assert one.report()[0]["reason"] == "no complete answer within 20 s"
    assert one._outlets[0].not_before > 20.0, "the pause begins at the end"
    hanging._thread.join(30)
    assert not hanging.running, "no thread is left behind"
    one.work(NOW + 40.0, 40.0)
    assert one._outlets[0].attempt is not hanging
    one._outlets[0].attempt.cancel()


def test_people_see_why_and_when_it_tries_again(tmp_path, make_alert):
    one = worker(tmp_path, DEAD)
    one.offer([make_alert()])
    turn(one, NOW, 0.0)
    (report,) = one.handlers()["notifiers"]({})["notifiers"]
    line = notifier_line(report).plain
    assert re.fullmatch(
        r"notifier n0 \(webhook\): CANNOT DELIVER for .*: 127\.0\.0\.1: connection refused; next attempt in \d s, "
        "1 notice waits",
        line,
    )
    assert "secret" not in str(report)
    with pytest.raises(VedetteError, match="kind"):
        one.handlers()["notifiers"]({"kind": "webhook"})


def test_a_notice_that_is_displaced_is_never_the_one_being_sent(tmp_path, dripper, make_alert):
    url = f"http://127.0.0.1:{dripper(b'HTTP/1.1 ', b'2').port}"
    one = worker(tmp_path, WebhookNotifier(WebhookOptions(url=url, timeout=20.0)))
    for number in range(MOST_QUEUED + 3):
        one.offer([make_alert(f"rule{number}")])
        one.work(NOW + number, 0.0)
    outlet = one._outlets[0]
    assert outlet.queue[0] is outlet.attempt.notice
    assert (len(outlet.queue), one.lost) == (MOST_QUEUED, 3)
    outlet.attempt.cancel()


def test_changed_settings_send_no_notice_a_second_time_while_the_first_is_under_way(
    tmp_path, receiver, make_alert
):
    receiver.delay = 0.3
    one = worker(tmp_path, receiver.url)
    one.offer([make_alert()])
    one.work(NOW, 0.0)
    one.change(named(webhook(receiver.url)))
    turn(one, NOW, 0.1)
    turn(one, NOW, 0.2)
    assert (len(receiver.received), one.report()[0]["sent"]) == (1, 1)


def test_one_that_waits_for_its_thread_to_end_is_not_asked_twice_at_once(tmp_path, make_alert):
    class Deaf:
        """Blocks where no exception reaches it, as in the resolution of a name."""

        refresh_seconds, timeout_seconds = 0.0, 1.0

        def __init__(self):
            self.free, self.calls = threading.Event(), 0

        def send(self, notice):
            self.calls += 1
            self.free.wait(60)

    deaf = Deaf()
    one = worker(tmp_path, deaf)
    one.offer([make_alert()])
    for second in range(0, 2000, 50):
        one.work(NOW + second, float(second))
    assert deaf.calls == 1
    deaf.free.set()
    one._outlets[0].cancelled._thread.join(30)
    one.work(NOW + 3000, 3000.0)
    assert one._outlets[0].attempt.wait(30)
    assert deaf.calls == 2
