"""Broker addresses and passwords: from the settings to what a client needs, and never back into a log."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from agent.config.render import mask_url
from agent.config.schema import BrokerSettings
from agent.errors import ConfigError

PORTS = {"mqtt": 1883, "mqtts": 8883, "ws": 80, "wss": 443}
PASSWORD_VARIABLE = "VEDETTE_BROKER_PASSWORD"
CREDENTIAL = "broker_password"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class BrokerAddress:
    """Where a broker is and how to log in; shown without its password."""

    host: str
    port: int
    tls: bool
    web_path: str | None = None
    username: str = ""
    password: str = ""
    shown: str = ""

    def __repr__(self) -> str:
        return f"BrokerAddress({self.shown})"


def parse_broker_url(url: str, key: str = "broker.url") -> BrokerAddress:
    """The address in `mqtt://`, `mqtts://`, `ws://` or `wss://[USER[:PASSWORD]@]HOST[:PORT][/PATH]`.

    Raises ConfigError (without the password) where it is none.
    """
    expected = "mqtt://HOST:PORT, mqtts://, ws:// or wss://HOST:PORT/PATH"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        reason = "not a port number" if "ort" in str(error) else "no address"
        raise ConfigError(f"{mask_url(url)}: {reason}", key=key, expected=expected) from None
    if parts.scheme not in PORTS or not parts.hostname:
        raise ConfigError(f"{mask_url(url)} is no broker address", key=key, expected=expected)
    web = parts.scheme in {"ws", "wss"}
    return BrokerAddress(
        host=parts.hostname,
        port=port or PORTS[parts.scheme],
        tls=parts.scheme in {"mqtts", "wss"},
        web_path=(parts.path or "/mqtt") if web else None,
        username=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        shown=mask_url(url),
    )


def broker_addresses(settings: BrokerSettings) -> list[BrokerAddress]:
    """All brokers of the settings in order of preference, each with its login. Reads the password's file.

    The password is the first found of: the URL's, `password`, `password_file`, $VEDETTE_BROKER_PASSWORD,
    systemd's credential `broker_password`. Raises ConfigError.
    """
    urls = [("broker.url", settings.url)] + [("broker.fallback_urls", url) for url in settings.fallback_urls]
    addresses = [parse_broker_url(url, key) for key, url in urls]
    shared = "" if all(address.password for address in addresses) else _shared_password(settings)
    return [
        replace(
            address,
            username=address.username or settings.username,
            password=address.password or shared,
        )
        for address in addresses
    ]


def _shared_password(settings: BrokerSettings) -> str:
    if settings.password:
        return settings.password
    if settings.password_file:
        return _first_line(Path(settings.password_file))
    if os.environ.get(PASSWORD_VARIABLE):
        return os.environ[PASSWORD_VARIABLE]
    credentials = os.environ.get("CREDENTIALS_DIRECTORY")
    if credentials and (Path(credentials) / CREDENTIAL).exists():
        return _first_line(Path(credentials) / CREDENTIAL)
    return ""


def _first_line(path: Path) -> str:
    try:
        return path.read_text().partition("\n")[0].rstrip("\r")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise ConfigError(
            f"{path}: {reason}", key="broker.password_file", expected="a readable file with the password"
        ) from None
