"""Frames on their way to a device: each is decoded once, in threads, straight into a packet.

Frames lie on the device in a store of equal slots, each as it is: row by row, without padding. A
packet is a piece of host memory that is used again and again; the bytes of its frames are cut into
blocks, and a block says where in the store it belongs. So whatever the sizes of the frames are,
one small program moves packets into the store, and nothing but the frames' own bytes is sent.
Where the device is the host's processor, the store is the host's memory: frames are then decoded
straight into their slots, and nothing is sent at all.

A frame that several tracks ask for (the twelve boxes of SRE, the twenty starts of TRE) is decoded
and sent once for all of them. It stays in its slot after the last of them until the slot is needed,
so that later tracks find it there as well.
"""

import collections
import functools
import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from hcft_jax.data import frames
from hcft_jax.data.sequence import Frame, FrameSource, original
from hcft_jax.util.errors import InputError

BLOCK = 2**15  # bytes of a packet that go to one place
PACKET = 2**25  # bytes of a packet for one device, unless one frame is larger
PACKETS = 4  # of them: one being filled, some being decoded, one on its way
_ALIGNED = 64  # bytes, as XLA wants it

Bytes = npt.NDArray[np.uint8]


@dataclass(eq=False)
class Held:
    """A frame in the store, or on its way there."""

    device: int  # number of the device among those of the feed
    slot: int  # on that device
    key: Any
    whole: FrameSource  # kept alive, since its identity is in the key
    users: int = 1
    sent: bool = False  # whether the store has it for every call that is made from now on
    error: InputError | None = None  # why it never will


@dataclass(eq=False)
class _Job:
    """A frame that is to be decoded into a packet."""

    held: Held
    source: FrameSource
    index: int
    size: tuple[int, int]
    given: Frame | None  # decoded already
    into: Bytes

    def do(self) -> None:
        out = self.into[: 3 * self.size[0] * self.size[1]].reshape(*self.size, 3)
        try:
            if self.given is not None:
                out[...] = self.given
            else:
                frames.read_into(self.source, self.index, out)
        except InputError as error:
            self.held.error = error


@dataclass(eq=False)
class _Packet:
    """The frames of one transfer, and where they go."""

    memory: Bytes  # [devices * blocks, BLOCK]; empty where frames lie in the store at once
    where: npt.NDArray[np.int32]  # [devices * blocks, 2]: slot and the number of the block in it
    used: list[int]  # blocks, by device
    jobs: list[_Job] = field(default_factory=list)
    left: int = 0  # pieces of work that are not done
    sent: Any = None  # on the device
    failure: BaseException | None = None


class Feed:
    """Frames for several tracks on one or more devices, ahead of their use.

    It belongs to one thread, and must be closed. ``request`` says what will be needed, ``send``
    moves what is decoded into ``store``, ``release`` says what is not needed any more.
    """

    def __init__(
        self,
        mesh: Mesh,
        image: tuple[int, int],
        slots: int,
        packet: int,
        threads: int | None = None,
        *,
        direct: bool | None = None,
    ) -> None:
        """Make the store and the packets, and compile what moves one into the other.

        Args:
            mesh: of one axis, ``lanes``: the devices.
            image: (H, W) of the largest frame, in pixels.
            slots: the number of frames on each device.
            packet: how many such frames are worth a transfer; fewer where they are large.
            threads: that decode. None: as many as there are cores.
            direct: whether frames are decoded into the store. None: where that can be.
        """
        self._devices = mesh.devices.size
        self._in_slot = -(-3 * image[0] * image[1] // BLOCK)
        self._blocks = max(self._in_slot, min(packet * self._in_slot, PACKET // BLOCK))
        self._split = NamedSharding(mesh, P("lanes"))
        self._load = program(mesh)
        self._slots = slots
        shape = self._devices * slots, self._in_slot, BLOCK
        if direct is None:
            direct = all(device.platform == "cpu" for device in mesh.devices.flat)
        # the store as the host writes to it; a call to the device under way never looks at the
        # slots that are written to: those of frames that no track needs any more
        self._direct = _aligned(shape) if direct else None
        self.store: jax.Array
        """uint8 ``[devices * slots, blocks, BLOCK]``, split over the devices."""
        if self._direct is None:
            self.store = jnp.zeros(shape, jnp.uint8, device=self._split)
        else:
            self.store = jax.device_put(self._direct, self._split, may_alias=True)
            if not _same_memory(self._direct, self.store):
                self._direct = None
        self._free = [list(range(slots)) for _ in range(self._devices)]
        self._held: dict[Any, Held] = {}
        # frames that nobody uses, by device, the one that was used last at the end
        self._idle: list[dict[Any, Held]] = [{} for _ in range(self._devices)]
        self._nowhere = slots
        packets = [self._packet() for _ in range(PACKETS)]
        self._empty = packets[1:]
        self._open: _Packet | None = None
        self._ready: collections.deque[_Packet] = collections.deque()
        self._moving: collections.deque[tuple[_Packet, jax.Array]] = collections.deque()
        self._under_way = 0  # packets that are being decoded, or wait to be sent
        self._changed = threading.Condition()
        self._threads = threads or cores()
        self._pool = ThreadPoolExecutor(self._threads, "frames")
        self._move(packets[0])  # compiles, where there is anything to; all blocks go nowhere

    def close(self) -> None:
        """Stop the threads; frames that are being decoded are finished."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def request(
        self,
        device: int,
        source: FrameSource,
        index: int,
        size: tuple[int, int],
        given: Frame | None = None,
    ) -> Held | None:
        """Ask for a frame, which is decoded unless the store has it; ``release`` gives it back.

        Args:
            device: the number of the device.
            source: of the frame.
            index: of the frame in it.
            size: (H, W) that it must have.
            given: the frame, if it is decoded already.

        Returns:
            None where all packets or slots are taken: ask again after ``send``.
        """
        whole, number = original(source, index)
        key = device, id(whole), number
        if (held := self._held.get(key)) is not None:
            self._idle[device].pop(key, None)
            held.users += 1
            return held
        count = -(-3 * size[0] * size[1] // BLOCK)
        if self._open is not None and self._open.used[device] + count > self._blocks:
            self.flush()
        packet = self._open = self._open or self._next()
        slot = None if packet is None else self._slot(device)
        if packet is None or slot is None:
            return None
        first = device * self._blocks + packet.used[device]
        packet.used[device] += count
        held = Held(device, slot, key, whole)
        self._held[key] = held
        if self._direct is not None:
            into = self._direct[device * self._slots + slot].reshape(-1)
        else:
            packet.where[first : first + count, 0] = held.slot
            packet.where[first : first + count, 1] = np.arange(count)
            into = packet.memory[first : first + count].reshape(-1)
        packet.jobs.append(_Job(held, source, index, size, given, into))
        return held

    def flush(self) -> None:
        """Have the frames decoded that have been asked for, though they fill no packet."""
        packet = self._open
        if packet is None or not packet.jobs:
            return
        self._open = None
        # many frames a call of a thread, as few as give all threads work
        each = -(-len(packet.jobs) // self._threads)
        pieces = [packet.jobs[i : i + each] for i in range(0, len(packet.jobs), each)]
        packet.left = len(pieces)
        self._under_way += 1
        for piece in pieces:
            self._pool.submit(self._decode, packet, piece)

    def send(self, *, wait: bool = False) -> None:
        """Give the device the packets that are decoded.

        Args:
            wait: until there is at least one, or room for others.
        """
        with self._changed:
            if wait and self._under_way:
                self._changed.wait_for(lambda: self._ready)
            ready = list(self._ready)
            self._ready.clear()
        for packet in ready:
            self._under_way -= 1
            if packet.failure is not None:
                raise packet.failure
            for job in packet.jobs:
                job.held.sent = True
            packet.jobs = []
            self._move(packet)
        if wait and not ready and self._moving:
            self._moving[0][1].block_until_ready()

    def release(self, held: Held) -> None:
        """Say that one of those who asked for a frame does not need it any more."""
        held.users -= 1
        if held.users:
            return
        self._idle[held.device][held.key] = held

    def _decode(self, packet: _Packet, jobs: Iterable[_Job]) -> None:
        """Do a part of a packet, in a thread; the last one sends it on its way."""
        try:
            for job in jobs:
                job.do()
        except BaseException as error:
            packet.failure = error
        with self._changed:
            packet.left -= 1
            last = not packet.left
        if not last:
            return
        try:
            packet.sent = None if self._direct is not None else self._put(packet)
        except BaseException as error:
            packet.failure = error
        with self._changed:
            self._ready.append(packet)
            self._changed.notify()

    def _put(self, packet: _Packet) -> Any:
        """Begin the transfer of a packet."""
        return jax.device_put((packet.memory, packet.where.copy()), self._split, may_alias=True)

    def _move(self, packet: _Packet) -> None:
        """Put a packet's frames into their slots."""
        if self._direct is not None:
            self._clear(packet)
            return
        blocks, where = packet.sent or self._put(packet)
        self.store, moved = self._load(self.store, blocks, where)
        packet.sent = None
        self._moving.append((packet, moved))

    def _clear(self, packet: _Packet) -> None:
        packet.where[:] = self._nowhere
        packet.used = [0] * self._devices
        self._empty.append(packet)

    def _packet(self) -> _Packet:
        count = 0 if self._direct is not None else self._devices * self._blocks
        where = np.full((count, 2), self._nowhere, np.int32)
        return _Packet(_aligned((count, BLOCK)), where, [0] * self._devices)

    def _next(self) -> _Packet | None:
        """Return an empty packet, if the device has read any."""
        while self._moving and self._moving[0][1].is_ready():  # type: ignore[attr-defined]
            self._clear(self._moving.popleft()[0])
        return self._empty.pop() if self._empty else None

    def _slot(self, device: int) -> int | None:
        """Return a free slot, or that of the frame that has not been used for the longest time.

        A frame that is still under way keeps its slot: packets may overtake each other.
        """
        if not self._free[device]:
            idle = next((h for h in self._idle[device].values() if h.sent), None)
            if idle is None:
                return None
            self._forget(idle)
        return self._free[device].pop()

    def _forget(self, held: Held) -> None:
        self._idle[held.device].pop(held.key, None)
        del self._held[held.key]
        self._free[held.device].append(held.slot)


def _aligned(shape: tuple[int, ...]) -> Bytes:
    """Return memory that a CPU's program may read where it lies."""
    size = int(np.prod(shape))
    whole = np.zeros(size + _ALIGNED, np.uint8)
    first = -whole.ctypes.data % _ALIGNED
    return whole[first : first + size].reshape(shape)


def _same_memory(one: Bytes, other: jax.Array) -> bool:
    """Return whether an array on devices is an array of the host, seen from there."""
    return all(
        shard.data.unsafe_buffer_pointer() == one[shard.index].ctypes.data
        for shard in other.addressable_shards
    )


def cores() -> int:
    """Return the number of processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@functools.cache
def program(mesh: Mesh) -> Callable[..., tuple[jax.Array, jax.Array]]:
    """Return the program that moves a packet into the store, over a mesh of one axis, ``lanes``.

    It takes the store (donated), the blocks ``[K, BLOCK]`` and where they go ``[K, 2]``, and
    returns the store, and a value that is ready when the packet has been read.
    """

    def load(store: jax.Array, blocks: jax.Array, where: jax.Array) -> tuple[jax.Array, jax.Array]:
        store = store.at[where[:, 0], where[:, 1]].set(blocks, mode="drop")
        return store, where[:1, 0] + 1

    split = P("lanes")
    mapped = jax.shard_map(
        load, mesh=mesh, in_specs=(split,) * 3, out_specs=(split, split), check_vma=False
    )
    return jax.jit(mapped, donate_argnums=0)
