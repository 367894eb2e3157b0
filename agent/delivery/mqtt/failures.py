"""Why there is no connection to the broker: kinds, and how they are told from codes and exceptions."""

from __future__ import annotations

import socket
import ssl
from enum import Enum

from agent.delivery.mqtt.address import BrokerAddress


class Failure(str, Enum):
    """Why there is no connection (any more); each kind has its own patience."""

    UNREACHABLE = "unreachable"
    CERTIFICATE = "certificate"
    TLS = "tls"
    LOGIN = "login"
    CLIENT_ID = "client_id"
    TAKEN_OVER = "taken_over"
    VERSION = "version"
    BUSY = "busy"
    REFUSED = "refused"
    SILENT = "silent"
    LOST = "lost"


# Reason codes of CONNACK and DISCONNECT, MQTT 5; 3.1.1's five are translated to these by paho.
BY_CODE = {
    0x84: Failure.VERSION,
    0x85: Failure.CLIENT_ID,
    0x86: Failure.LOGIN,
    0x87: Failure.LOGIN,
    0x88: Failure.BUSY,
    0x89: Failure.BUSY,
    0x8A: Failure.LOGIN,
    0x8B: Failure.BUSY,
    0x8C: Failure.LOGIN,
    0x8E: Failure.TAKEN_OVER,
    0x97: Failure.BUSY,
    0x9F: Failure.BUSY,
}


def why_not(error: BaseException, address: BrokerAddress) -> tuple[Failure, str]:
    """What kept us from connecting, in one line that tells the mend."""
    where = f"{address.host}:{address.port}"
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = f"{where}: certificate refused: {error.verify_message}; see broker.ca_file"
        return Failure.CERTIFICATE, reason
    if isinstance(error, ssl.SSLError):
        return Failure.TLS, f"{where}: TLS failed: {error.reason or error}"
    if isinstance(error, socket.gaierror):
        return Failure.UNREACHABLE, f"{address.host}: unknown host ({error.strerror})"
    if isinstance(error, (TimeoutError, socket.timeout)):
        return Failure.UNREACHABLE, f"{where}: no answer in time"
    if isinstance(error, FileNotFoundError):
        return Failure.TLS, f"{where}: a TLS file is missing; see broker.ca_file, cert_file, key_file"
    if isinstance(error, OSError) and error.strerror:
        return Failure.UNREACHABLE, f"{where}: {error.strerror.lower()}"
    return Failure.UNREACHABLE, f"{where}: {error}"
