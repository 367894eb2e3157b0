"""Settings of what goes out over MQTT: the device's name in topics, the broker, the outbox, commands."""

from __future__ import annotations

from dataclasses import dataclass

from agent.config.fields import seal, setting
from agent.core.errors import ConfigError
from agent.core.secret import Masked, Secret, split_url


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSettings:
    """Who this box is, in topics and payloads."""

    name: str = setting(
        "", doc="Name of this device in topics; empty: the host name and a part of the machine id."
    )
    site: str = setting("default", doc="Site (a group of devices); the second level of every topic.")


LONGEST_PREFIX = 200
"""Bytes: a topic has 65,535, but cloud brokers take 256 to 512 for all of it."""

BROKER_SCHEMES = ("mqtt", "mqtts", "ws", "wss")
_BROKER = "mqtt://HOST:PORT, mqtts://, ws:// or wss://HOST:PORT/PATH"


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerSettings:
    """The MQTT broker that summaries and alerts go to."""

    url: Masked = setting(
        "mqtt://127.0.0.1:1883",
        kind="url",
        doc="mqtt://HOST:PORT, mqtts://HOST:PORT (TLS), ws:// or wss://HOST:PORT/PATH. It may contain a "
        "login (write / # ? @ as %2F %23 %3F %40); better use username and password_file.",
    )
    fallback_urls: tuple[Masked, ...] = setting(
        (), kind="url", doc="Further brokers, in order of preference."
    )
    topic_prefix: str = setting("vedette", doc="First level(s) of every topic.")
    username: str = setting("", doc="User name at the broker.")
    password: Secret = setting(
        "",
        kind="secret",
        doc="Password; better use password_file, $VEDETTE_BROKER_PASSWORD or the systemd credential "
        "broker_password.",
    )
    password_file: str = setting(
        "", kind="path", doc="File whose first line is the password or token; read at each connect."
    )
    token_command: tuple[Secret, ...] = setting(
        (),
        kind="secret",
        doc="Program and arguments (no shell) that print the password or token; run at each connect, for "
        "at most 20 s. A JWT or SAS token is renewed before it expires.",
    )
    auth_method: str = setting(
        "",
        doc="Authentication method of MQTT 5, such as OAUTH2-JWT or CUSTOM-JWT (Azure Event Grid): the password or "
        "token is sent as its data. MQTT 3.1.1 is not tried then.",
    )
    ca_file: str = setting("", kind="path", doc="CA certificates (PEM) for TLS; empty: the system's.")
    cert_file: str = setting("", kind="path", doc="Client certificate (PEM); read at each connect.")
    key_file: str = setting("", kind="path", doc="Client key (PEM); empty: it is in cert_file.")
    key_password_file: str = setting(
        "", kind="path", doc="File whose first line is the password of an encrypted key_file."
    )
    protocol: str = setting(
        "auto", choices=("auto", "5", "3.1.1"), doc="MQTT version; auto tries 5 and falls back to 3.1.1."
    )
    client_id: str = setting(
        "", doc="MQTT client id; empty: derived from the machine id and, if it is set, device.name."
    )
    keepalive: float = setting(30.0, kind="duration", minimum=5, maximum=3600, doc="MQTT keep-alive.")
    session_expiry: float = setting(
        3600.0,
        kind="duration",
        minimum=0,
        doc="How long the broker keeps the agent's session (MQTT 5).",
    )
    message_expiry: float = setting(
        0.0,
        kind="duration",
        minimum=0,
        doc="How long the broker keeps summaries and sketches for subscribers that are away (MQTT 5); 0: for ever.",
    )
    in_flight: int = setting(20, minimum=1, maximum=1000, doc="Most unacknowledged messages.")
    home_assistant: bool = setting(
        False,
        doc="Announce this device to Home Assistant (MQTT discovery): retained messages under home_assistant_prefix.",
    )
    home_assistant_prefix: str = setting("homeassistant", doc="Home Assistant's discovery prefix.")
    backlog_rate: float = setting(
        500.0,
        minimum=0,
        doc="Most messages a second while a backlog is sent after an outage; 0: no limit.",
    )

    def __post_init__(self) -> None:
        """Every address must be a broker's."""
        seal(self)
        for key in ("topic_prefix", "home_assistant_prefix"):
            _check_prefix(key, getattr(self, key))
        if self.token_command and (self.password or self.password_file):
            raise ConfigError("is given beside a password", key="token_command", expected="one of the two")
        if self.token_command and not self.token_command[0]:
            raise ConfigError("names no program", key="token_command", expected='such as ["/usr/bin/token"]')
        if self.auth_method and self.protocol == "3.1.1":
            raise ConfigError(
                "needs MQTT 5", key="auth_method", expected='protocol = "5" or "auto" beside it'
            )
        if self.auth_method and not (self.auth_method.isascii() and self.auth_method.isprintable()):
            raise ConfigError("is not a name of a method", key="auth_method", expected="such as OAUTH2-JWT")
        for key, url in (("url", self.url), *(("fallback_urls", url) for url in self.fallback_urls)):
            parts = split_url(url.reveal(), key=key, expected=_BROKER)
            if parts.scheme not in BROKER_SCHEMES or not parts.hostname:
                raise ConfigError("is not a broker address", key=key, expected=_BROKER)

    @property
    def protocols(self) -> tuple[str, ...]:
        """The MQTT versions that are tried, in order."""
        if self.protocol != "auto":
            return (self.protocol,)
        return ("5",) if self.auth_method else ("5", "3.1.1")


def _check_prefix(key: str, prefix: str) -> None:
    """Raise ConfigError where no message could be published under `prefix`; slashes around it do not count."""
    levels = prefix.strip("/").split("/")
    if not all(levels):
        wrong = "has an empty level"
    elif any(not character.isprintable() or character in "+#" for character in prefix):
        wrong = "has a wildcard (+ or #) or a control character"
    elif prefix.lstrip("/").startswith("$"):
        wrong = "begins with $, which brokers keep for themselves"
    elif len(prefix.encode()) > LONGEST_PREFIX:
        wrong = f"is longer than {LONGEST_PREFIX} bytes"
    else:
        return
    raise ConfigError(wrong, key=key, expected='levels of a topic, as in "vedette" or "factory/line 2"')


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxSettings:
    """The queue on disk between the agent and the broker."""

    size: int = setting(64 * 1024 * 1024, kind="size", minimum=1024 * 1024, doc="Disk space for the outbox.")
    commit_interval: float = setting(
        1.0,
        kind="duration",
        minimum=0.0,
        maximum=60.0,
        doc="How often messages are committed to disk, in batches (alerts at once).",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandSettings:
    """Commands over MQTT."""

    enabled: bool = setting(False, doc="Accept commands over MQTT.")
    allow: tuple[str, ...] = setting(
        (), doc='Names of the accepted commands, or "*": all except snapshot, which must be named.'
    )
    rate_per_minute: int = setting(30, minimum=1, doc="Most commands per minute; refused ones count.")
    max_age: float = setting(60.0, kind="duration", minimum=1, doc="Older commands are refused.")
    reply_prefixes: tuple[str, ...] = setting(
        (),
        doc="Further topics below which answers may be sent, besides the device's own reply/.",
    )
