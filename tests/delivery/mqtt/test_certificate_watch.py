"""The end of the client certificate and of the broker's: in status, check and an alert in time, and not without reason."""

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from agent.alerts.engine import AlertEngine
from agent.alerts.rules import compile_rules
from agent.cli.status import broker_line
from agent.config.delivery_settings import BrokerSettings
from agent.delivery.mqtt.address import broker_addresses
from agent.delivery.mqtt.certificate_dates import validity
from agent.delivery.mqtt.certificate_watch import LOOK_SECONDS, CertificateWatch
from agent.delivery.mqtt.ping import ping
from tests.certificates import Authority
from tests.delivery.conftest import NOW
from tests.waiting import wait_until


def day(days):
    return f"{datetime.now(timezone.utc) + timedelta(days=days):%Y%m%d}"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    at = tmp_path_factory.mktemp("dates")
    authority = Authority(at)
    authority.sign("server", names="IP:127.0.0.1")
    authority.sign("ending", ends=day(6))
    authority.sign("lasting", ends=day(20))
    authority.sign("broker", names="IP:127.0.0.1", ends=day(6))
    authority.sign("renewed", key="broker.key", names="IP:127.0.0.1", ends=day(96))
    return at


@pytest.fixture
def ending(mosquitto, files, tmp_path):
    """A broker whose certificate, `own.crt` in `tmp_path`, ends in 6 days; and the settings for it."""
    (tmp_path / "own.crt").write_bytes((files / "broker.crt").read_bytes())
    broker = mosquitto(
        "allow_anonymous true",
        listener=[f"certfile {tmp_path / 'own.crt'}", f"keyfile {files / 'broker.key'}"],
    )
    return broker, {"url": f"mqtts://127.0.0.1:{broker.port}", "ca_file": str(files / "ca.crt")}


def watching(settings, files):
    """A watch of a connection that was opened when the broker presented the certificate that ends soon."""
    watch = CertificateWatch(settings)
    watch.look(0.0)
    watch.presented(broker_addresses(settings)[0], validity(str(files / "broker.crt")))
    return watch


def looked(watch, now):
    """The notice after the look that is due at `now`."""
    watch.look(now)
    wait_until(lambda: watch._look.done)
    watch.look(now)
    return watch.notice


@pytest.mark.broker
def test_an_end_that_is_near_is_in_status_and_alert_and_its_successor_ends_that(
    mosquitto, publish, files, tmp_path
):
    broker = mosquitto(
        listener=[f"cafile {files / 'ca.crt'}", f"certfile {files / 'server.crt'}", f"keyfile {files / 'server.key'}",
                  "require_certificate true"]
    )  # fmt: skip
    own = tmp_path / "own.crt"
    own.write_bytes((files / "ending.crt").read_bytes())
    how = {"cert_file": str(own), "key_file": str(files / "ending.key"), "ca_file": str(files / "ca.crt")}
    running = publish(f"mqtts://127.0.0.1:{broker.port}", **how)
    running.until(lambda p: p.connection.state == "connected" and p.statistics().get("certificate_ends") == 1)
    said = f"the client certificate {own} (broker.cert_file) ends on"
    assert said in broker_line(running.publisher.report()["broker"]).plain
    (seen,) = [one for one in running.publisher.observations(NOW) if one.metric == "host.certificate_ends"]
    (rule,) = [rule for rule in compile_rules((), window_seconds=60) if rule.name == "certificate_ends"]
    (alert,) = AlertEngine((rule,)).step([replace(seen, at=NOW)], NOW)
    assert said in alert.what and " days" in alert.what
    own.write_bytes((files / "lasting.crt").read_bytes())
    watch = CertificateWatch(BrokerSettings(url="mqtts://broker", **how))
    watch.look(0.0)
    assert watch.notice == ""


def test_a_file_is_read_once_an_hour_and_what_cannot_be_read_is_no_warning(files, tmp_path):
    path = tmp_path / "own.crt"
    settings = BrokerSettings(url="mqtts://broker", cert_file=str(path))
    watch = CertificateWatch(settings)
    watch.look(0.0)
    assert watch.notice == "", "that it cannot be used is said where it is used"
    path.write_bytes((files / "ending.crt").read_bytes())
    watch.look(LOOK_SECONDS - 1.0)
    assert watch.notice == ""
    watch.look(LOOK_SECONDS)
    assert "ends on" in watch.notice
    path.write_text("no certificate")
    watch.look(2 * LOOK_SECONDS)
    assert watch.notice == ""


@pytest.mark.broker
def test_the_end_of_the_brokers_own_certificate_is_in_status_check_and_alert(publish, ending):
    broker, how = ending
    running = publish(**how)
    running.until(lambda p: p.connection.state == "connected" and p.statistics().get("certificate_ends") == 1)
    said = f"the certificate of the broker mqtts://127.0.0.1:{broker.port} ends on"
    assert said in broker_line(running.publisher.report()["broker"]).plain
    (seen,) = [one for one in running.publisher.observations(NOW) if one.metric == "host.certificate_ends"]
    assert said in seen.text
    (result,) = ping(BrokerSettings(**how), "vedette/a/check")
    assert said in result.certificate


@pytest.mark.broker
def test_a_broker_that_was_given_another_certificate_since_the_login_is_no_warning(ending, files, tmp_path):
    broker, how = ending
    watch = watching(BrokerSettings(**how), files)
    assert looked(watch, LOOK_SECONDS).startswith(f"the certificate of the broker {how['url']} ends on")
    broker.stop()
    (tmp_path / "own.crt").write_bytes((files / "renewed.crt").read_bytes())
    broker.start()
    assert looked(watch, 2 * LOOK_SECONDS) == ""
    watch.look(3 * LOOK_SECONDS)
    assert watch._look is None, "it is not asked again before that one ends soon"


def test_a_broker_that_cannot_be_asked_again_is_judged_by_what_it_presented(files):
    watch = watching(BrokerSettings(url="mqtts://127.0.0.1:1", ca_file=str(files / "ca.crt")), files)
    assert "ends on" in looked(watch, LOOK_SECONDS)
    watch.presented(broker_addresses(BrokerSettings(url="mqtt://127.0.0.1:1"))[0], None)
    assert watch.notice == "", "it is another broker"
