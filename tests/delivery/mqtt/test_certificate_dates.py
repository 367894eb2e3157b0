"""When a certificate should be renewed, by its life."""

import pytest

from agent.config.delivery_settings import BrokerSettings
from agent.delivery.mqtt.certificate_dates import Validity, certificate_notice, validity_of
from tests.delivery.conftest import NOW

DAY = 86400.0


@pytest.mark.parametrize(
    ("life", "left", "soon"),
    [(365, 14.1, False), (365, 13.9, True), (90, 14.1, False), (6, 1.3, False), (6, 1.1, True),
     (1, 0.34, False), (1, 0.19, True), (3650, 15, False), (365, -1, True)],
)  # fmt: skip
def test_a_short_life_is_warned_of_later(life, left, soon):
    assert Validity(0.0, life * DAY).ends_soon((life - left) * DAY) is soon


@pytest.mark.parametrize(
    "decoded", [None, {}, {"notBefore": "Jan  1 00:00:00 2020 GMT"}, {"notBefore": "", "notAfter": "soon"}]
)
def test_what_gives_no_dates_is_no_warning(decoded):
    assert validity_of(decoded) is None
    assert certificate_notice(BrokerSettings(url="mqtt://broker"), NOW) == ""
