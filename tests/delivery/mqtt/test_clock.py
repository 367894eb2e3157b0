"""TLS by a clock that is not set: the clock is named as the cause, and the connection comes with the sync."""

from __future__ import annotations

import shutil
import ssl
from types import SimpleNamespace

import pytest

from agent.core import clock as core_clock
from agent.core.errors import RetryableDelivery
from agent.core.secret import Secret
from agent.delivery.mqtt.address import BrokerAddress
from agent.delivery.mqtt.backoff import BACKOFF
from agent.delivery.mqtt.failures import ConnectionFailure, why_not
from agent.delivery.mqtt.session import SessionTiming
from agent.notifiers.http import post_json
from tests.certificates import Authority
from tests.delivery.conftest import FakeClock


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """A CA with three certificates for 127.0.0.1: valid now, not before 2050, and expired."""
    at = tmp_path_factory.mktemp("dated")
    authority = Authority(at)
    authority.sign("server", names="IP:127.0.0.1")
    for name, begins, ends in (("valid", "20000101", "20480101"), ("later", "20490101", "20491231"),
                               ("expired", "20000101", "20010101")):  # fmt: skip
        authority.sign(name, key="server.key", names="IP:127.0.0.1", begins=begins, ends=ends)
    return at


@pytest.fixture
def kernel(monkeypatch):
    """What the kernel says of the clock."""
    says = SimpleNamespace(synced=False)
    monkeypatch.setattr(core_clock, "synced", lambda: says.synced)
    return says


@pytest.fixture
def broker(mosquitto, certificates, tmp_path):
    """A broker with the certificate of a name; it can be given another."""

    def make(name):
        shutil.copy(certificates / f"{name}.crt", tmp_path / "server.crt")
        return mosquitto(
            listener=[f"cafile {certificates / 'ca.crt'}", f"certfile {tmp_path / 'server.crt'}",
                      f"keyfile {certificates / 'server.key'}"]
        )  # fmt: skip

    return make


@pytest.mark.broker
@pytest.mark.parametrize("name", ["later", "expired"])
def test_the_clock_is_named_and_the_sync_brings_the_connection(
    broker, certificates, publish, kernel, tmp_path, capsys, name
):
    server = broker(name)
    own = FakeClock(wall=60.0)
    own.is_synced = False
    patient = SessionTiming(connect=2.0, acknowledge=1.0, preferred=0.5, stop=1.0, disk=0.3, scale=100.0)
    running = publish(
        f"mqtts://127.0.0.1:{server.port}", ca_file=str(certificates / "ca.crt"), clock=own, timing=patient
    )
    running.until(lambda p: p.connection.failure == ConnectionFailure.CLOCK.value)
    connection = running.publisher.connection
    assert "by this box's clock, which says " in connection.reason
    assert "is not synchronised" in connection.reason
    assert "timedatectl" in connection.mend
    assert "no connection to the broker, retrying" in capsys.readouterr().out
    server.stop()
    shutil.copy(certificates / "valid.crt", tmp_path / "server.crt")
    server.start()
    own.is_synced = kernel.synced = True
    running.until(lambda p: p.connection.state == "connected", timeout=60.0)  # the pause is 250 s at least


@pytest.mark.broker
def test_with_a_synchronised_clock_the_certificate_is_the_cause(broker, certificates, publish, kernel):
    kernel.synced = True
    server = broker("expired")
    running = publish(f"mqtts://127.0.0.1:{server.port}", ca_file=str(certificates / "ca.crt"))
    running.until(lambda p: p.connection.failure == ConnectionFailure.CERTIFICATE.value)
    assert "expired" in running.publisher.connection.reason


@pytest.mark.broker
def test_a_notifier_names_the_clock_too(broker, certificates, kernel, monkeypatch):
    server = broker("expired")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates / "ca.crt"))
    with pytest.raises(RetryableDelivery, match=r"by this box's clock, which says .* is not synchronised"):
        post_json(Secret(f"https://127.0.0.1:{server.port}/hook"), {}, timeout=5)


def test_an_unknown_issuer_is_no_matter_of_the_clock(kernel):
    error = ssl.SSLCertVerificationError(1, "refused")
    error.verify_code, error.verify_message = 20, "unable to get local issuer certificate"
    failure, reason = why_not(error, BrokerAddress(host="h", port=8883, tls=True))
    assert failure is ConnectionFailure.CERTIFICATE
    assert "clock" not in reason


def test_each_failure_has_its_patience():
    assert set(BACKOFF) == set(ConnectionFailure)
