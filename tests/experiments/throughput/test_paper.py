from dataclasses import replace
from typing import Any

import pytest

from experiments.throughput.paper import Assumptions, MeasuredCosts, work_out

MEASURED = MeasuredCosts(
    fps=5000.0, stages=1e-4, decode=2e-3, jpeg=80_000.0, transfer=2e10, cores=16
)


def test_a_million_minutes() -> None:
    found = work_out(Assumptions(), MEASURED)
    assert found["frames"] == 1.8e9
    assert found["device_hours"] == pytest.approx(100.0)  # 360,000 s
    assert found["device_hours_of_stages"] == pytest.approx(76.0)  # 1.52 passes of 0.1 ms
    assert found["decoding_core_hours"] == pytest.approx(1000.0)
    assert found["cores_a_device"] == pytest.approx(2e-3 / 1.52e-4)
    assert found["bytes_read"] == pytest.approx(144e12)
    assert found["bytes_moved"] == pytest.approx(1.8e9 * 921_600)


@pytest.mark.parametrize(
    ("change", "first"),
    [
        ({}, "device"),  # 0.152 ms
        ({"cores": 8}, "decoding"),  # 0.25 ms
        ({"transfer": 1e9}, "transfer"),  # 0.92 ms
        ({"jpeg": 1e6}, "reading"),  # 1 ms
    ],
)
def test_what_takes_longest_for_a_frame_is_saturated_first(
    change: dict[str, Any], first: str
) -> None:
    measured = replace(MEASURED, **change)
    assert work_out(Assumptions(), measured)["saturated_first"] == first


def test_frames_that_stay_cost_one_pass() -> None:
    found = work_out(Assumptions(moved=0.0), MEASURED)
    assert found["seconds_a_frame"]["device"] == pytest.approx(1e-4)
