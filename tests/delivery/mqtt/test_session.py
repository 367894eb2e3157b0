import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config.delivery_settings import BrokerSettings
from agent.core.errors import ConfigError
from agent.delivery.mqtt.address import broker_addresses, parse_broker_url
from agent.delivery.mqtt.backoff import BACKOFF, backoff_seconds
from agent.delivery.mqtt.failures import ConnectionFailure
from agent.delivery.mqtt.login import read_credentials


@given(st.sampled_from(list(ConnectionFailure)), st.integers(0, 10_000), st.floats(0, 1))
def test_waits_are_bounded_and_never_hammer(failure, attempt, jitter):
    first, longest = BACKOFF[failure]
    assert first / 2 <= backoff_seconds(failure, attempt, jitter) <= longest


def test_every_failure_has_a_patience_and_a_wrong_password_more_than_a_lost_line():
    assert set(BACKOFF) == set(ConnectionFailure)
    assert BACKOFF[ConnectionFailure.LOGIN] > BACKOFF[ConnectionFailure.LOST]
    assert BACKOFF[ConnectionFailure.TAKEN_OVER] > BACKOFF[ConnectionFailure.UNREACHABLE]


@given(st.sampled_from(list(ConnectionFailure)), st.floats(0, 1))
def test_waits_grow(failure, jitter):
    waits = [backoff_seconds(failure, attempt, jitter) for attempt in range(12)]
    assert waits == sorted(waits)


@pytest.mark.parametrize("outage", [60.0, 120.0, 3600.0])
def test_a_thousand_boxes_come_back_within_half_a_minute_and_not_all_at_once(outage):
    chance, back = random.Random(1), Counter()
    for _ in range(1000):
        at = attempt = 0
        while at < outage:
            at += backoff_seconds(ConnectionFailure.UNREACHABLE, attempt, chance.random())
            attempt += 1
        back[int(at - outage)] += 1
    assert max(back) < 30
    assert max(back.values()) < 80  # logins in one second


@pytest.mark.parametrize(
    ("url", "host", "port", "tls", "path"),
    [
        ("mqtt://broker", "broker", 1883, False, None),
        ("mqtts://broker", "broker", 8883, True, None),
        ("ws://broker:9001", "broker", 9001, False, "/mqtt"),
        ("wss://broker/deep/path", "broker", 443, True, "/deep/path"),
        ("mqtt://[::1]:1884", "::1", 1884, False, None),
    ],
)
def test_urls(url, host, port, tls, path):
    address = parse_broker_url(url)
    assert (address.host, address.port, address.tls, address.web_path) == (host, port, tls, path)


def test_users_and_passwords_are_unquoted_and_never_shown():
    address = parse_broker_url("mqtt://us%40er:p%2Fw%3A@broker")
    assert (address.username, address.password.reveal()) == ("us@er", "p/w:")
    assert "p%2Fw" not in repr(address) + address.shown
    assert "p/w" not in repr(address) + address.shown


@pytest.mark.parametrize(
    "url", ["http://broker", "broker:1883", "mqtt://", "mqtt://broker:port", "mqtt://u:secret@:1"]
)
def test_what_is_no_address_is_refused_without_its_password(url):
    with pytest.raises(ConfigError) as refused:
        parse_broker_url(url)
    assert "secret" not in str(refused.value)


def test_the_url_s_login_wins_over_the_shared_one():
    settings = BrokerSettings(url="mqtt://a:1@x", fallback_urls=("mqtt://y",), username="b", password="2")
    logins = [read_credentials(settings, address) for address in broker_addresses(settings)]
    assert [(login.username, login.password.reveal()) for login in logins] == [("a", "1"), ("b", "2")]
