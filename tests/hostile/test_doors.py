"""Every door refuses hostile inputs in one line, or gives what is in them (make test-hostile)."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hostile import runner
from tests.hostile.doors import DOORS

CASES = 300
SEED = 1_000_000  # others than those of the long run


@pytest.fixture(scope="module")
def worker() -> Iterator[runner.Worker]:
    with runner.Worker() as running:
        yield running


@pytest.mark.parametrize("name", DOORS)
def test_no_hostile_input_goes_wrong(name: str, worker: runner.Worker, tmp_path: Path) -> None:
    if name == "TraX":
        pytest.importorskip(
            "trax", reason="the protocol is not installed: make test-hostile has it"
        )
    count = runner.shared_out(list(DOORS.values()), CASES)[name]
    planned = DOORS[name].planned(count, SEED)
    outcomes = [outcome for _, outcome in runner.run(planned, worker, tmp_path)]
    wrong = [outcome for outcome in outcomes if isinstance(outcome, runner.Wrong)]
    assert not wrong, "\n".join(map(str, wrong))
    assert len(outcomes) == count
