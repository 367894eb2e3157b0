"""What is asked less of a broker: what it names, and by guess never the acknowledgement that delivery rests on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.delivery.mqtt.failures import ConnectionFailure
from agent.delivery.mqtt.fallback import ALL, Demands, after_silence, ask_less

demands = st.builds(Demands, retain=st.booleans(), qos=st.sampled_from([0, 1]), will=st.booleans())


@given(demands)
def test_a_guess_changes_no_quality_of_service_and_comes_round_to_the_whole(first):
    """A proxy that hung up during logins had an agent send at QoS 0: 36 of 2,176 accepted messages were lost."""
    steps = [first]
    for _ in range(4):
        steps.append(after_silence(steps[-1]))
        assert steps[-1].qos == first.qos
    assert Demands(qos=first.qos) in steps[1:]
    assert any(not step.will for step in steps)


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (ConnectionFailure.NO_RETAIN, Demands(retain=False)),
        (ConnectionFailure.NO_QOS, Demands(qos=0)),
        (ConnectionFailure.LOST, None),
        (ConnectionFailure.LOGIN, None),
    ],
)
def test_what_the_broker_names_is_no_longer_asked(failure, expected):
    assert ask_less(ALL, failure) == expected
