"""`vedette dashboard`: show the fleet of a broker in the browser, with its history."""

from __future__ import annotations

import argparse
import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from agent.cli.broker_options import LOGIN_EPILOG, add_broker_arguments, broker_settings
from agent.cli.store_options import STORE_EPILOG, add_store_argument, database_of
from agent.core.errors import ConfigError, VedetteError
from agent.core.printable import printable

if TYPE_CHECKING:
    from agent.dashboard.web.guard import Access

_EPILOG = f"""\
examples:
  vedette dashboard --broker mqtt://127.0.0.1 --data ~/vedette-dashboard
  vedette dashboard --users users.txt --add-user ada --role operator
  vedette dashboard --config reader.toml --data /var/lib/vedette-dashboard --listen 0.0.0.0:8080 --users users.txt

By default only this machine can open the dashboard. With another --listen address it starts only with a login. An
operator may acknowledge, snooze and mute alerts, if the agents allow these commands, and remove ghosts; a viewer may
only look.

With --store the history is in PostgreSQL, for any number of dashboards. Each writes its share of the messages, as
`vedette collect` does, unless it is started with --read-only.

{STORE_EPILOG}
{LOGIN_EPILOG}"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.formatter_class, parser.epilog = argparse.RawDescriptionHelpFormatter, _EPILOG
    add_broker_arguments(parser)
    parser.add_argument(
        "--listen", default="127.0.0.1:8080", metavar="HOST:PORT", help="default: %(default)s"
    )
    history = parser.add_mutually_exclusive_group()
    history.add_argument(
        "--data",
        metavar="DIR",
        type=Path,
        help="keep the history in DIR (default: in memory, until the dashboard ends)",
    )
    add_store_argument(history)
    parser.add_argument("--read-only", action="store_true", help="only read the --store: collectors write it")
    parser.add_argument("--users", metavar="FILE", type=Path, help="who may log in")
    parser.add_argument(
        "--add-user", metavar="NAME", help="add a user to --users, or set the password, and end"
    )
    parser.add_argument("--role", choices=("viewer", "operator"), default="viewer", help="of --add-user")
    parser.add_argument(
        "--tls-cert", metavar="FILE", default="", help="serve HTTPS with this certificate (PEM)"
    )
    parser.add_argument("--tls-key", metavar="FILE", default="", help="and its key")
    proxy = parser.add_argument_group("behind a proxy that logs people in")
    proxy.add_argument(
        "--trust-proxy",
        metavar="ADDRESS",
        action="append",
        default=[],
        help="address or network whose header names the user",
    )
    proxy.add_argument(
        "--proxy-header", metavar="NAME", default="X-Forwarded-User", help="default: %(default)s"
    )
    proxy.add_argument(
        "--proxy-role", choices=("viewer", "operator"), default="viewer", help="of these users"
    )


def run(args: argparse.Namespace) -> int:
    """Serve until interrupted."""
    if args.add_user:
        return _add_user(args)
    try:
        from agent.dashboard.web.server import Dashboard, Options
    except ModuleNotFoundError as error:
        from agent.core.errors import MissingExtra
        from agent.core.installation import how_to_add

        raise MissingExtra(
            f"the dashboard needs the library {error.name!r}: {how_to_add('dashboard')}"
        ) from None
    broker = broker_settings(args)
    database = None if args.data else database_of(args)
    if args.read_only and database is None:
        raise ConfigError(
            "there is nothing to read", file="command line", key="--read-only", expected="--store"
        )
    options = Options(
        listen=args.listen, data=args.data, database=database, read_only=args.read_only, access=_access(args),
        tls_cert=args.tls_cert, tls_key=args.tls_key, note=lambda text: print(printable(text), flush=True),
    )  # fmt: skip
    with Dashboard(broker, options) as dashboard:
        where = args.data or (database and database.shown)
        kept = (
            f"history in {where}"
            if where
            else "the history is lost when the dashboard ends: --data DIR keeps it"
        )
        print(f"dashboard at {dashboard.url}  ({kept})", flush=True)
        print(_who(args), flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            dashboard.serve()
    return 0


def _who(args: argparse.Namespace) -> str:
    """Who may open it, as a line."""
    from agent.dashboard.web.guard import is_loopback
    from agent.dashboard.web.server import parse_listen

    local = is_loopback(parse_listen(args.listen)[0])
    ways = [f"the users of {args.users}"] if args.users else []
    ways += (
        [f"users that a proxy at {', '.join(args.trust_proxy)} names in {args.proxy_header}"]
        if args.trust_proxy
        else []
    )
    plain = "" if local or args.tls_cert else (
        "; without TLS, passwords can be read on the network: use --tls-cert FILE, or a proxy with TLS "
        "in front"
    )  # fmt: skip
    return f"for {' and '.join(ways)}{plain}" if ways else "for every user of this machine, without a login"


def _access(args: argparse.Namespace) -> Access:
    from agent.dashboard.web.access import Sessions, read_users
    from agent.dashboard.web.guard import Access, parse_networks

    return Access(
        sessions=Sessions(read_users(args.users)) if args.users else None,
        proxies=parse_networks(args.trust_proxy),
        proxy_header=args.proxy_header,
        proxy_role=args.proxy_role,
    )


def _add_user(args: argparse.Namespace) -> int:
    from agent.dashboard.web.access import write_user

    if args.users is None:
        raise ConfigError(
            "--add-user needs a file", file="command line", key="--users", expected="--users FILE"
        )
    write_user(args.users, args.add_user, args.role, _password(args.add_user))
    print(
        f"{args.add_user} ({args.role}) is in {args.users}; a running dashboard reads it when it starts again"
    )
    return 0


def _password(name: str) -> str:
    """What a person types twice, or the first line of standard input; raises VedetteError where there is none."""
    import getpass

    try:
        if not sys.stdin.isatty():
            return sys.stdin.readline().rstrip("\n")
        password = getpass.getpass(f"password of {name}: ")
        again = getpass.getpass("again: ")
    except EOFError:  # Ctrl-D
        raise VedetteError("no password was given") from None
    except UnicodeDecodeError:
        raise ConfigError("the password on standard input is not UTF-8 text") from None
    if again != password:
        raise ConfigError("the two passwords differ")
    return password
