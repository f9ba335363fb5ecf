"""Buckets: sizes that hold targets with the least padding."""

import itertools
from typing import Any

import hypothesis.strategies as st
import jax
import numpy as np
import pytest
from hypothesis import given

from hcft_jax.core.sampling import Geometry, Layout, geometry
from hcft_jax.core.target import (
    Bucket,
    buckets,
    common_bucket,
    fixed,
    place,
    placed_and_fixed,
    rung,
)

sides = st.integers(10, 120)
targets = st.lists(st.tuples(sides, sides), min_size=1, max_size=6)


def sized(shapes: list[tuple[int, int]]) -> list[Geometry]:
    return [geometry(shape, (240 + i, 320 - i)) for i, shape in enumerate(shapes)]


def cost(found: list[Bucket], geometries: list[Geometry], frames: list[int]) -> int:
    """Cells of all frames, each in the first bucket that holds its target."""
    taken = [next(b for b in found if b.holds(g)) for g in geometries]
    return sum(b.grid[0] * b.grid[1] * n for b, n in zip(taken, frames, strict=True))


@given(targets, st.integers(1, 4))
def test_every_target_has_a_bucket(shapes: list[tuple[int, int]], most: int) -> None:
    geometries = sized(shapes)
    found = buckets(geometries, [1] * len(geometries), most)
    assert 1 <= len(found) <= most
    assert all(any(b.holds(g) for b in found) for g in geometries)
    assert found == sorted(found, key=lambda b: b.grid[0] * b.grid[1])


@given(targets, st.lists(st.integers(1, 50), min_size=6, max_size=6))
def test_two_buckets_are_the_best_of_all_cuts(
    shapes: list[tuple[int, int]], frames: list[int]
) -> None:
    geometries, frames = sized(shapes), frames[: len(shapes)]
    order = sorted(range(len(shapes)), key=lambda i: geometries[i].grid[0] * geometries[i].grid[1])

    def padded(members: list[int]) -> int:
        height, width = (max(geometries[i].grid[axis] for i in members) for axis in (0, 1))
        return height * width * sum(frames[i] for i in members)

    cuts = [padded(order)]
    cuts += [padded(order[:n]) + padded(order[n:]) for n in range(1, len(order))]
    assert cost(buckets(geometries, frames, 2), geometries, frames) <= min(cuts)


def test_a_bucket_holds_all_windows_of_its_grid() -> None:
    for height, width in itertools.product(range(28, 32), range(40, 44)):
        assert Bucket((100, 100), (7, 10)).holds(Geometry((90, 100), (height, width), (7, 10)))
    assert not Bucket((100, 100), (7, 10)).holds(Geometry((90, 100), (32, 40), (8, 10)))


def test_the_ladder_has_two_rungs_for_each_doubling() -> None:
    rungs = [rung(cells) for cells in range(1, 1000)]
    assert sorted(set(rungs)) == [32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024]
    assert rungs == sorted(rungs)
    assert all(up >= cells for cells, up in enumerate(rungs, 1))
    assert all(up < 1.5 * cells for cells, up in enumerate(rungs, 1) if cells > 32)


@given(st.lists(st.tuples(st.integers(5, 400), st.integers(5, 400)), min_size=1, max_size=3))
def test_the_common_bucket_holds_all_targets_with_little_waste(
    shapes: list[tuple[int, int]],
) -> None:
    geometries = [geometry(shape, (700, 900)) for shape in shapes]
    bucket = common_bucket(geometries)
    assert all(bucket.holds(g) for g in geometries)
    assert bucket.image == (700, 900)
    # a single target of the bucket's sizes has that bucket: there are few
    assert bucket == Bucket(bucket.image, bucket.grid)
    assert {rung(side) for side in bucket.grid} == set(bucket.grid)
    assert max(bucket.grid) <= 2 * min(bucket.grid)
    own = [max(32, max(g.grid[axis] for g in geometries)) for axis in (0, 1)]
    if max(own) <= 2 * min(own):
        assert all(side < 1.5 * cells for side, cells in zip(bucket.grid, own, strict=True))


def test_common_buckets_are_few_and_grow_with_the_target() -> None:
    image = (2000, 2000)
    sides = range(5, 360, 5)  # up to 252 cells
    found = {
        (h, w): common_bucket([geometry((h, w), image)]).grid
        for h, w in itertools.product(sides, sides)
        if h <= 2 * w  # taller targets have another search window
    }
    for (h, w), (height, width) in found.items():
        more = found.get((h, w + 5), (height, width))
        assert more[0] >= height
        assert more[1] >= width
    # 7 rungs from 32 to 256 with at most five shapes for each
    assert len(set(found.values())) <= 1 + 3 + 5 * 5


@pytest.mark.parametrize("size", [20, 44, 150])
def test_the_common_bucket_of_a_set_grid_holds_its_window(size: int) -> None:
    geometries = [geometry((size, 2 * size), (600, 600), Layout(grid=50))]
    bucket = common_bucket(geometries)
    assert bucket.holds(geometries[0])
    assert bucket.grid == (64, 64)


@pytest.mark.parametrize("target", [(20, 20), (31, 77), (90, 30)])
def test_a_set_grid_covers_the_same_window(target: tuple[int, int]) -> None:
    own, fixed = geometry(target, (240, 320)), geometry(target, (240, 320), Layout(grid=24))
    assert fixed.window == own.window
    assert fixed.grid == (24, 24)
    assert [n * c for n, c in zip(fixed.grid, fixed.cell, strict=True)] == pytest.approx(own.window)


PATCH, MAPS = (32, 32), [(32, 32), (16, 16), (2, 2)]
BUCKET = Bucket((120, 160), (40, 44))


def on_host(box: tuple[float, ...], image: tuple[int, int]) -> Any:
    placed, position = place(box, image)
    _, _, w, h = box
    return fixed(placed, (h, w), PATCH, MAPS, bucket=BUCKET), position


@pytest.mark.parametrize(
    ("box", "image"),
    [
        ((20.0, 30.0, 24.0, 31.0), (120, 160)),
        ((20.5, 30.25, 23.5, 31.75), (120, 160)),
        ((1.0, 2.0, 15.0, 33.0), (120, 160)),  # more than twice as tall as wide
        ((-4.0, 30.0, 60.0, 50.0), (110, 150)),  # large in its image
        ((20.0, 30.0, 9.0, 11.0), (97, 131)),
        ((3.0, 3.0, 12.0, 24.0), (64, 48)),
    ],
)
def test_operators_of_traced_sizes_are_those_made_on_the_host(
    box: tuple[float, ...], image: tuple[int, int]
) -> None:
    @jax.jit
    def begin(box: jax.Array, size: jax.Array) -> Any:
        return placed_and_fixed(box, size, PATCH, MAPS, BUCKET)

    with jax.enable_x64(True):
        seen = begin(np.array(box, np.float32), np.array(image, np.int32))
    expected = on_host(box, image)
    paths = jax.tree_util.tree_flatten_with_path(expected)[0]
    for (path, wanted), got in zip(paths, jax.tree.leaves(seen), strict=True):
        name = jax.tree_util.keystr(path)
        assert (got.shape, got.dtype) == (wanted.shape, wanted.dtype), name
        scale = max(1.0, np.abs(np.asarray(wanted)).max()) if "distance" not in name else 1.0
        np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-6 * scale, err_msg=name)
