"""Broker addresses: from the URLs of the settings to what a client needs, and never back into a log."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import unquote

from agent.config.delivery_settings import BrokerSettings
from agent.core.errors import ConfigError
from agent.core.secret import Masked, Secret, split_url

PORTS = {"mqtt": 1883, "mqtts": 8883, "ws": 80, "wss": 443}


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerAddress:
    """Where a broker is, and the login of its URL; `shown` is the URL without that.

    `web_query` is what its proxy wants to know besides the path, and may hold a token.
    """

    host: str
    port: int
    tls: bool
    web_path: str | None = None
    web_query: str = field(default="", repr=False)
    username: str = field(default="", repr=False)
    password: Secret = Secret()
    shown: str = ""

    @property
    def server(self) -> str:
        """The URL of the server alone, however it was written: without login and query, with its port."""
        scheme = (
            ("wss" if self.tls else "ws") if self.web_path is not None else "mqtts" if self.tls else "mqtt"
        )
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host.lower()}:{self.port}{self.web_path or ''}"


def parse_broker_url(url: str | Masked, key: str = "broker.url") -> BrokerAddress:
    """The address in `mqtt://`, `mqtts://`, `ws://` or `wss://[USER[:PASSWORD]@]HOST[:PORT][/PATH]`.

    Raises ConfigError (without the password) where it is none.
    """
    expected = "mqtt://HOST:PORT, mqtts://, ws:// or wss://HOST:PORT/PATH"
    address = Masked(url)
    parts = split_url(address.reveal(), key=key, expected=expected)
    if parts.scheme not in PORTS or not parts.hostname:
        raise ConfigError(f"{address} is not a broker address", key=key, expected=expected)
    web = parts.scheme in {"ws", "wss"}
    return BrokerAddress(
        host=parts.hostname,
        port=parts.port or PORTS[parts.scheme],
        tls=parts.scheme in {"mqtts", "wss"},
        web_path=(parts.path or "/mqtt") if web else None,
        web_query=parts.query if web else "",
        username=unquote(parts.username or ""),
        password=Secret(unquote(parts.password or "")),
        shown=str(address),
    )


def broker_addresses(settings: BrokerSettings) -> list[BrokerAddress]:
    """All brokers of the settings in order of preference, with the logins that their URLs hold; raises ConfigError."""
    urls = [("broker.url", settings.url)] + [("broker.fallback_urls", url) for url in settings.fallback_urls]
    return [parse_broker_url(url, key) for key, url in urls]
