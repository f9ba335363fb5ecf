"""The store of frames on the devices, and the programs that write to it.

A store is uint8 ``[devices * slots, blocks, BLOCK]``, split over the devices of a mesh of one axis,
``lanes``. A frame lies in its slot row by row, without padding.
"""

import functools
from collections.abc import Callable, Iterable

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

BLOCK = 2**15  # bytes that go to one place
AT_ONCE = 8  # images of a call: one by one, the calls would take the host longer than the device
_ALIGNED = 64  # bytes, as XLA wants it

Bytes = npt.NDArray[np.uint8]
Placed = tuple[int, int, jax.Array]
"""The number of a device, a slot on it, and an image there, uint8 ``[H, W, 3]``."""


def blocks_of(size: tuple[int, int]) -> int:
    """Return the number of blocks that a frame takes.

    Args:
        size: (H, W) of it.
    """
    return -(-3 * size[0] * size[1] // BLOCK)


def aligned(shape: tuple[int, ...]) -> Bytes:
    """Return memory that a CPU's program may read where it lies.

    Args:
        shape: of it, in bytes.
    """
    size = int(np.prod(shape))
    whole = np.zeros(size + _ALIGNED, np.uint8)
    first = -whole.ctypes.data % _ALIGNED
    return whole[first : first + size].reshape(shape)


def same_memory(one: Bytes, other: jax.Array) -> bool:
    """Return whether an array on devices is an array of the host, seen from there.

    Args:
        one: the host's array.
        other: the devices' array.
    """
    return all(
        shard.data.unsafe_buffer_pointer() == one[shard.index].ctypes.data
        for shard in other.addressable_shards
    )


@functools.cache
def loading(mesh: Mesh) -> Callable[..., tuple[jax.Array, jax.Array]]:
    """Return the program that moves a packet of blocks into the store.

    It takes the store (donated), the blocks ``[K, BLOCK]`` and where they go ``[K, 2]``, and
    returns the store, and a value that is ready when the packet has been read.

    Args:
        mesh: the devices.
    """

    def load(store: jax.Array, blocks: jax.Array, where: jax.Array) -> tuple[jax.Array, jax.Array]:
        store = store.at[where[:, 0], where[:, 1]].set(blocks, mode="drop")
        return store, where[:1, 0] + 1

    split = P("lanes")
    mapped = jax.shard_map(
        load, mesh=mesh, in_specs=(split,) * 3, out_specs=(split, split), check_vma=False
    )
    return jax.jit(mapped, donate_argnums=0)


@functools.cache
def writing(mesh: Mesh, size: tuple[int, int]) -> Callable[..., tuple[jax.Array, jax.Array]]:
    """Return the program that writes images of one size, which lie on the devices, into the store.

    It takes the store (donated), the slots ``[AT_ONCE]`` of each device, and ``AT_ONCE`` images of
    each, and returns what ``loading``'s does. It is compiled once per size.

    Args:
        mesh: the devices.
        size: (H, W) of the images.
    """
    count = blocks_of(size)
    padding = count * BLOCK - 3 * size[0] * size[1]

    def write(
        store: jax.Array, slots: jax.Array, *images: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        rows = jnp.pad(jnp.stack(images).reshape(AT_ONCE, -1), ((0, 0), (0, padding)))
        rows = rows.reshape(AT_ONCE, count, BLOCK)
        return store.at[slots, :count].set(rows, mode="drop"), slots[:1] + 1

    split = P("lanes")
    mapped = jax.shard_map(
        write,
        mesh=mesh,
        in_specs=(split,) * (2 + AT_ONCE),
        out_specs=(split, split),
        check_vma=False,
    )
    return jax.jit(mapped, donate_argnums=0)


def write(
    mesh: Mesh, store: jax.Array, images: Iterable[Placed]
) -> tuple[jax.Array, jax.Array | None]:
    """Write images that lie on the devices into the store.

    Args:
        mesh: the devices.
        store: which is donated.
        images: of any sizes, each on its device.

    Returns:
        The store, and a value that is ready when the images have been read; None without images.
    """
    count = mesh.devices.size
    of_size: dict[tuple[int, int], list[list[Placed]]] = {}
    for placed in images:
        height, width, _ = placed[2].shape
        of_devices = of_size.setdefault((height, width), [[] for _ in range(count)])
        of_devices[placed[0]].append(placed)
    read = None
    for size, of_devices in of_size.items():
        for first in range(0, max(map(len, of_devices)), AT_ONCE):
            some = [own[first : first + AT_ONCE] for own in of_devices]
            store, read = _write_some(mesh, size, store, some)
    return store, read


def _write_some(
    mesh: Mesh, size: tuple[int, int], store: jax.Array, some: list[list[Placed]]
) -> tuple[jax.Array, jax.Array]:
    """Write at most ``AT_ONCE`` images of each device; what is missing to that goes nowhere."""
    slots = np.full((len(some), AT_ONCE), store.shape[0], np.int32)  # there is no such slot
    columns = []
    for number, own in enumerate(some):
        slots[number, : len(own)] = [slot for _, slot, _ in own]
        given = [image for *_, image in own] or [_blank(mesh.devices.flat[number], size)]
        columns.append(given + given[-1:] * (AT_ONCE - len(given)))
    shape = len(some) * size[0], size[1], 3
    split = NamedSharding(mesh, P("lanes"))
    images = (
        jax.make_array_from_single_device_arrays(shape, split, list(row))
        for row in zip(*columns, strict=True)
    )
    return writing(mesh, size)(store, slots.reshape(-1), *images)


@functools.lru_cache(maxsize=64)
def _blank(device: jax.Device, size: tuple[int, int]) -> jax.Array:
    return jnp.zeros((*size, 3), jnp.uint8, device=device)
