"""Certificate and key of the web server, tried before it listens: what is wrong with them is named then."""

from __future__ import annotations

import os
import ssl

from agent.core.errors import ConfigError

_MISMATCH = {"KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH"}


def check_files(cert: str, key: str) -> None:
    """Raise ConfigError where HTTPS cannot be served with these PEM files; `key` "" is in the same file as `cert`."""
    if not cert:
        if key:
            raise _error("--tls-cert", "a key alone is not TLS", "the certificate beside --tls-key")
        return
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(cert, key or None, password=_refuse)
    except ssl.SSLError as error:
        if error.reason in _MISMATCH:
            raise _error("--tls-key", f"{key or cert} does not belong to {cert}", "its key") from None
        raise _error(
            "--tls-cert", f"{cert}{f' with {key}' if key else ''} cannot be used: {error.reason or error}",
            "a certificate and its key in PEM" + ("" if key else "; --tls-key where it is a file of its own"),
        ) from None  # fmt: skip
    except OSError as error:
        missing = key if _readable(cert) else cert
        raise _error("--tls-cert", f"{missing} cannot be read: {error.strerror}", "two PEM files") from None


def _refuse() -> str:
    """Instead of OpenSSL's question on the terminal."""
    raise _error(
        "--tls-key", "the key is encrypted", "one that is not (openssl pkey), readable by this user alone"
    )


def _readable(path: str) -> bool:
    return os.access(path, os.R_OK)


def _error(key: str, message: str, expected: str) -> ConfigError:
    return ConfigError(message, file="command line", key=key, expected=expected)
