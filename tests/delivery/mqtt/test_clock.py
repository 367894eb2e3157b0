"""TLS by a clock that is not set: the clock is named as the cause, and the connection comes with the sync."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from types import SimpleNamespace

import pytest

from agent.core import clock as core_clock
from agent.core.errors import RetryableDelivery
from agent.core.secret import Secret
from agent.delivery.mqtt.address import BrokerAddress
from agent.delivery.mqtt.failures import ConnectionFailure, why_not
from agent.delivery.mqtt.session import BACKOFF, SessionTiming
from agent.notifiers.http import post_json
from tests.delivery.conftest import FakeClock

CONFIG = """
[ca]
default_ca = here
[here]
new_certs_dir = .
database = index
serial = serial
default_md = sha256
policy = any
x509_extensions = broker
copy_extensions = none
[any]
commonName = supplied
[broker]
subjectAltName = IP:127.0.0.1
"""


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """A CA with three certificates for 127.0.0.1: valid now, not before 2050, and expired."""
    at = tmp_path_factory.mktemp("dated")

    def openssl(*words):
        subprocess.run(["openssl", *words], check=True, capture_output=True, cwd=at)

    (at / "config").write_text(CONFIG)
    (at / "index").write_text("")
    (at / "index.attr").write_text("unique_subject = no\n")
    (at / "serial").write_text("01\n")
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.crt", "-days", "9000",
            "-subj", "/CN=dated")  # fmt: skip
    openssl(
        "req", "-newkey", "rsa:2048", "-nodes", "-keyout", "server.key", "-out", "csr", "-subj", "/CN=broker"
    )
    for name, start, end in (("valid", "20000101", "20480101"), ("later", "20490101", "20491231"),
                             ("expired", "20000101", "20010101")):  # fmt: skip
        openssl("ca", "-batch", "-config", "config", "-cert", "ca.crt", "-keyfile", "ca.key", "-in", "csr", "-out",
                f"{name}.crt", "-startdate", f"{start}000000Z", "-enddate", f"{end}000000Z")  # fmt: skip
    for key in at.glob("*.key"):
        key.chmod(0o644)
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
