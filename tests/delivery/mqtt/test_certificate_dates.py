"""The client certificate's end: said by status, check and an alert while there is time, and not without reason."""

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from agent.alerts.engine import AlertEngine
from agent.alerts.rules import compile_rules
from agent.cli.status import broker_line
from agent.config.delivery_settings import BrokerSettings
from agent.delivery.mqtt.certificate_dates import (
    LOOK_SECONDS,
    CertificateWatch,
    Validity,
    certificate_notice,
)
from tests.certificates import Authority
from tests.delivery.conftest import NOW

DAY = 86400.0


def day(days):
    return f"{datetime.now(timezone.utc) + timedelta(days=days):%Y%m%d}"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    at = tmp_path_factory.mktemp("dates")
    authority = Authority(at)
    authority.sign("server", names="IP:127.0.0.1")
    authority.sign("ending", ends=day(6))
    authority.sign("lasting", ends=day(20))
    return at


@pytest.mark.parametrize(
    ("life", "left", "soon"),
    [(365, 14.1, False), (365, 13.9, True), (90, 14.1, False), (6, 1.3, False), (6, 1.1, True),
     (1, 0.34, False), (1, 0.19, True), (3650, 15, False), (365, -1, True)],
)  # fmt: skip
def test_a_short_life_is_warned_of_later(life, left, soon):
    assert Validity(0.0, life * DAY).ends_soon((life - left) * DAY) is soon


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
    assert certificate_notice(BrokerSettings(url="mqtt://broker"), NOW) == ""
