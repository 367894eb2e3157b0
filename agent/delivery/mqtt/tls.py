"""The TLS context of a connection, from files that are read anew; names the file that cannot be used, and never asks.

OpenSSL asks for the passphrase of an encrypted key on the terminal unless it is given a callback.
"""

from __future__ import annotations

import ssl
import stat
from pathlib import Path

from agent.config.delivery_settings import BrokerSettings
from agent.core.certificates import trusting
from agent.core.errors import ConfigError
from agent.delivery.mqtt.login import read_secret, reason_of

_LARGEST = 16 * 1024 * 1024  # bytes; a bundle of all public CAs has 0.2 MB
_MISMATCH = {"KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH"}


def tls_context(settings: BrokerSettings) -> ssl.SSLContext:
    """TLS 1.2 or newer, by the CA and client certificate of `settings`; raises ConfigError: key, file and mend."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if settings.ca_file else trusting()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    load_files(context, settings)
    return context


def load_files(context: ssl.SSLContext, settings: BrokerSettings) -> None:
    """Read the files into `context`, which may hold those of before; raises ConfigError."""
    if settings.ca_file:
        _read_pem("broker.ca_file", settings.ca_file, "CERTIFICATE")
        try:
            context.load_verify_locations(settings.ca_file)
        except (OSError, ValueError) as error:
            raise _broken("broker.ca_file", settings.ca_file, error) from None
    if settings.cert_file:
        _present(context, settings)


def _present(context: ssl.SSLContext, settings: BrokerSettings) -> None:
    """Load the client certificate and its key."""
    cert_file, key_file = settings.cert_file, settings.key_file or settings.cert_file
    _read_pem("broker.cert_file", cert_file, "CERTIFICATE")
    _read_pem("broker.key_file", key_file, "PRIVATE KEY")
    asked = []

    def passphrase() -> str:
        asked.append(True)
        if not settings.key_password_file:
            raise ConfigError(
                f"{key_file}: the key is encrypted, and there is no password for it",
                key="broker.key_file",
                expected="broker.key_password_file beside it, or a key that is not encrypted (openssl pkey)",
            )
        return read_secret("broker.key_password_file", Path(settings.key_password_file)).reveal()

    try:
        context.load_cert_chain(cert_file, key_file, password=passphrase)
    except ssl.SSLError as error:
        if error.reason in _MISMATCH:
            raise ConfigError(
                f"{key_file}: the key does not belong to the certificate {cert_file}",
                key="broker.key_file",
                expected="the key that the certificate was made for",
            ) from None
        if asked:
            raise _wrong_passphrase(settings) from None
        raise _broken("broker.cert_file", f"{cert_file}, {key_file}", error) from None
    except ValueError:  # longer than OpenSSL takes
        raise _wrong_passphrase(settings) from None
    except OSError as error:
        raise _broken("broker.cert_file", f"{cert_file}, {key_file}", error) from None


def _wrong_passphrase(settings: BrokerSettings) -> ConfigError:
    return ConfigError(
        f"{settings.key_password_file}: its first line does not open {settings.key_file or settings.cert_file}",
        key="broker.key_password_file",
        expected="the password of the key",
    )


def _read_pem(key: str, path: str, label: str) -> None:
    """Raise ConfigError where `path` cannot be read, or holds nothing with `label` in PEM."""
    expected = "a file in PEM that the agent's user may read"
    try:
        if not stat.S_ISREG(Path(path).stat().st_mode):  # a pipe would be waited for without end
            raise ConfigError(f"{path}: is not a file", key=key, expected=expected)
        with Path(path).open("rb") as file:
            data = file.read(_LARGEST)
    except OSError as error:
        raise ConfigError(f"{path}: {reason_of(error)}", key=key, expected=expected) from None
    except ValueError:
        raise ConfigError(f"{path!r} is not a path", key=key, expected=expected) from None
    wanted = f"{label}-----".encode()
    if not any(
        line.startswith(b"-----BEGIN ") and line.rstrip().endswith(wanted) for line in data.splitlines()
    ):
        der = (
            "; it may be in DER: openssl x509 or pkey, -inform der, makes PEM of it"
            if data[:1] == b"\x30"
            else ""
        )
        wrong = "is empty" if not data.strip() else f"holds no {label.lower()} in PEM{der}"
        raise ConfigError(f"{path}: {wrong}", key=key, expected=expected)


def _broken(key: str, path: str, error: Exception) -> ConfigError:
    reason = (error.reason if isinstance(error, ssl.SSLError) else None) or str(error)
    return ConfigError(f"{path}: {reason}", key=key, expected="whole and valid PEM")
