"""What is said of a connection that did not come about, in words of an operator."""

import errno
import os

import pytest

from agent.delivery.mqtt.address import BrokerAddress
from agent.delivery.mqtt.failures import ConnectionFailure, why_not


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.EPIPE, "h:1883: the connection broke before the broker answered"),
        (errno.ECONNRESET, "h:1883: the connection broke before the broker answered"),
        (errno.ECONNREFUSED, "h:1883: connection refused"),
        (errno.EHOSTUNREACH, "h:1883: no route to host"),
    ],
)
def test_a_line_that_breaks_is_not_named_by_its_system_call(number, reason):
    error = OSError(number, os.strerror(number))
    assert why_not(error, BrokerAddress(host="h", port=1883, tls=False)) == (
        ConnectionFailure.UNREACHABLE,
        reason,
    )
