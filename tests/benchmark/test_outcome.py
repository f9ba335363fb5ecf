"""How fast a run was, from its record."""

from pathlib import Path
from typing import Any

import pytest

from hcft_jax.benchmark.tasks import Speed
from hcft_jax.util.errors import InputError

PATH = Path("speed", "Deer.json")
WHOLE = {"frames": 21, "seconds": 1.5, "compile_seconds": 0.5}


def test_a_speed_is_that_of_its_record() -> None:
    assert Speed.recorded(WHOLE | {"identity": {}}, PATH) == Speed(21, 1.5, 0.5)


def test_a_run_without_a_record_has_no_speed() -> None:
    assert Speed.recorded({}, PATH).fps == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"frames": "21"},
        {"frames": -1},
        {"frames": 10**400},
        {"seconds": -1.0},
        {"seconds": None},
        {"seconds": float("nan")},
        {"compile_seconds": float("inf")},
        {"seconds": [1.0]},
        {"frames": True},
    ],
)
def test_a_damaged_record_is_named(changes: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"speed.Deer\.json: "):
        Speed.recorded(WHOLE | changes, PATH)
