"""`vedette retire`: on the box that is taken out of service: clears all that it retains at its brokers."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from agent.cli.broker_options import LOGIN_EPILOG, add_login_arguments
from agent.cli.local import add_state_arguments

if TYPE_CHECKING:
    from pathlib import Path

    from agent.config.delivery_settings import BrokerSettings
    from agent.delivery.outbox.retained import RetainedRecords, RetainedTopic

_EPILOG = f"""\
examples:
  sudo systemctl disable --now vedette
  sudo vedette retire                                       clear what the service retains at its brokers
  sudo vedette retire --broker mqtt://former:1883 --yes     clear what it still retains at an old broker

The agent records on disk each topic that it publishes retained: its status, info and alerts, and its entities in Home
Assistant. The command clears exactly these. The agent must be stopped, because it would publish them again.

{LOGIN_EPILOG}"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.formatter_class, parser.epilog = argparse.RawDescriptionHelpFormatter, _EPILOG
    add_state_arguments(parser)
    parser.add_argument("--broker", metavar="URL", help="an old broker, instead of those of the config")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    add_login_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Clear what is recorded; 0 only where nothing is left at any broker."""
    from agent.cli.devices import confirmed, print_topics
    from agent.cli.local import agent_runs, state_directory
    from agent.core.counts import count
    from agent.core.errors import VedetteError

    if agent_runs(args):
        raise VedetteError(
            "the agent runs and would publish these messages again: stop it first (systemctl stop vedette)"
        )
    state = state_directory(args)
    brokers = _brokers(args)
    records = _topics(state)
    if not records:
        print(
            f"nothing is recorded as retained in {state}; an agent before this version recorded nothing: "
            "use `vedette devices remove` then"
        )
        return 0
    failed = False
    for server in sorted({one.broker for one in records}):
        topics = [one.topic for one in records if one.broker == server]
        print(f"{server}: {count(len(topics), 'message')} retained")
        if server not in brokers:
            failed = True
            print(f"  not in the config: `vedette retire --broker {server}` with its login clears them")
            continue
        print_topics(topics)
        if not args.yes and not confirmed(f"clear {count(len(topics), 'message')}?"):
            failed = True
            continue
        failed |= bool(_clear(brokers[server], topics, state))
    return int(failed)


def _brokers(args: argparse.Namespace) -> dict[str, BrokerSettings]:
    """The brokers that may be connected to, by `BrokerAddress.server`; each as settings with that one alone."""
    from dataclasses import replace

    from agent.cli.broker_options import naming_options, with_login, with_url
    from agent.cli.credentials import with_service_password
    from agent.cli.local import config_file, settings_of
    from agent.config.delivery_settings import BrokerSettings
    from agent.delivery.mqtt.address import broker_addresses

    if args.broker:
        with naming_options():
            former = with_login(with_url(BrokerSettings(), args.broker), args)
            return {broker_addresses(former)[0].server: former}
    settings, file = settings_of(args), config_file(args)
    if settings is None or file is None:
        return {}
    broker = with_service_password(with_login(settings.broker, args), file)
    urls = (broker.url, *broker.fallback_urls)
    alone = [replace(broker, url=url, fallback_urls=()) for url in urls]
    return {broker_addresses(one)[0].server: one for one in alone}


@contextmanager
def _records(state: Path) -> Iterator[RetainedRecords]:
    """What the agent recorded, opened as the owner of the state directory."""
    from agent.core.state_dir import as_owner
    from agent.delivery.outbox.retained import RetainedRecords
    from agent.delivery.outbox.store import MessageStore
    from agent.delivery.publisher import OUTBOX_FILE

    with as_owner(state):
        store = MessageStore(state / OUTBOX_FILE, size=1 << 40)
        store.open()
        try:
            yield RetainedRecords(store)
        finally:
            store.close()


def _topics(state: Path) -> list[RetainedTopic]:
    from agent.core.state_dir import as_owner
    from agent.delivery.publisher import OUTBOX_FILE

    with as_owner(state):
        if not (state / OUTBOX_FILE).exists():
            return []
    with _records(state) as records:
        return records.topics()


def _clear(broker: BrokerSettings, topics: list[str], state: Path) -> int:
    """Clear `topics` at one broker and remove their records; 1 where something is left."""
    from agent.cli.devices import print_result, progress
    from agent.core.errors import DeliveryError
    from agent.delivery.mqtt.address import broker_addresses
    from agent.delivery.mqtt.retained_client import RetainedClient

    address = broker_addresses(broker)[0]
    try:
        with RetainedClient(address, broker) as client, progress(len(topics)) as show:
            cleared = client.clear(topics, show)
            if not client.reports_refusals:
                print("  MQTT 3.1.1 does not report refusals: `vedette devices list` shows what is left")
    except DeliveryError as error:
        print(f"  NOT CLEARED: {error}")
        return 1
    with _records(state) as records:
        records.remove(address.server, cleared.topics)
    return print_result(cleared, set(cleared.refused))
