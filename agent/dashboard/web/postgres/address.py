"""The address of a database: read once, by libpq's own rules, and shown without its login."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from agent.core.errors import ConfigError
from agent.core.printable import printable
from agent.core.secret import Secret
from agent.dashboard.web.store import StoreError

EXPECTED = "postgresql://HOST/DATABASE?user=USER"
_SCHEMES = ("postgresql://", "postgres://")
_DEFAULTS: dict[str, Any] = {
    "application_name": "vedette",
    "connect_timeout": 10,
    "keepalives_idle": 30,  # s: a server that vanished is noticed, also where nothing is being sent
    "tcp_user_timeout": 30_000,  # ms
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """Where a database is: `shown` has host, port and name alone."""

    conninfo: Secret
    shown: str


def parse_database(url: str | Secret, key: str = "--store") -> Database:
    """The database that `url` names, with defaults for what it leaves open; raises ConfigError, which never shows it.

    The password may also be in `PGPASSFILE` (`~/.pgpass`) or `PGPASSWORD`, as libpq finds it.
    """
    from psycopg import Error, conninfo

    text = url.reveal() if isinstance(url, Secret) else url
    scheme = next((scheme for scheme in _SCHEMES if text.startswith(scheme)), None)
    if scheme is None:
        raise ConfigError(
            "is not an address of a PostgreSQL database", key=key, expected=EXPECTED, file=_FILE
        )
    if any(sign <= " " or sign == "\x7f" for sign in text):
        raise ConfigError("holds a space or a control character", key=key, expected=EXPECTED, file=_FILE)
    authority, _, rest = text.removeprefix(scheme).replace("?", "/", 1).partition("/")
    if "@" in rest or "@" in authority.rpartition("@")[0]:
        raise ConfigError(
            "can be read in two ways", key=key, file=_FILE,
            expected="a password whose @ / ? : # % stand as %40 %2F %3F %3A %23 %25, or a password in PGPASSFILE",
        )  # fmt: skip
    try:
        parts = conninfo.conninfo_to_dict(text)
        whole = conninfo.make_conninfo(text, **{k: v for k, v in _DEFAULTS.items() if k not in parts})
    except (Error, UnicodeError):  # whose text repeats the address
        raise ConfigError("cannot be read", key=key, expected=EXPECTED, file=_FILE) from None
    return Database(conninfo=Secret(whole), shown=_shown(parts))


_FILE = "command line"


def _shown(parts: Any) -> str:
    host, port = str(parts.get("host") or "localhost"), str(parts.get("port") or "")
    name = parts.get("dbname") or parts.get("user") or ""
    return printable(f"postgresql://{host}{f':{port}' if port else ''}/{name}", 200)


def store_error(database: Database, error: BaseException) -> StoreError:
    """What a page or a log may say of an error of the driver: its first line."""
    words = " ".join(str(error).split("\n")[0].split()) or type(error).__name__
    return StoreError(f"{database.shown}: {printable(words, 300)}")
