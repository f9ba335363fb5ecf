"""What is compiled once is not run again, until the executables are dropped."""

import jax
import numpy as np
import pytest

from hcft_jax.util import compilation


def test_programs_run_once_for_arguments_of_the_same_shapes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ran: list[None] = []

    def given(*like: object) -> int:
        compilation.once("test", lambda: ran.append(None), *like)
        return len(ran)

    assert given(np.zeros(3), {"a": 1.0}) == 1
    assert given(np.ones(3), {"a": 2.0}) == 1
    assert given(np.zeros(3, np.float32), {"a": 1.0}) == 2
    assert given(np.zeros(4), {"a": 1.0}) == 3
    assert given(np.zeros(4), {"b": 1.0}) == 4
    compilation.once("other", lambda: ran.append(None), np.zeros(4), {"b": 1.0})
    assert len(ran) == 5
    monkeypatch.setattr(jax, "clear_caches", lambda: None)
    compilation.clear_beyond(0)
    assert given(np.zeros(4), {"b": 1.0}) == 6


def test_programs_that_fail_run_again() -> None:
    def fail() -> None:
        raise ValueError("out of memory")

    for _ in range(2):
        with pytest.raises(ValueError, match="out of memory"):
            compilation.once("failing", fail, np.zeros(1))
