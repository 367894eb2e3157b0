"""Trusted CA certificates, and why a server's certificate was refused; names a wrong clock as the cause."""

from __future__ import annotations

import ssl
from typing import TypeGuard

from agent.core import clock

_NOT_YET_VALID, _EXPIRED = 9, 10  # X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED


def trusting(ca_file: str = "") -> ssl.SSLContext:
    """A client's context that verifies servers by the CA certificates in `ca_file` ("": the system's).

    As strict on every Python: the default context of 3.13 refuses CAs without a key usage, as private ones often are.
    Raises OSError, and ssl.SSLError, where the file cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_file:
        context.load_verify_locations(ca_file)
    else:
        context.load_default_certs()
    return context


def clock_is_suspect(error: BaseException | str) -> TypeGuard[ssl.SSLCertVerificationError]:
    """Whether a certificate was refused for its dates by a clock that is not synchronised."""
    return (
        isinstance(error, ssl.SSLCertVerificationError)
        and error.verify_code in {_NOT_YET_VALID, _EXPIRED}
        and not clock.synced()
    )


def clock_reason(error: ssl.SSLCertVerificationError, at: str) -> str:
    """The cause where `clock_is_suspect`; `at` is the time of this box as people read it."""
    return f"{error.verify_message} by this box's clock, which says {at} and is not synchronised"
