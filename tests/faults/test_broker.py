"""What brokers and networks do. In each case nothing accepted is lost, and a duplicate is the same message."""

import subprocess

import pytest

from agent.delivery.mqtt.failures import ConnectionFailure
from tests.faults.conftest import drained

pytestmark = pytest.mark.broker


def check(account, *, ordered=True):
    assert account.lost == []
    assert len(account.accepted) > 50
    for stream in account.streams():
        assert (stream["gaps"], stream["lost"]) == (0, 0)
        if ordered:
            assert stream["disorder"] == 0


def keeping(at):
    """A broker that keeps what it took and did not hand on when it is stopped: that loss would not be ours."""
    return "allow_anonymous true", "persistence true", f"persistence_location {at}/"


def finish(load, listener, account, **more):
    load.drain()
    drained(listener, load.accepted)
    return account(load.accepted, listener.messages, **more)


def test_broker_stopped_and_back(mosquitto, listen, proxy, load, account, tmp_path):
    broker = mosquitto(*keeping(tmp_path))
    listener, between = listen(broker.port), proxy(broker.port)
    running = load(between.url)
    running.until(lambda p: p.statistics().get("delivered_total", 0) > 50)
    between.mode = "refuse"
    broker.stop()
    running.until(lambda p: p.connection.failure and p.statistics()["outbox_messages"] > 300)
    broker.start()
    listener.wait_subscribed()
    between.mode = "pass"
    check(finish(running, listener, account))


def test_broker_killed_mid_burst(mosquitto, listen, proxy, load, account):
    broker = mosquitto()
    listener, between = listen(broker.port, qos=0), proxy(broker.port)
    running = load(between.url, rate=1500.0)
    for _ in range(3):
        before = running.publisher.statistics().get("delivered_total", 0)
        running.until(lambda p, before=before: p.statistics().get("delivered_total", 0) > before + 100)
        between.mode = "refuse"  # so that nothing is delivered while our own listener is away
        between.reset()
        # A broker forgets at a kill what it acknowledged and had not passed on: that is no loss of ours.
        listener.catch_up()
        broker.stop(kill=True)
        broker.start()
        listener.catch_up()
        between.mode = "pass"
    check(finish(running, listener, account))


@pytest.mark.parametrize("fault", ["reset", "halve", "blackhole", "mute"])
def test_network_breaks(mosquitto, listen, proxy, load, account, fault):
    broker = mosquitto()
    listener, between = listen(broker.port), proxy(broker.port)
    running = load(between.url)
    for _ in range(3):
        before = running.publisher.statistics().get("delivered_total", 0)
        running.until(lambda p, before=before: p.statistics().get("delivered_total", 0) > before + 30)
        if fault == "reset":
            between.reset()
        elif fault == "halve":
            between.halve = True
            running.until(lambda p: p.connection.state != "connected")
        else:
            between.mode = fault
            running.until(
                lambda p: (
                    p.connection.failure
                    in {ConnectionFailure.SILENT.value, ConnectionFailure.SHORT_LIVED.value}
                )
            )
            between.mode = "pass"
            between.reset()
    check(finish(running, listener, account))


def test_network_slow(mosquitto, listen, proxy, load, account):
    broker = mosquitto()
    listener, between = listen(broker.port), proxy(broker.port)
    between.delay = 0.03
    running = load(between.url, rate=200.0)
    running.until(lambda p: p.statistics().get("delivered_total", 0) > 200)
    check(finish(running, listener, account))


def test_broker_never_acknowledges(mosquitto, listen, proxy, load, account, capsys):
    broker = mosquitto()
    listener, between = listen(broker.port), proxy(broker.port)
    running = load(between.url, rate=100.0)
    running.until(lambda p: p.connection.state == "connected")
    between.mode = "mute"
    running.until(lambda p: p.connection.failure == ConnectionFailure.SILENT.value)
    between.reset()
    between.mode = "pass"
    outcome = finish(running, listener, account)
    check(outcome)
    assert "no acknowledgement for " in capsys.readouterr().out


def test_login_refused_then_corrected(mosquitto, listen, load, account, tmp_path):
    passwords = tmp_path / "passwords"

    def allow(secret, *flags):
        for user, word in (("agent", secret), ("reader", "reads")):
            create = ["-c"] if user == "agent" else []
            subprocess.run(
                ["mosquitto_passwd", *create, "-b", passwords, user, word], check=True, capture_output=True
            )

    allow("other")
    broker = mosquitto("allow_anonymous false", f"password_file {passwords}")
    listener = listen(broker.port, username="reader", password="reads")
    running = load(f"mqtt://agent:right@127.0.0.1:{broker.port}")
    running.until(lambda p: p.connection.failure == ConnectionFailure.LOGIN.value)
    assert running.publisher.statistics()["broker_connected"] == 0
    allow("right")
    broker.process.send_signal(1)  # SIGHUP: read the passwords again
    running.until(lambda p: p.connection.state == "connected", timeout=20)
    check(finish(running, listener, account))


def test_wall_clock_jumps(mosquitto, listen, proxy, load, account):
    from agent.delivery.clock import Clock

    class Jumping(Clock):
        offset = 0.0

        def wall(self):
            return super().wall() + self.offset

    broker, clock = mosquitto(), Jumping()
    listener, between = listen(broker.port), proxy(broker.port)
    running = load(between.url, clock=clock)
    for offset in (86400.0 * 400, -86400.0 * 400, 0.0):
        before = running.publisher.statistics().get("delivered_total", 0)
        running.until(lambda p, before=before: p.statistics().get("delivered_total", 0) > before + 50)
        clock.offset = offset
        between.reset()
    outcome = finish(running, listener, account, dated=False)
    check(outcome)
    assert {s["replayed"] for s in outcome.streams()} == {0}


def test_sessions_forgotten_by_the_broker(mosquitto, listen, proxy, load, account):
    """Retained status is back, and nothing queued is lost, after a restart that forgot all."""
    broker = mosquitto("allow_anonymous true", "persistence false")
    listener, between = listen(broker.port, qos=0), proxy(broker.port)
    running = load(between.url)
    running.until(lambda p: p.statistics().get("delivered_total", 0) > 50)
    between.mode = "refuse"
    broker.stop()
    broker.start()
    listener.catch_up()
    between.mode = "pass"
    check(finish(running, listener, account))
    newcomer = listen(broker.port, "vedette/+/+/status")
    assert newcomer.wait(lambda heard: heard and heard[0]).retain
