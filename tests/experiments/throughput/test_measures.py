"""Stages, ceilings, the bare network and growth, measured with a small network."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments.throughput import ceilings, contenders, growth, networks, stages, workload
from experiments.throughput.contenders import ContenderPrograms
from hcft_jax.core.config import TrackerConfig
from hcft_jax.core.sampling import geometry
from hcft_jax.core.target import Bucket
from hcft_jax.data.sequence import Sequence
from hcft_jax.weights import lookup

SMALL = TrackerConfig(layers=("conv2_2", "conv1_2"), gamma=(1.0, 0.5), input_size=32)


@pytest.fixture(scope="module")
def network() -> Any:
    return lookup.random().params


@pytest.fixture(scope="module")
def sequence(tmp_path_factory: pytest.TempPathFactory) -> Sequence:
    return workload.jpeg(tmp_path_factory.mktemp("drawn"), (64, 80), 9, target=20.0)


def ordered(spread: dict[str, float]) -> bool:
    return 0 < spread["least"] <= spread["median"] <= spread["most"]


def test_ceilings_are_rates() -> None:
    found = ceilings.measure(2, {"matmul": 64, "copy": 1000, "transfer": 1000})
    assert set(found["matmul"]) == {"float32", "bfloat16x3", "tf32", "bfloat16"}
    assert all(ordered(of["flops_per_second"]) for of in found["matmul"].values())
    assert ordered(found["copy"]["bytes_per_second"])
    assert ordered(found["transfer"]["bytes_per_second"])


def test_stages_count_the_work_of_all_lanes(network: Any, sequence: Sequence) -> None:
    _, _, w, h = sequence.boxes[0]
    own = geometry((h, w), (64, 80))
    bucket = Bucket(own.image, own.grid, own.window)
    one, two = (stages.measure(network, SMALL, sequence, bucket, n, 2) for n in (1, 2))
    assert set(one) == {"transfer", *stages.DEVICE}
    assert all(ordered(of["seconds"]) for of in one.values())
    for name in stages.DEVICE:
        assert two[name]["flops"] == pytest.approx(2 * one[name]["flops"], rel=1e-3)
        assert one[name]["bytes"] < two[name]["bytes"] <= 2 * one[name]["bytes"]
    # conv1_1, conv1_2, conv2_1, conv2_2 with zeros around, which are not multiplied
    products = 32**2 * 9 * (3 * 64 + 64 * 64) + 16**2 * 9 * (64 * 128 + 128 * 128)
    assert 0.85 * 2 * products < one["network"]["flops"] < 1.05 * 2 * products


def test_decoding_is_timed_on_files(sequence: Sequence) -> None:
    found = stages.decode(sequence, 2)
    assert ordered(found["frames_per_second"])
    assert ordered(found["frames_per_second_all_cores"])
    assert tuple(found["image"]) == (80, 64)
    assert np.mean(workload.sizes(sequence)) > 500  # bytes


def test_the_bare_network_is_set_against_xla_without_pytorch(network: Any) -> None:
    found = networks.measure(network, SMALL, [1, 2], 3)
    assert set(found["batches"]) == {"1", "2"}
    for of in found["batches"].values():
        assert set(of["ratios"]) == {"placed / direct"}
        assert ordered(of["seconds"]["placed"])


@pytest.mark.slow
def test_growth_has_a_point_a_value_and_a_plot_an_axis(network: Any, tmp_path: Path) -> None:
    axes = growth.Axes(lanes=(1, 2), lengths=(12,), images=((96, 128),), frames=4, clip=4)
    measure = growth.Growth(
        lambda config: ContenderPrograms(network, config),
        SMALL,
        axes,
        repeats=1,
        budget=60.0,
    )
    rows = list(measure.rows())
    assert [(row["axis"], row["value"]) for row in rows] == [
        *(("lanes", n) for n in (1, 2)),
        ("length", 12),
        ("image", 96 * 128 / 1e6),
        *(("layers", n) for n in (1, 2)),
    ]
    assert [row["frames"] for row in rows] == [4, 8, 12, 4, 4, 4]
    assert all(row["fps"] > 0 and row["executables_later"] == 0 for row in rows)
    written = growth.plot(rows, tmp_path)
    assert {path.name for path in written} == {f"{axis}.png" for axis in growth.TITLES}
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in written)


@pytest.mark.parametrize(
    ("budget", "memory", "note"),
    [(0.0, None, "it would take about"), (60.0, 1000, "lanes 1: left out, about")],
)
def test_points_that_take_too_much_are_noted(
    network: Any, monkeypatch: pytest.MonkeyPatch, budget: float, memory: int | None, note: str
) -> None:
    monkeypatch.setattr(contenders, "available_memory", lambda: memory)
    measure = growth.Growth(
        lambda config: ContenderPrograms(network, config),
        dataclasses.replace(SMALL, layers=("conv1_2",), gamma=(1.0,)),
        growth.Axes(lanes=(1,), lengths=(), images=(), frames=3),
        repeats=1,
        budget=budget,
    )
    assert list(measure.rows()) == []
    assert note in measure.notes[0]


def test_a_looped_clip_goes_to_and_fro(sequence: Sequence) -> None:
    long = growth.looped(sequence.part(0, 3), 9)
    shown = [0, 1, 2, 3, 2, 1, 0, 1, 2]
    np.testing.assert_array_equal(long.boxes, sequence.boxes[shown])
    np.testing.assert_array_equal(long.frames.read(4), sequence.frames.read(2))
    assert long.frames.label(5) == sequence.frames.label(1)
    assert len(long) == 9
