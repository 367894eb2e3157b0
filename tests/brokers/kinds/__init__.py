"""The brokers of the matrix: one file each. `KINDS` maps a name to `"module:Class"`.

A class has `name`, `lacks` (what this broker is known not to do, see below), `missing()` (why it cannot run here, "" where
it can), `version()`, and of each object `port`, `url`, `start()`, `stop()` and `kill()`; a broker that was stopped or
killed may be started again.

What may be lacking:

    mqtt 5              it speaks 3.1.1 only
    retained            it keeps no retained messages
    retained wildcard   a retained message comes only to who subscribes to its exact topic
    retained will       the will is published, and not retained: a newcomer finds the status of before
    retained kill       retained messages are lost when it is killed
    retained stop       ... and also when it is stopped in good order
    session kill        what it acknowledged and had not passed on is lost when it is killed
    session stop        ... and also when it is stopped in good order
    dots                a "." in a topic arrives as "/"
"""

from importlib import import_module

KINDS = {
    "mosquitto-debian12": "mosquitto:Mosquitto12",
    "mosquitto-debian13": "mosquitto:Mosquitto13",
    "rabbitmq-debian12": "rabbitmq:RabbitMq12",
    "rabbitmq-debian13": "rabbitmq:RabbitMq13",
    "aedes": "aedes:Aedes",
    "amqtt": "amqtt:Amqtt",
}


def load(name):
    """The class of a kind."""
    module, _, class_name = KINDS[name].partition(":")
    return getattr(import_module(f"tests.brokers.kinds.{module}"), class_name)
