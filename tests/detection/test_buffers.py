"""Batch memory: one user at a time, and the same memory again for the next."""

import pytest

from agent.detection.buffers import KEPT, SpareBuffers
from agent.detection.preprocess import InputType

KIND, SIZE = InputType.UINT8_BGR, (32, 64)


def test_memory_is_used_again_and_never_by_two_at_once():
    spare = SpareBuffers()
    with spare.lend(KIND, SIZE, 2) as first, spare.lend(KIND, SIZE, 2) as second:
        assert first is not second
        assert first.array.shape == (2, 32, 64, 3)
    with spare.lend(KIND, SIZE, 1) as third, spare.lend(KIND, SIZE, 2) as fourth:
        assert {id(third), id(fourth)} == {id(first), id(second)}


def test_it_grows_and_the_smaller_one_is_let_go_of():
    spare = SpareBuffers()
    with spare.lend(KIND, SIZE, 1) as small:
        pass
    with spare.lend(KIND, SIZE, 4) as large:
        assert len(large.array) == 4
    with spare.lend(KIND, SIZE, 1) as again, spare.lend(KIND, SIZE, 1) as other:
        assert again is large
        assert other is not small


def test_other_sizes_have_their_own_and_only_so_many_are_kept():
    spare, used = SpareBuffers(), []
    for width in range(32, 32 * (KEPT + 4), 32):
        with spare.lend(KIND, (32, width), 1) as buffer:
            used.append(buffer)
    with spare.lend(KIND, (32, 32), 1) as oldest:
        assert oldest is not used[0]
    with spare.lend(KIND, used[-1].size, 1) as newest:
        assert newest is used[-1]


def test_it_comes_back_after_a_failure_too():
    spare = SpareBuffers()
    with pytest.raises(KeyError), spare.lend(KIND, SIZE, 1) as first:
        raise KeyError
    with spare.lend(KIND, SIZE, 1) as second:
        assert second is first
