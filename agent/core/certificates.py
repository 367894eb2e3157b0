"""Why a server's certificate was refused, in words: where this box's clock is the likely cause, that is said."""

from __future__ import annotations

import ssl
from typing import TypeGuard

from agent.core import clock

_NOT_YET_VALID, _EXPIRED = 9, 10  # X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED


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
