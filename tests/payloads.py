"""Payloads against the schemas that ship, judged by a validator of other people's."""

import functools

import jsonschema

from agent.delivery.verify.schemas import schema


@functools.cache
def _validator(family):
    checked = jsonschema.Draft202012Validator
    checked.check_schema(schema(family))
    return checked(schema(family))


def check_payload(family, body):
    """ValidationError where `body` is no payload of `family`."""
    _validator(family).validate(body)


def check_messages(messages):
    """The same for all that was heard at a broker; what clears a retained message has no payload."""
    for message in messages:
        if message.payload:
            check_payload(message.topic.split("/")[3], message.body)
