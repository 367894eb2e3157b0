"""Checks the broker for `vedette check`: login and the right to publish. A running agent is asked, never displaced."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.cli.credentials import folder_is_closed, with_service_password
from agent.cli.local import SYSTEM_CONFIG, agent_status
from agent.core import clock
from agent.core.errors import PermanentDelivery, RetryableDelivery, VedetteError
from agent.core.resolve import resolve
from agent.core.secret import Masked

if TYPE_CHECKING:
    from agent.config.delivery_settings import BrokerSettings
    from agent.config.schema import Settings
    from agent.delivery.identity import Identity
    from agent.delivery.mqtt.ping import PingResult

RUNTIME = Path("/run/vedette")
SHOWN_TOPICS = 4
LOOK_UP_SECONDS = 5.0


def check_broker(settings: Settings, config: Path) -> str:
    """Describe the connection to the broker; raises VedetteError where the agent could not deliver to it."""
    from agent.delivery.identity import identify
    from agent.delivery.mqtt.certificate_dates import certificate_notice
    from agent.delivery.mqtt.ping import ping

    broker, identity = settings.broker, identify(settings.device, settings.broker)
    prefix = identity.prefix
    status = status_beside(settings.state_directory, broker, config)
    if status is not None and _speaks_of(status.get("broker", {}).get("broker"), broker):
        return _described(status, prefix)
    results = ping(
        with_service_password(broker, config),
        f"{prefix}/check",
        families=_families(settings, identity),
        subscriptions=_subscriptions(settings, prefix),
    )
    found = "; ".join(_line(result, prefix) for result in results)
    if not any(result.ok for result in results):
        raise RetryableDelivery(found)
    if all(_refused(result) for result in results if result.ok):
        raise PermanentDelivery(found)
    ends = certificate_notice(broker, clock.unix_now())
    return f"{found}; the agent's client id is {identity.client_id}{ends and f'; {ends}'}"


def _families(settings: Settings, identity: Identity) -> list[str]:
    """A topic of each family that the agent publishes; where someone may listen, one that means nothing.

    Not status and info: readers would take the empty message for the device's removal.
    """
    from agent.delivery.home_assistant import node_of

    below = ("host", "gpu/check", "camera/check", "sketch/check", "alert/check", "reply/check",
             "replay/host", "replay/camera/check", "replay/sketch/check")  # fmt: skip
    topics = [f"{identity.prefix}/{one}" for one in below]
    if settings.broker.home_assistant:
        root = settings.broker.home_assistant_prefix.strip("/")
        topics.append(f"{root}/sensor/{node_of(identity.device)}/check/config")
    return topics


def _subscriptions(settings: Settings, prefix: str) -> list[str]:
    commands = [f"{prefix}/command/+"] * settings.commands.enabled
    birth = [f"{settings.broker.home_assistant_prefix.strip('/')}/status"] * settings.broker.home_assistant
    return commands + birth


def status_beside(state: str, broker: BrokerSettings, config: Path) -> Mapping[str, Any] | None:
    """The status of the agent of `config`, None where none runs.

    Raises VedetteError where one may run that cannot be asked, and a connection with its certificate could end its.
    """
    from agent.core.state_dir import directory

    try:
        status = agent_status(directory(state))
        if status is None and config.resolve() == SYSTEM_CONFIG.resolve() and folder_is_closed(RUNTIME):
            raise VedetteError(f"{RUNTIME} cannot be opened; use sudo or join its group")
    except VedetteError as error:
        if broker.cert_file:
            raise VedetteError(
                f"not tried: {error}. An agent may be running, and a broker that knows clients by their "
                "certificate would take this connection for its and end that"
            ) from None
        return None
    return status


def _speaks_of(shown: object, broker: BrokerSettings) -> bool:
    """Whether the agent's broker, as it is `shown`, is one of `broker`: with a certificate, by whatever name."""
    from agent.core.errors import ConfigError
    from agent.delivery.mqtt.address import parse_broker_url

    ours = [parse_broker_url(url) for url in (broker.url, *broker.fallback_urls)]
    if shown in {address.shown for address in ours}:
        return True
    try:
        theirs = parse_broker_url(Masked(str(shown))).host if broker.cert_file else ""
    except ConfigError:
        return False
    return bool(_machines(theirs) & set().union(*(_machines(address.host) for address in ours)))


def _machines(host: str) -> set[str]:
    """The IP addresses of `host`."""
    try:
        return {str(place[0]) for _, place in resolve(host, 0, LOOK_UP_SECONDS)} if host else set()
    except OSError:
        return {host}


def _described(status: Mapping[str, Any], prefix: str) -> str:
    """How the running agent is connected; raises RetryableDelivery where it is not, PermanentDelivery if refused."""
    from agent.core.printable import printable

    broker, outbox = status["broker"], status.get("outbox", {})
    where = f"{broker['broker']}: the running agent is"
    if broker.get("state") != "connected":
        raise RetryableDelivery(f"{where} not connected: {printable(broker.get('reason', ''))}")
    if outbox.get("refused"):
        raise PermanentDelivery(f"{where} connected, but {_mend(printable(outbox['refused']), prefix)}")
    found = (
        f"{where} connected with MQTT {printable(broker.get('version'))}, and nothing it publishes is refused"
    )
    ends = printable(broker.get("certificate", ""))  # missing from an older agent
    return f"{found}; {ends}" if ends else found


def _line(result: PingResult, prefix: str) -> str:
    from agent.core.printable import printable
    from agent.delivery.mqtt.ping import PublishRight

    if not result.ok:
        return result.reason
    let_in = f"{result.broker}: MQTT {result.version}, {1000 * result.seconds:.0f} ms"
    if result.right is PublishRight.REFUSED:
        shown = [f"{topic}: {printable(reason)}" for topic, reason in result.refused.items()]
        more = f"; and {len(shown) - SHOWN_TOPICS} more" if len(shown) > SHOWN_TOPICS else ""
        return f"{let_in}, but {_mend('; '.join(shown[:SHOWN_TOPICS]) + more, prefix)}"
    if result.right is PublishRight.GRANTED:
        right = f", may publish below {prefix}"
    else:
        right = f"; whether it may publish below {prefix}, this broker does not report"
    return "; ".join(filter(None, (f"{let_in}{right}", result.lost, result.certificate)))


def _refused(result: PingResult) -> bool:
    from agent.delivery.mqtt.ping import PublishRight

    return result.right is PublishRight.REFUSED


def _mend(refusal: str, prefix: str) -> str:
    return (
        f"the broker refuses {refusal}; its access rules (ACL) must let this user write {prefix}/#"
        " and read what it subscribes to"
    )
