"""When a password ends, where it is a token that says so: a JWT (`exp`) or a shared access signature (`se`). Pure."""

from __future__ import annotations

import base64
import binascii
from urllib.parse import parse_qs

from agent.core.untrusted import BadInput, parse_json

RENEW_SECONDS = 300.0
RENEW_SHARE = 0.2
_SAS = "SharedAccessSignature "
_LATEST = 32_503_680_000.0  # the year 3000: a larger number is no time


def expires_at(token: str) -> float | None:
    """The Unix time at which `token` ends; None where it does not say. Its signature is not verified.

    JWT: RFC 7519, 4.1.4. Shared access signature: Azure IoT Hub, "Control access with shared access signatures".

    >>> expires_at("SharedAccessSignature sr=hub%2Fdevices%2Fbox&sig=x&se=1790000000")
    1790000000.0
    """
    found = _sas_end(token) if token.startswith(_SAS) else _jwt_end(token)
    valid = isinstance(found, (int, float)) and not isinstance(found, bool) and 0 < found < _LATEST
    return float(found) if valid and found is not None else None


def _sas_end(token: str) -> float | None:
    try:
        return float(parse_qs(token.removeprefix(_SAS))["se"][0])
    except (KeyError, ValueError):
        return None


def _jwt_end(token: str) -> float | None:
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = parse_json(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (binascii.Error, ValueError, BadInput):
        return None
    end = claims.get("exp") if isinstance(claims, dict) else None
    return end if isinstance(end, (int, float)) else None


def renew_after(expires: float | None, unix: float) -> float | None:
    """Seconds from `unix` to when another token is due: shortly before the end; None where that is not known.

    A token that has ended already by this box's clock is the broker's to judge.

    >>> renew_after(1000.0, 0.0), renew_after(100_000.0, 0.0), renew_after(10.0, 20.0)
    (800.0, 99700.0, None)
    """
    left = -1.0 if expires is None else expires - unix
    return left - min(RENEW_SECONDS, RENEW_SHARE * left) if left > 0 else None
