"""amqtt, a broker in pure Python (PyPI); everything in memory."""

import sys
from importlib.metadata import PackageNotFoundError, version

from tests.brokers.kinds.program import Program

SCRIPT = """
import asyncio, logging, sys
from amqtt.broker import Broker
logging.disable(logging.INFO)
settings = {
    "listeners": {"default": {"type": "tcp", "bind": "127.0.0.1:" + sys.argv[1]}},
    "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
}
async def main():
    await Broker(settings).start()
    await asyncio.Event().wait()
asyncio.run(main())
"""


class Amqtt(Program):
    name = "amqtt"
    lacks = frozenset(
        {"mqtt 5", "retained will", "retained kill", "retained stop", "session kill", "session stop"}
    )

    @staticmethod
    def missing():
        try:
            version("amqtt")
        except PackageNotFoundError:
            return "needs amqtt (pip install 'vedette[demo]')"
        return ""

    @staticmethod
    def version():
        return version("amqtt")

    @staticmethod
    def command(port):
        return sys.executable, "-c", SCRIPT, port
