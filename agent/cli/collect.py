"""`vedette collect`: one of several collectors that write what a fleet publishes into PostgreSQL."""

from __future__ import annotations

import argparse
import signal
import threading
from contextlib import suppress

from agent.cli.broker_options import LOGIN_EPILOG, add_broker_arguments, broker_settings
from agent.cli.store_options import STORE_EPILOG, VARIABLE, add_store_argument, database_of

_EPILOG = f"""\
examples:
  vedette collect --broker mqtts://broker --username reader --password-file reader.pw --store 'postgresql://db/fleet?user=vedette'
  vedette collect --store 'postgresql://db/fleet?user=vedette' --name second
  vedette dashboard --store 'postgresql://db/fleet?user=vedette' --read-only

Start as many collectors as the fleet needs, on one machine or several, each with its own name: they share the messages
(MQTT 5 shared subscriptions). A message is acknowledged only after it is written, so a crash loses nothing: the broker
keeps the unwritten messages for the collector's next start, or for the others, which take them over after a minute.

{STORE_EPILOG}
{LOGIN_EPILOG}"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.formatter_class, parser.epilog = argparse.RawDescriptionHelpFormatter, _EPILOG
    add_broker_arguments(parser)
    add_store_argument(parser)
    parser.add_argument("--name", default="", help="name of this collector (default: the machine's name)")
    parser.add_argument(
        "--group", default="vedette", help="group that shares the messages, one a database (default: %(default)s)"
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Collect until interrupted or terminated."""
    from agent.core.errors import ConfigError

    database = database_of(args)
    if database is None:
        raise ConfigError(
            "a collector needs a database", file="command line", key="--store",
            expected=f"postgresql://HOST/DATABASE?user=USER, here or in {VARIABLE}",
        )  # fmt: skip
    from agent.core.printable import printable
    from agent.dashboard.web.collect import CollectOptions, SharedCollector
    from agent.dashboard.web.store import StoreError

    named = {"name": args.name} if args.name else {}
    options = CollectOptions(group=args.group, **named)
    broker = broker_settings(args)
    collector = SharedCollector(broker, database, options, lambda text: print(printable(text), flush=True))
    with suppress(StoreError):  # it may not be up yet; tables of another version end this here
        collector.store.open()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    print(f"collector {options.name}: into {database.shown}", flush=True)
    collector.run(stop)
    return 0
