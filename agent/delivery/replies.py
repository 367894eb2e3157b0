"""Replies to commands: where they may go, and what is sent in place of one that cannot be."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from agent.core.errors import PermanentDelivery, VedetteError
from agent.core.printable import printable
from agent.core.types import Draft, Message
from agent.delivery.messages import Stamp, encode, is_topic, reply_draft
from agent.delivery.mqtt.events import Received

LONGEST_TOPIC = 512
LARGEST_CORRELATION = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer; `topic` None means the draft's own."""

    draft: Draft
    topic: str | None
    correlation: bytes | None


class CommandRefused(VedetteError):
    """The command will not be carried out; the text is the answer. `id` is "" where it gave none."""

    def __init__(self, reason: str, *, command_id: str = "") -> None:
        super().__init__(reason)
        self.id = command_id


def check_return(received: Received, prefixes: Iterable[str], command_id: str) -> None:
    """Raise CommandRefused where a command asks for its answer in a place that is not for answers.

    The sender chooses that place: below the device's own `reply/`, or one of the configured `prefixes`. Anywhere
    else it could have the device, with the device's rights, write over what others publish.
    """
    if len(received.correlation or b"") > LARGEST_CORRELATION:
        raise CommandRefused(f"correlation data of over {LARGEST_CORRELATION} bytes", command_id=command_id)
    topic = received.response_topic
    if not topic:
        return
    own = f"{received.topic.rpartition('/command/')[0]}/reply"
    allowed = [f"{prefix.strip('/')}/" for prefix in (own, *prefixes)]
    rest = next((topic[len(prefix) :] for prefix in allowed if topic.startswith(prefix)), "")
    if len(topic) > LONGEST_TOPIC or not is_topic(rest):
        raise CommandRefused(
            f"the response topic {printable(topic, 80)!r} is not below {' or '.join(allowed)}",
            command_id=command_id,
        )


def reply_message(reply: Reply, stamp: Stamp) -> Message:
    """The message that carries `reply`; one that is too large or no JSON becomes a short one that says so."""
    try:
        return encode(reply.draft, stamp)
    except PermanentDelivery as error:
        kept = {key: reply.draft.body[key] for key in ("command", "id") if key in reply.draft.body}
        text = (
            f"the answer cannot be sent ({printable(error, 200)}); ask for less: one camera, a lower `limit`"
        )
        return encode(reply_draft(str(kept["id"]), {**kept, "ok": False, "error": text}), stamp)
