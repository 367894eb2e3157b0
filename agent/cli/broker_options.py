"""Options for the broker and its login, shared by every command that connects to one."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent.config.delivery_settings import BrokerSettings

DEFAULT_BROKER = "mqtt://127.0.0.1:1883"
LOGIN_EPILOG = """\
logging in: keep passwords off the command line, where every user of the machine can read them.
  --username NAME --password-file FILE    the password is the file's first line (chmod 600 FILE)
  VEDETTE_BROKER_PASSWORD=...             in the environment, instead of a file
  --cert-file, --key-file                 a client certificate, with mqtts:// or wss://
  --config /etc/vedette/config.toml       everything from an agent's config, including a token_command
Passwords, tokens and certificates are read again for each connection; a token with an expiry time is renewed before it.
"""

_OPTIONS = {
    "username": ("NAME", "user name at the broker"),
    "password_file": ("FILE", "file whose first line is the password"),
    "ca_file": ("FILE", "CA certificates (PEM) for TLS (default: the system's)"),
    "cert_file": ("FILE", "client certificate (PEM)"),
    "key_file": ("FILE", "key of the client certificate (PEM)"),
    "key_password_file": ("FILE", "file whose first line is the password of an encrypted key"),
}
_FLAGS = {"broker.url": "--broker", **{f"broker.{name}": f"--{name.replace('_', '-')}" for name in _OPTIONS}}


def add_login_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare how to log in: `--username`, `--password-file`, `--ca-file`, `--cert-file`, `--key-file`, ..."""
    for name, (metavar, text) in _OPTIONS.items():
        parser.add_argument(_FLAGS[f"broker.{name}"], metavar=metavar, default="", help=text)


def add_broker_arguments(parser: argparse.ArgumentParser, *, required: bool = False) -> None:
    """Declare which broker (`--broker` or `--config`), the topics' prefix, and how to log in."""
    where = parser.add_mutually_exclusive_group(required=required)
    where.add_argument("--broker", metavar="URL", help="mqtt[s]://HOST[:PORT], ws[s]://HOST/PATH")
    where.add_argument(
        "--config", metavar="FILE", help="take broker, login, TLS and prefix from an agent's config"
    )
    parser.add_argument("--prefix", help="first level(s) of the topics (default: the config's, else vedette)")
    add_login_arguments(parser)


def with_login(broker: BrokerSettings, args: argparse.Namespace) -> BrokerSettings:
    """`broker` with the login of the command line; raises ConfigError, which names file and option."""
    from dataclasses import replace

    given = {name: getattr(args, name) for name in _OPTIONS if getattr(args, name)}
    for name, path in given.items():
        if name.endswith("_file"):
            _check_readable(path, _FLAGS[f"broker.{name}"])
    if "password_file" in given:  # the file that was named counts, not a password in the config
        broker = replace(broker, password=type(broker.password)(), token_command=())
    return replace(broker, **given)


def broker_settings(args: argparse.Namespace) -> BrokerSettings:
    """The broker that the arguments ask for, the local one where they name none; raises ConfigError."""
    from dataclasses import replace

    from agent.config.delivery_settings import BrokerSettings
    from agent.delivery.mqtt.address import broker_addresses
    from agent.delivery.mqtt.login import check_password_file

    if args.config:
        broker = _of_config(args)
    else:
        broker = with_login(with_url(BrokerSettings(), args.broker or DEFAULT_BROKER), args)
    with nullcontext() if args.config else naming_options():
        broker_addresses(broker)
        check_password_file(broker)
    return replace(broker, topic_prefix=(args.prefix or broker.topic_prefix).strip("/"))


def _of_config(args: argparse.Namespace) -> BrokerSettings:
    """The config's broker with the login that its agent has; raises VedetteError where that would disturb the agent."""
    from pathlib import Path

    from agent.app.kinds import KINDS
    from agent.cli.broker_check import status_beside
    from agent.cli.credentials import with_service_password
    from agent.config.load import load
    from agent.core.errors import VedetteError

    file = Path(args.config)
    settings = load(file, KINDS)
    broker = with_login(settings.broker, args)
    as_agent = broker.cert_file and broker.cert_file == settings.broker.cert_file
    if as_agent and status_beside(settings.state_directory, broker, file) is not None:
        raise VedetteError(
            f"the running agent uses {broker.cert_file}, and a broker that knows clients by their certificate would "
            "take this connection for its and end that; give a certificate of this reader's own with --cert-file "
            "and --key-file (scripts/broker-setup reader makes one)"
        )
    return with_service_password(broker, file)


def with_url(broker: BrokerSettings, text: str) -> BrokerSettings:
    """`broker` at the address that the command line gives: `HOST[:PORT]` alone means `mqtt://`; raises ConfigError."""
    from dataclasses import replace

    from agent.core.secret import Masked
    from agent.delivery.mqtt.address import parse_broker_url

    with naming_options():
        at = replace(broker, url=Masked(text if "://" in text else f"mqtt://{text}"))
        parse_broker_url(at.url)
        return at


@contextmanager
def naming_options() -> Iterator[None]:
    """Replace a key of [broker] in a ConfigError by the option of the command line that set it."""
    from agent.core.errors import ConfigError

    try:
        yield
    except ConfigError as error:
        option = _FLAGS.get(f"broker.{(error.key or '').removeprefix('broker.')}", error.key)
        raise ConfigError(error.message, file="command line", key=option, expected=error.expected) from None


def _check_readable(path: str, flag: str) -> None:
    from pathlib import Path

    from agent.core.errors import ConfigError

    try:
        with Path(path).open("rb"):
            pass
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigError(
            f"{path}: {reason}", file="command line", key=flag, expected="a readable file"
        ) from None
