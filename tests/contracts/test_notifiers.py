"""What every kind of notifier must do, whatever it speaks."""

from __future__ import annotations

import contextlib
import dataclasses
import socket

import pytest

from agent.core.errors import ConfigError, MissingExtra, RetryableDelivery
from agent.core.types import Alert, AlertState, Severity
from agent.notifiers import NOTIFIERS
from agent.notifiers.attempt import SendAttempt, send_within_timeout
from agent.notifiers.routes import make_notice


def kind_of(name):
    try:
        return NOTIFIERS.load(name)
    except MissingExtra as error:
        pytest.skip(str(error))


def made(name, port, secret="s3cret"):
    address = f"http://127.0.0.1:{port}"
    options = {
        "webhook": {"url": f"{address}/{secret}", "authorization": secret},
        "apprise": {"urls": (f"json://me:{secret}@127.0.0.1:{port}",)},
        "alertmanager": {"url": address, "username": "me", "password": secret},
    }.get(name, {"url": f"{address}/{secret}"})  # a kind with other options than an address is added above
    kind = kind_of(name)
    return kind(kind.Options(**options))


@pytest.fixture
def notice():
    alert = Alert(
        id="a", rule="r", state=AlertState.FIRING, severity=Severity.INFO, labels={}, what="w", expected="e",
        window="x", advice="", first_seen=0.0, changed_at=1.0,
    )  # fmt: skip
    return make_notice((alert,), device="d", site="s", now=2.0)


@pytest.fixture
def closed_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        yield probe.getsockname()[1]  # bound and not listening: refused


@pytest.mark.parametrize("name", NOTIFIERS)
def test_unreachable_is_retryable_and_shows_no_secret(name, notice, closed_port):
    with pytest.raises(RetryableDelivery) as caught:
        made(name, closed_port).send(notice)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("name", NOTIFIERS)
def test_a_server_that_hangs_up_is_retryable(name, notice):
    with socket.create_server(("127.0.0.1", 0)) as server:
        import threading

        def hang_up():
            with contextlib.suppress(OSError):  # the test is over before a second try comes
                for _ in range(2):
                    server.accept()[0].close()

        threading.Thread(target=hang_up, daemon=True).start()
        with pytest.raises(RetryableDelivery):
            made(name, server.getsockname()[1]).send(notice)


@pytest.mark.parametrize("name", NOTIFIERS)
def test_a_server_that_drips_headers_takes_no_longer_than_the_notifiers_time(name, notice, dripper):
    """Each byte begins the read's own limit anew: the limit of the whole must hold, and the thread must end."""
    server = dripper(b"HTTP/1.1 200 OK\r\nX-Drip: ", b"a")
    one = made(name, server.port)
    one.timeout_seconds = 0.5
    attempt = SendAttempt(one, notice)
    assert not attempt.wait(one.timeout_seconds), "the server never ends its answer"
    attempt.cancel()
    attempt._thread.join(30)
    assert not attempt.running
    with pytest.raises(RetryableDelivery, match=r"no complete answer within 0\.5 s"):
        send_within_timeout(one, notice)


@pytest.mark.parametrize("name", NOTIFIERS)
def test_senseless_addresses_are_config_errors(name):
    kind = kind_of(name)
    bad = {"urls": ("nothing://s3cret",)} if name == "apprise" else {"url": "nothing://s3cret"}
    with pytest.raises(ConfigError) as caught:
        kind(kind.Options(**bad))
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("name", NOTIFIERS)
def test_every_option_is_documented_and_secrets_are_marked(name):
    for field in dataclasses.fields(kind_of(name).Options):
        assert field.metadata["doc"]
        if field.name in {"password", "authorization", "urls"}:
            assert field.metadata["kind"] == "secret"


def test_an_unknown_kind_names_the_nearest():
    with pytest.raises(ConfigError, match="'webhook'"):
        NOTIFIERS.load("webhok")
