"""Operators of traced sizes against those that the tracker makes on the host."""

from typing import Any

import jax
import numpy as np
import pytest

from hcft_jax.core import target, traced
from hcft_jax.core.target import Bucket

PATCH, MAPS = (32, 32), [(32, 32), (16, 16), (2, 2)]
BUCKET = Bucket((120, 160), (40, 44))


def on_host(box: tuple[float, ...], image: tuple[int, int]) -> Any:
    geometry, position = target.place(box, image)
    _, _, w, h = box
    return target.fixed(geometry, (h, w), PATCH, MAPS, bucket=BUCKET), position


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
def test_they_are_equal(box: tuple[float, ...], image: tuple[int, int]) -> None:
    @jax.jit
    def begin(box: jax.Array, size: jax.Array) -> Any:
        return traced.begin(box, size, PATCH, MAPS, BUCKET)

    with jax.enable_x64(True):
        seen = begin(np.array(box, np.float32), np.array(image, np.int32))
    expected = on_host(box, image)
    paths = jax.tree_util.tree_flatten_with_path(expected)[0]
    for (path, wanted), got in zip(paths, jax.tree.leaves(seen), strict=True):
        name = jax.tree_util.keystr(path)
        assert (got.shape, got.dtype) == (wanted.shape, wanted.dtype), name
        scale = max(1.0, np.abs(np.asarray(wanted)).max()) if "distance" not in name else 1.0
        np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-6 * scale, err_msg=name)
