"""A running agent, a publisher and certificates, for the commands that need one."""

from tests.app.test_agent import run_agent  # noqa: F401  (a fixture)
from tests.delivery.conftest import publish  # noqa: F401  (a fixture)
from tests.delivery.mqtt.test_connection import certificates  # noqa: F401  (a fixture)
