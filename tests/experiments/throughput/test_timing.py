import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from experiments.throughput import timing

BLOCK = """
import time
import numpy as np
from hcft_jax.experiments.throughput import timing

with timing.PeakMemory() as memory:
    block = np.ones(2**26, np.uint8)
    time.sleep(0.2)
    del block
print(memory.grown)
"""


def test_calls_are_made_in_turn_after_one_that_warms_up() -> None:
    made: list[str] = []

    def call(name: str) -> Callable[[], None]:
        return lambda: made.append(name)

    times = timing.in_turn({"a": call("a"), "b": call("b")}, 2)
    assert "".join(made) == "ababab"
    assert {name: len(of) for name, of in times.items()} == {"a": 2, "b": 2}


def test_no_repeat_begins_when_the_time_is_spent() -> None:
    times = timing.in_turn({"a": lambda: time.sleep(0.02)}, 50, budget=0.03)
    assert 1 <= len(times["a"]) < 5
    assert times["a"][0] >= 0.02


def test_ratios_are_of_the_same_repeat() -> None:
    assert timing.ratios([1.0, 8.0, 3.0], [1.0, 2.0, 1.0]) == {
        "median": 3.0,
        "least": 1.0,
        "most": 4.0,
    }


def test_memory_that_was_given_back_counts_as_peak() -> None:
    if timing.resident() is None:
        pytest.skip("no /proc: the system does not tell")
    # in a process of its own: here, what other tests have left may be given back meanwhile
    done = subprocess.run([sys.executable, "-c", BLOCK], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 2**25
