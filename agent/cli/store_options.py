"""Options for a history in PostgreSQL, shared by the commands that write and read one."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent.dashboard.web.postgres.address import Database

VARIABLE = "VEDETTE_STORE"
STORE_EPILOG = """\
the database: postgresql://HOST/DATABASE?user=USER, and what else libpq knows (&sslmode=verify-full).
Keep its password off the command line: in PGPASSFILE (~/.pgpass), in PGPASSWORD, or the whole address in VEDETTE_STORE.
"""


def add_store_argument(parser: argparse._ActionsContainer) -> None:
    """Declare `--store`."""
    parser.add_argument(
        "--store", metavar="URL", help=f"the history's PostgreSQL database (default: {VARIABLE})"
    )


def database_of(args: argparse.Namespace) -> Database | None:
    """The database that the arguments or the environment name, None without; raises ConfigError, MissingExtra."""
    url = args.store or os.environ.get(VARIABLE)
    if not url:
        return None
    try:
        from agent.dashboard.web.postgres import reader, writer  # noqa: F401  (whether the libraries are there)
        from agent.dashboard.web.postgres.address import parse_database
    except ModuleNotFoundError as error:
        from agent.core.errors import MissingExtra
        from agent.core.installation import how_to_add

        raise MissingExtra(
            f"a history in PostgreSQL needs the library {error.name!r}: {how_to_add('dashboard-postgres')}"
        ) from None
    return parse_database(url, "--store" if args.store else VARIABLE)
