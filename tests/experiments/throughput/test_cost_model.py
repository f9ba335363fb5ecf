"""The cost model, against what was measured on an H200 in November 2026."""

import pytest

from experiments.throughput import cost_model
from hcft_jax.core.config import TrackerConfig
from hcft_jax.weights import lookup
from tests.small import NAME, SMALL

GRID, WINDOW = (86, 86), (347, 347)


@pytest.mark.parametrize(
    ("precision", "measured"), [("float32", 750e-6), ("tf32", 122e-6), ("bfloat16", 73.7e-6)]
)
def test_the_network_takes_little_more_than_its_products(precision: str, measured: float) -> None:
    config = TrackerConfig(precision=precision)
    costs = cost_model.stages(lookup.random().params, config, GRID, WINDOW)
    (network,) = (stage for stage in costs if stage.name == "network")
    least, limit = network.least(cost_model.H200[precision])
    assert limit == "products"
    assert 0.97 * least < measured < 1.4 * least


def test_the_filters_cost_less_than_the_network() -> None:
    config = TrackerConfig(precision="bfloat16")
    costs = cost_model.stages(lookup.random().params, config, GRID, WINDOW)
    ceilings = cost_model.H200["bfloat16"]
    least = {stage.name: stage.least(ceilings)[0] for stage in costs}
    network = least.pop("network")
    assert 0.1 * network < sum(least.values()) < 0.7 * network
    together = cost_model.frame_seconds(costs, ceilings)
    assert together == pytest.approx((1 + cost_model.MOVED) * (network + sum(least.values())))


def test_a_table_has_a_row_per_stage() -> None:
    costs = cost_model.stages(lookup.random(NAME).params, SMALL, (40, 40), (163, 163))
    ceilings = cost_model.H200["float32"]
    rows = cost_model.rows(costs, ceilings, {"network": 1e-3})
    assert [row[0] for row in rows] == ["crop", "network", "spectrum", "filters", "update"]
    assert rows[1][-1] == "1e+03"
    assert rows[0][-1] == "-"
    assert {row[4] for row in rows} <= {"products", "bytes"}
