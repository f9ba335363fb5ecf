"""What the programs that write to the store leave in it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from hcft_jax.data.sequence import Frame
from hcft_jax.run.store import AT_ONCE, BLOCK, blocks_of, write, writing

SLOTS = 40
SIZES = ((60, 200), (7, 9), (50, 31))  # the first has two blocks


def drawn(seed: int, size: tuple[int, int]) -> Frame:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)


@pytest.mark.parametrize("devices", [1, 2])
@pytest.mark.parametrize("count", [1, AT_ONCE, 2 * AT_ONCE + 3])
def test_images_of_all_sizes_get_into_their_slots(devices: int, count: int) -> None:
    assert blocks_of(SIZES[0]) == 2
    mesh = Mesh(np.array(jax.devices()[:devices]), ("lanes",))
    split = NamedSharding(mesh, P("lanes"))
    store = jnp.full((devices * SLOTS, 2, BLOCK), 77, jnp.uint8, device=split)
    order = np.random.default_rng(0).permutation(devices * SLOTS)[: count * devices]
    images = {int(row): drawn(int(row), SIZES[int(row) % 3]) for row in order}
    placed = [
        (row // SLOTS, row % SLOTS, jax.device_put(image, mesh.devices.flat[row // SLOTS]))
        for row, image in images.items()
    ]
    store, read = write(mesh, store, placed)
    assert read is not None
    read.block_until_ready()
    left = np.asarray(store).reshape(devices * SLOTS, -1)
    for row in range(devices * SLOTS):
        if row in images:
            np.testing.assert_array_equal(left[row, : images[row].size], images[row].reshape(-1))
        else:
            assert (left[row] == 77).all()


def test_one_device_may_have_none() -> None:
    mesh = Mesh(np.array(jax.devices()[:2]), ("lanes",))
    store = jnp.zeros((2 * SLOTS, 2, BLOCK), jnp.uint8, device=NamedSharding(mesh, P("lanes")))
    image = drawn(1, SIZES[1])
    store, _ = write(mesh, store, [(1, 3, jax.device_put(image, jax.devices()[1]))])
    left = np.asarray(store).reshape(2 * SLOTS, -1)
    np.testing.assert_array_equal(left[SLOTS + 3, : image.size], image.reshape(-1))
    assert not left[:SLOTS].any()


def test_nothing_leaves_the_store_as_it_is() -> None:
    mesh = Mesh(np.array(jax.devices()[:1]), ("lanes",))
    store = jnp.zeros((SLOTS, 2, BLOCK), jnp.uint8)
    same, read = write(mesh, store, [])
    assert same is store
    assert read is None


def test_a_size_is_compiled_once() -> None:
    mesh = Mesh(np.array(jax.devices()[:1]), ("lanes",))
    store = jnp.zeros((SLOTS, 2, BLOCK), jnp.uint8, device=NamedSharding(mesh, P("lanes")))
    for count in (1, 3, AT_ONCE, AT_ONCE + 1):
        store, _ = write(
            mesh, store, [(0, i, jnp.zeros((11, 13, 3), jnp.uint8)) for i in range(count)]
        )
    assert writing(mesh, (11, 13))._cache_size() == 1  # type: ignore[attr-defined]
