"""Kinds of connection failures, and how they are recognised from codes and exceptions."""

from __future__ import annotations

import socket
import ssl
from enum import Enum

from agent.core import clock
from agent.core.certificates import clock_is_suspect, clock_reason
from agent.delivery.messages import rfc3339
from agent.delivery.mqtt.address import BrokerAddress
from agent.delivery.mqtt.upgrade import UpgradeRefused


class ConnectionFailure(str, Enum):
    """Why there is no connection (any more); each kind has its own patience."""

    UNRESOLVED = "unresolved"
    UNREACHABLE = "unreachable"
    CERTIFICATE = "certificate"
    CLIENT_CERTIFICATE = "client_certificate"
    CREDENTIALS = "credentials"
    CLOCK = "clock"
    TLS = "tls"
    LOGIN = "login"
    BANNED = "banned"
    CLIENT_ID = "client_id"
    TAKEN_OVER = "taken_over"
    VERSION = "version"
    BUSY = "busy"
    REFUSED = "refused"
    MOVED = "moved"
    DENIED = "denied"
    PROTOCOL = "protocol"
    UPGRADE = "upgrade"
    SILENT = "silent"
    LOST = "lost"
    SHORT_LIVED = "short_lived"
    NO_RETAIN = "no_retain"
    NO_QOS = "no_qos"


REFUSALS = frozenset(
    {
        ConnectionFailure.LOGIN,
        ConnectionFailure.BANNED,
        ConnectionFailure.CLIENT_ID,
        ConnectionFailure.CLIENT_CERTIFICATE,
        ConnectionFailure.TAKEN_OVER,
        ConnectionFailure.REFUSED,
        ConnectionFailure.MOVED,
    }
)
"""Where the broker itself has said that it does not let us in; all else is our side's or a guess."""

OTHER_VERSION = frozenset({ConnectionFailure.VERSION, ConnectionFailure.LOST, ConnectionFailure.SILENT})
"""What a broker may do that does not speak our version: say so, hang up, or (amqtt) not even answer the login."""

PERHAPS_OURS = frozenset(
    {
        ConnectionFailure.LOST,
        ConnectionFailure.SILENT,
        ConnectionFailure.NO_RETAIN,
        ConnectionFailure.NO_QOS,
        ConnectionFailure.DENIED,
    }
)
"""After these what we sent last may be the reason why a connection ended; after all others it is not."""

MEND = {
    ConnectionFailure.LOGIN: "check user name and password",
    ConnectionFailure.BANNED: "the broker has banned this client, user or address (EMQX bans clients "
    "that connect too often): ask its operator to lift the ban",
    ConnectionFailure.MOVED: "set broker.url to the server that it names, or ask its operator",
    ConnectionFailure.DENIED: "the broker does not accept the last message (access rules, packet size); "
    "its topic is held back as soon as it is known",
    ConnectionFailure.PROTOCOL: "check that broker.url is an MQTT broker's port, and its protocol",
    ConnectionFailure.UPGRADE: "check the path in broker.url, and what a proxy before the broker lets through",
    ConnectionFailure.CLOCK: "set the clock or have NTP run (timedatectl); then it is tried again at once",
    ConnectionFailure.CERTIFICATE: "check broker.ca_file and the broker's certificate",
    ConnectionFailure.CLIENT_CERTIFICATE: "check broker.cert_file: its dates, and whether the broker trusts its issuer",
    ConnectionFailure.CREDENTIALS: "correct the named file or key; it is read again at each attempt",
    ConnectionFailure.CLIENT_ID: "check broker.client_id",
    ConnectionFailure.TAKEN_OVER: "another client uses the same client id: was this machine cloned, or does a second "
    "agent run on it? A device.name of its own, or broker.client_id, ends that",
    ConnectionFailure.SHORT_LIVED: "either another client uses the same client id (was this machine "
    "cloned?), or the broker disconnects because of a message (access "
    "rules, packet size): its log has the reason",
}
"""What an operator can do about a failure; the others pass by themselves."""

NEVER = frozenset({0x90, 0x95, 0x99})
"""Reason codes by which a message is refused for good: topic name invalid, packet too large, payload format invalid."""

# Reason codes of CONNACK and DISCONNECT, MQTT 5; 3.1.1's five are translated to these by paho.
BY_CODE = {
    0x84: ConnectionFailure.VERSION,
    0x85: ConnectionFailure.CLIENT_ID,
    0x86: ConnectionFailure.LOGIN,
    0x87: ConnectionFailure.LOGIN,
    0x88: ConnectionFailure.BUSY,
    0x89: ConnectionFailure.BUSY,
    0x8A: ConnectionFailure.BANNED,
    0x8B: ConnectionFailure.BUSY,
    0x8C: ConnectionFailure.LOGIN,
    0x8E: ConnectionFailure.TAKEN_OVER,
    0x97: ConnectionFailure.BUSY,
    0x9A: ConnectionFailure.NO_RETAIN,
    0x9B: ConnectionFailure.NO_QOS,
    0x9C: ConnectionFailure.MOVED,
    0x9D: ConnectionFailure.MOVED,
    0x9F: ConnectionFailure.BUSY,
}

# What some of them mean when they end a connection that was let in: it is over what was sent, or by an operator.
_BY_CODE_LATER = {
    0x87: ConnectionFailure.DENIED,
    **dict.fromkeys(NEVER, ConnectionFailure.DENIED),
    0x96: ConnectionFailure.BUSY,
    0x98: ConnectionFailure.BUSY,
    0xA0: ConnectionFailure.BUSY,
}


def why_ended(code: int, *, was_open: bool) -> ConnectionFailure:
    """The kind of failure by a reason code of CONNACK (`was_open` False) or of DISCONNECT."""
    if was_open:
        return _BY_CODE_LATER.get(code) or BY_CODE.get(code, ConnectionFailure.LOST)
    return BY_CODE.get(code, ConnectionFailure.REFUSED)


# Alerts of TLS (RFC 8446, 6.2) by which a server says that it does not take the client's certificate.
_OUR_CERTIFICATE = frozenset(
    {
        "BAD_CERTIFICATE",
        "UNSUPPORTED_CERTIFICATE",
        "CERTIFICATE_REVOKED",
        "CERTIFICATE_EXPIRED",
        "CERTIFICATE_UNKNOWN",
        "CERTIFICATE_REQUIRED",
        "UNKNOWN_CA",
        "ACCESS_DENIED",
    }
)


def why_not(error: BaseException, address: BrokerAddress) -> tuple[ConnectionFailure, str]:
    """What kept us from connecting, in one line that tells the mend."""
    where = f"{address.host}:{address.port}"
    if clock_is_suspect(error):
        return ConnectionFailure.CLOCK, f"{where}: {clock_reason(error, rfc3339(clock.unix_now()))}"
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = f"{where}: certificate refused: {error.verify_message}"
        return ConnectionFailure.CERTIFICATE, reason
    if isinstance(error, ssl.SSLError) and (error.reason or "").partition("_ALERT_")[2] in _OUR_CERTIFICATE:
        alert = (error.reason or "").partition("_ALERT_")[2].lower().replace("_", " ")
        return (
            ConnectionFailure.CLIENT_CERTIFICATE,
            f"{where}: the broker refuses our certificate (TLS alert: {alert})",
        )
    if isinstance(error, ssl.SSLError):
        return ConnectionFailure.TLS, f"{where}: TLS failed: {error.reason or error}"
    if isinstance(error, UpgradeRefused):
        proxied = 500 <= error.status < 600  # a proxy is there, the broker behind it is not
        kind = ConnectionFailure.UNREACHABLE if proxied else ConnectionFailure.UPGRADE
        return kind, f"{where}: no WebSocket: {error}"
    if isinstance(error, socket.gaierror):
        unknown = "not resolved" if error.errno == socket.EAI_AGAIN else "unknown host"
        return ConnectionFailure.UNRESOLVED, f"{address.host}: {unknown} ({error.strerror})"
    if isinstance(error, (TimeoutError, socket.timeout)):
        return ConnectionFailure.UNREACHABLE, f"{where}: no answer in time"
    if isinstance(error, ConnectionError) and not isinstance(error, ConnectionRefusedError):
        return ConnectionFailure.UNREACHABLE, f"{where}: the connection broke before the broker answered"
    if isinstance(error, OSError) and error.strerror:
        return ConnectionFailure.UNREACHABLE, f"{where}: {error.strerror.lower()}"
    return ConnectionFailure.UNREACHABLE, f"{where}: {error}"
