"""Frames on their way to a device: each is decoded once, in threads, straight into a packet.

Frames lie on the device in a store of equal slots, each as it is: row by row, without padding. A
packet is a piece of host memory that is used again and again; the bytes of its frames are cut into
blocks, and a block says where in the store it belongs. So whatever the sizes of the frames are,
one small program moves packets into the store, and nothing but the frames' own bytes is sent.
Where the device is the host's processor, the store is the host's memory: frames are then decoded
straight into their slots, and nothing is sent at all.

With decoders for the devices, the files themselves are given to these, and the images are written
into their slots from where they lie (``hcft_jax.run.device_decoder``); what is no file that such a
decoder takes goes by the packets.

A frame that several tracks ask for (the twelve boxes of SRE, the twenty starts of TRE) is decoded
and sent once for all of them. It stays in its slot after the last of them until the slot is needed,
so that later tracks find it there as well.
"""

import collections
import os
import threading
from collections.abc import Callable, Sequence
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
from hcft_jax.data.sequence import EncodedSource, Frame, FrameSource, original
from hcft_jax.run.device_decoder import DeviceDecoder
from hcft_jax.run.store import BLOCK, Bytes, aligned, blocks_of, loading, same_memory, write
from hcft_jax.util.errors import InputError

PACKET = 2**25  # bytes of a packet for one device, unless one frame is larger
PACKETS = 4  # of them: one being filled, some being decoded, one on its way


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
    image: jax.Array | None = None  # decoded on the device

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
    sent: Any = None  # on the device; None where the memory holds no frames
    failure: BaseException | None = None


_Do = Callable[[_Packet, list[_Job]], None]
_Piece = tuple[_Do, list[_Job]]


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
        decoders: Sequence[DeviceDecoder] = (),
    ) -> None:
        """Make the store and the packets, and compile what moves one into the other.

        Args:
            mesh: of one axis, ``lanes``: the devices.
            image: (H, W) of the largest frame, in pixels.
            slots: the number of frames on each device.
            packet: how many such frames are worth a transfer; fewer where they are large.
            threads: that decode. None: as many as there are cores.
            direct: whether the host decodes into the store. None: where that can be.
            decoders: that of each device, and then nothing is direct. None: the host decodes all.

        Raises:
            ValueError: there are not as many decoders as devices, or they are to be direct.
        """
        if decoders and (direct or len(decoders) != mesh.devices.size):
            raise ValueError(
                f"direct={direct}, {len(decoders)} decoders, {mesh.devices.size} devices"
            )
        self._mesh, self._devices = mesh, mesh.devices.size
        self._decoders = decoders
        self._in_slot = blocks_of(image)
        self._blocks = max(self._in_slot, min(packet * self._in_slot, PACKET // BLOCK))
        self._split = NamedSharding(mesh, P("lanes"))
        self._load = loading(mesh)
        self._slots = slots
        shape = self._devices * slots, self._in_slot, BLOCK
        if direct is None:
            on_cpu = all(device.platform == "cpu" for device in mesh.devices.flat)
            direct = on_cpu and not decoders
        # the store as the host writes to it; a call to the device under way never looks at the
        # slots that are written to: those of frames that no track needs any more
        self._direct = aligned(shape) if direct else None
        self.store: jax.Array
        """uint8 ``[devices * slots, blocks, BLOCK]``, split over the devices."""
        if self._direct is None:
            self.store = jnp.zeros(shape, jnp.uint8, device=self._split)
        else:
            self.store = jax.device_put(self._direct, self._split, may_alias=True)
            if not same_memory(self._direct, self.store):
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
        if self._direct is None:
            packets[0].sent = self._put(packets[0])
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
            given: the frame, if it is decoded already; a device's decoder does it anew, since which
                pixels the store has must not depend on who asked first.

        Returns:
            None where all packets or slots are taken: ask again after ``send``.
        """
        whole, number = original(source, index)
        key = device, id(whole), number
        if (held := self._held.get(key)) is not None:
            self._idle[device].pop(key, None)
            held.users += 1
            return held
        count = blocks_of(size)
        if self._open is not None and self._open.used[device] + count > self._blocks:
            self.flush()
        packet = self._open = self._open or self._next()
        slot = None if packet is None else self._slot(device)
        if packet is None or slot is None:
            return None
        first = device * self._blocks + packet.used[device]
        packet.used[device] += count
        blocks = slice(first, first + count)
        held = Held(device, slot, key, whole)
        self._held[key] = held
        if self._direct is not None:
            into = self._direct[device * self._slots + slot].reshape(-1)
        else:
            packet.where[blocks, 0] = held.slot
            packet.where[blocks, 1] = np.arange(count)
            into = packet.memory[blocks].reshape(-1)
        packet.jobs.append(_Job(held, source, index, size, given, into))
        return held

    def flush(self) -> None:
        """Have the frames decoded that have been asked for, though they fill no packet."""
        packet = self._open
        if packet is None or not packet.jobs:
            return
        self._open = None
        self._under_way += 1
        files: list[list[_Job]] = [[] for _ in self._decoders]
        others: list[_Job] = []
        for job in packet.jobs:
            is_file = self._decoders and isinstance(job.source, EncodedSource)
            (files[job.held.device] if is_file else others).append(job)
        # a device decodes many files at once better than few
        batches: list[_Piece] = [(self._on_device, jobs) for jobs in files if jobs]
        self._start(packet, batches + self._host_pieces(others))

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
            self._move(packet)
        if wait and not ready and self._moving:
            self._moving[0][1].block_until_ready()

    def release(self, held: Held) -> None:
        """Say that one of those who asked for a frame does not need it any more."""
        held.users -= 1
        if held.users:
            return
        self._idle[held.device][held.key] = held

    def _host_pieces(self, jobs: list[_Job]) -> list[_Piece]:
        """Return the work of the host: many frames a call, as few as give all threads some."""
        each = max(1, -(-len(jobs) // self._threads))
        return [(self._on_host, jobs[i : i + each]) for i in range(0, len(jobs), each)]

    def _start(self, packet: _Packet, pieces: list[_Piece]) -> None:
        """Have pieces of work done for a packet, in threads."""
        with self._changed:
            packet.left += len(pieces)
        for do, jobs in pieces:
            self._pool.submit(self._work, packet, do, jobs)

    def _work(self, packet: _Packet, do: _Do, jobs: list[_Job]) -> None:
        """Do a part of a packet, in a thread; the last one sends it on its way."""
        try:
            do(packet, jobs)
        except BaseException as error:
            packet.failure = error
        with self._changed:
            packet.left -= 1
            last = not packet.left
        if not last:
            return
        try:
            by_host = any(job.image is None and job.held.error is None for job in packet.jobs)
            if self._direct is None and by_host:
                packet.sent = self._put(packet)
        except BaseException as error:
            packet.failure = error
        with self._changed:
            self._ready.append(packet)
            self._changed.notify()

    def _on_host(self, packet: _Packet, jobs: list[_Job]) -> None:
        """Decode frames into a packet."""
        for job in jobs:
            job.do()

    def _on_device(self, packet: _Packet, jobs: list[_Job]) -> None:
        """Decode files on the device that they are for; the host does those that it refuses."""
        contents = [frames.plain_jpeg(job.source, job.index, job.size) for job in jobs]
        given = [content for content in contents if content is not None]
        images = iter(self._decoders[jobs[0].held.device].decode(given) if given else [])
        refused = []
        for job, content in zip(jobs, contents, strict=True):
            image = None if content is None else next(images)
            if image is None or (image.shape, image.dtype) != ((*job.size, 3), np.uint8):
                refused.append(job)
            else:
                job.image = image
        self._start(packet, self._host_pieces(refused))

    def _put(self, packet: _Packet) -> Any:
        """Begin the transfer of a packet."""
        return jax.device_put((packet.memory, packet.where.copy()), self._split, may_alias=True)

    def _move(self, packet: _Packet) -> None:
        """Put a packet's frames into their slots."""
        moved = None
        if packet.sent is not None:
            self.store, moved = self._load(self.store, *packet.sent)
        # then those of the device, for which the packet's memory has nothing
        images = [
            (job.held.device, job.held.slot, job.image)
            for job in packet.jobs
            if job.image is not None
        ]
        if images:
            self.store, moved = write(self._mesh, self.store, images)
        packet.sent = None
        if moved is None:
            self._clear(packet)
        else:
            self._moving.append((packet, moved))

    def _clear(self, packet: _Packet) -> None:
        packet.jobs = []  # only now: the device has read their images
        packet.where[:] = self._nowhere
        packet.used = [0] * self._devices
        self._empty.append(packet)

    def _packet(self) -> _Packet:
        count = 0 if self._direct is not None else self._devices * self._blocks
        where = np.full((count, 2), self._nowhere, np.int32)
        return _Packet(aligned((count, BLOCK)), where, [0] * self._devices)

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


def cores() -> int:
    """Return the number of processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
