"""The login at a broker, read for each connection: what was rotated in a file counts at the next one.

Reading may take seconds (a command, a slow disk): it is done in the connection's own thread.
"""

from __future__ import annotations

import errno
import os
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import paho.mqtt.client as paho
from paho.mqtt.properties import Properties

from agent.config.delivery_settings import BrokerSettings
from agent.core import clock
from agent.core.child_environment import child_environment
from agent.core.errors import ConfigError
from agent.core.secret import LONGEST_LINE, Secret, first_line
from agent.delivery.mqtt.address import BrokerAddress
from agent.delivery.mqtt.tokens import expires_at

PASSWORD_VARIABLE = "VEDETTE_BROKER_PASSWORD"
CREDENTIAL = "broker_password"
CREDENTIALS_FOLDER = "credentials"
"""Beside the config: install.sh passes the files in it to the service."""
COMMAND_SECONDS = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """A login as it was read; `expires_at` (Unix time) is None where the password does not say when it ends."""

    username: str = ""
    password: Secret = Secret()
    expires_at: float | None = None


def read_credentials(settings: BrokerSettings, address: BrokerAddress) -> Credentials:
    """The login at `address`; the URL's goes before that of the settings. Raises ConfigError: key, file and mend.

    The password is the first found of: the URL's, `password`, `password_file`, `token_command`,
    $VEDETTE_BROKER_PASSWORD, systemd's credential `broker_password`.
    """
    password = address.password or _password(settings)
    return Credentials(
        username=address.username or settings.username,
        password=password,
        expires_at=expires_at(password.reveal()),
    )


def log_in(
    client: paho.Client, settings: BrokerSettings, credentials: Credentials, properties: Properties | None
) -> None:
    """Give `client` its login; where a method is configured, the `properties` of its CONNECT carry the password."""
    password = credentials.password.reveal()
    if settings.auth_method and properties is not None:
        properties.AuthenticationMethod = settings.auth_method
        properties.AuthenticationData = password.encode()
        password = ""
    if credentials.username or password:
        client.username_pw_set(credentials.username, password or None)


def has_password(settings: BrokerSettings, address: BrokerAddress) -> bool:
    """Whether a password is configured; nothing is read or run."""
    configured = (settings.password, settings.password_file, settings.token_command, address.password)
    return any(configured) or bool(os.environ.get(PASSWORD_VARIABLE)) or _credential() is not None


def check_password_file(settings: BrokerSettings) -> None:
    """Raise ConfigError where the password's file cannot be used now; no command is run."""
    if not settings.token_command:
        _password(settings)


def reading_seconds(settings: BrokerSettings) -> float:
    """How long `read_credentials` may take at most, beside a disk that hangs."""
    return COMMAND_SECONDS if settings.token_command else 0.0


def _password(settings: BrokerSettings) -> Secret:
    if settings.password:
        return settings.password
    if settings.password_file:
        return read_secret("broker.password_file", Path(settings.password_file))
    if settings.token_command:
        return _run([word.reveal() for word in settings.token_command])
    if os.environ.get(PASSWORD_VARIABLE):
        return Secret(os.environ[PASSWORD_VARIABLE])
    credential = _credential()
    return read_secret(f"systemd credential {CREDENTIAL}", credential) if credential else Secret()


def _credential() -> Path | None:
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    path = Path(folder) / CREDENTIAL if folder else None
    return path if path is not None and path.exists() else None


def read_secret(key: str, path: Path) -> Secret:
    """The first line of `path`; raises ConfigError where it cannot be read or is empty."""
    expected = f"a file that user {os.geteuid()} may read, with the password in its first line"
    try:
        found = first_line(path)
    except OSError as error:
        raise ConfigError(f"{path}: {reason_of(error)}", key=key, expected=expected) from None
    if not found:
        raise ConfigError(f"{path}: its first line is empty", key=key, expected=expected)
    return found


def reason_of(error: OSError) -> str:
    """Why a file could not be read, with errno's name."""
    return f"{error.strerror} ({errno.errorcode.get(error.errno or 0, error.errno)})"


def _run(command: list[str]) -> Secret:
    """The first line that `command` prints. Neither its output nor its arguments are shown: they may be secrets."""
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=child_environment(),
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        reason = reason_of(error) if isinstance(error, OSError) else "is not a command"
        raise _unusable(command, f"cannot be started: {reason}") from None
    try:
        return _printed(process, command)
    finally:
        with suppress(OSError):  # children of it, too
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _printed(process: subprocess.Popen[bytes], command: list[str]) -> Secret:
    until = clock.monotonic() + COMMAND_SECONDS
    output = _read_until(process, until)
    if output is None:
        raise _unusable(command, f"did not end within {COMMAND_SECONDS:.0f} s")
    if len(output) > LONGEST_LINE:
        raise _unusable(command, f"printed more than {LONGEST_LINE} bytes")
    try:
        status = process.wait(max(until - clock.monotonic(), 0.1))
        line = output.decode().partition("\n")[0].removesuffix("\r")
    except subprocess.TimeoutExpired:
        raise _unusable(command, f"did not end within {COMMAND_SECONDS:.0f} s") from None
    except UnicodeDecodeError:
        raise _unusable(command, "printed what is not text") from None
    if status:
        raise _unusable(command, f"failed with exit status {status}")
    if not line:
        raise _unusable(command, "printed nothing")
    return Secret(line)


def _read_until(process: subprocess.Popen[bytes], until: float) -> bytes | None:
    """What it prints until it closes its output, a little more than is allowed at most; None: not in time."""
    import select

    assert process.stdout is not None
    with process.stdout as pipe:
        poll, data = select.poll(), b""
        poll.register(pipe, select.POLLIN)
        while len(data) <= LONGEST_LINE:
            if not poll.poll(max(until - clock.monotonic(), 0.0) * 1000):
                return None
            piece = os.read(pipe.fileno(), 4096)
            if not piece:
                break
            data += piece
        return data


def _unusable(command: list[str], why: str) -> ConfigError:
    return ConfigError(
        f"{command[0]} {why}",
        key="broker.token_command",
        expected="a command that prints the token in one line; run it by hand as the agent's user",
    )
