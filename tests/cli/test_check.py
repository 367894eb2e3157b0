"""`vedette check` finds what the service finds, and does it no harm."""

import os
import threading
from contextlib import contextmanager

import pytest

from agent.cli import check
from agent.config.schema import BrokerSettings, Settings
from agent.control import ControlServer
from agent.delivery import ping
from agent.delivery.urls import broker_addresses
from agent.errors import RetryableDelivery


@contextmanager
def agent(folder, broker):
    """A running agent, as far as its socket goes."""
    server = ControlServer(folder, {"status": lambda _: {"broker": broker}})
    stop = threading.Event()
    thread = threading.Thread(target=server.run, args=(stop,))
    thread.start()
    try:
        while not server.path.exists():
            assert thread.is_alive()
            stop.wait(0.02)
        yield
    finally:
        stop.set()
        thread.join()


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """A config of a broker; connecting to it is a failure of the test."""
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    monkeypatch.setattr(ping, "_ping", lambda *_: pytest.fail("it connected, and threw the agent off"))
    return Settings(state_directory=str(tmp_path), broker=BrokerSettings(url="mqtts://broker:8883"))


def shown(settings):
    return broker_addresses(settings.broker)[0].shown


def test_the_running_agent_is_asked_and_no_second_connection_made(settings, tmp_path):
    with agent(tmp_path, {"broker": shown(settings), "state": "connected", "version": "5.0"}):
        assert "the running agent is connected" in check._broker(settings)


def test_an_agent_without_a_connection_says_why(settings, tmp_path):
    state = {"broker": shown(settings), "state": "waiting", "reason": "not authorized", "version": ""}
    with agent(tmp_path, state), pytest.raises(RetryableDelivery, match="not authorized"):
        check._broker(settings)


def test_an_agent_of_another_broker_is_no_answer(settings, tmp_path):
    with agent(tmp_path, {"broker": "mqtt://old:1883", "state": "connected", "version": "5.0"}):
        assert check.told_by_agent(settings) is None


def test_the_documented_credential_counts_beside_the_config(tmp_path, monkeypatch):
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "")
    monkeypatch.delenv("CREDENTIALS_DIRECTORY")
    (tmp_path / "broker_password").write_text("right\n")
    check.lend_credentials(tmp_path / "nowhere")
    assert "CREDENTIALS_DIRECTORY" not in os.environ
    check.lend_credentials(tmp_path)
    password = broker_addresses(BrokerSettings(url="mqtt://u@h"))[0].password
    assert str(getattr(password, "reveal", lambda: password)()) == "right"
