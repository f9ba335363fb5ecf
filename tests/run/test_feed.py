"""What reaches the device's store, and when."""

import collections
import threading
from collections.abc import Callable, Iterator

import jax
import numpy as np
import pytest
from jax.sharding import Mesh

from hcft_jax.data.sequence import Frame
from hcft_jax.run.feed import BLOCK, Feed, Held
from hcft_jax.util.errors import InputError

LARGEST = (60, 200)  # two blocks


class Drawn:
    """Frames of one size, each different; counts how often each is read."""

    def __init__(self, size: tuple[int, int], seed: int = 0, broken: int = -1) -> None:
        self.size, self.seed, self.broken = size, seed, broken
        self.reads: collections.Counter[int] = collections.Counter()

    def __len__(self) -> int:
        return 100

    def label(self, index: int) -> str:
        return f"frame {index}"

    def read(self, index: int) -> Frame:
        self.reads[index] += 1
        if index == self.broken:
            raise InputError(f"frame {index} is broken")
        rng = np.random.default_rng((self.seed, index))
        return rng.integers(0, 256, (*self.size, 3), np.uint8)


class Slow(Drawn):
    """Frames that can be read once the gate is open."""

    def __init__(self, size: tuple[int, int], seed: int = 0) -> None:
        super().__init__(size, seed)
        self.gate = threading.Event()

    def read(self, index: int) -> Frame:
        assert self.gate.wait(60)
        return super().read(index)


@pytest.fixture(params=[True, False], ids=["direct", "packets"])
def feed(request: pytest.FixtureRequest) -> Iterator[Callable[..., Feed]]:
    made: list[Feed] = []

    def make(slots: int = 8, packet: int = 2, devices: int = 1) -> Feed:
        mesh = Mesh(np.array(jax.devices()[:devices]), ("lanes",))
        made.append(Feed(mesh, LARGEST, slots, packet, threads=2, direct=request.param))
        return made[-1]

    yield make
    for one in made:
        one.close()


def settle(feed: Feed, *held: Held | None) -> None:
    """Wait until the frames are sent."""
    feed.flush()
    for one in held:
        assert one is not None
        while not one.sent:
            feed.send(wait=True)


def stored(feed: Feed, slots: int, held: Held | None, size: tuple[int, int]) -> Frame:
    assert held is not None
    content = np.asarray(feed.store)[held.device * slots + held.slot].reshape(-1)
    return content[: 3 * size[0] * size[1]].reshape(*size, 3)


@pytest.mark.parametrize("devices", [1, 2])
@pytest.mark.parametrize("packet", [1, 2, 5])
def test_frames_of_all_sizes_lie_in_their_slots_as_they_are(
    feed: Callable[..., Feed], devices: int, packet: int
) -> None:
    assert 3 * LARGEST[0] * LARGEST[1] > BLOCK
    own = feed(slots=8, packet=packet, devices=devices)
    sources = [Drawn(LARGEST, 1), Drawn((7, 9), 2), Drawn((50, 31), 3)]
    asked = []
    for index in (3, 0):
        for device in range(devices):
            for source in sources:
                held = None
                while held is None:
                    held = own.request(device, source, index, source.size)
                    own.send()
                asked.append((source, index, held))
    settle(own, *(held for _, _, held in asked))
    for source, index, held in asked:
        np.testing.assert_array_equal(stored(own, 8, held, source.size), source.read(index))


def test_a_frame_for_several_is_read_once(feed: Callable[..., Feed]) -> None:
    own, source = feed(), Drawn((7, 9))
    held = [own.request(0, source, 4, source.size) for _ in range(3)]
    settle(own, *held)
    assert held[0] is held[1] is held[2]
    for one in held:
        assert one is not None
        own.release(one)
    assert own.request(0, source, 4, source.size) is held[0]  # it is still there
    assert source.reads == {4: 1}


def test_each_device_has_its_own(feed: Callable[..., Feed]) -> None:
    own, source = feed(devices=2), Drawn((7, 9))
    held = [own.request(device, source, 4, source.size) for device in range(2)]
    settle(own, *held)
    assert source.reads == {4: 2}


def test_frames_that_nobody_uses_make_room_the_oldest_first(feed: Callable[..., Feed]) -> None:
    own, source = feed(slots=3, packet=8), Drawn((7, 9))
    held = [own.request(0, source, index, source.size) for index in range(3)]
    assert own.request(0, source, 9, source.size) is None, "all slots are in use"
    settle(own, *held)
    for index in (1, 0, 2):
        one = held[index]
        assert one is not None
        own.release(one)
    new = own.request(0, source, 9, source.size)
    settle(own, new)
    assert new is not None
    assert held[1] is not None
    assert new.slot == held[1].slot
    np.testing.assert_array_equal(stored(own, 3, new, source.size), source.read(9))
    assert own.request(0, source, 0, source.size) is held[0]
    again = own.request(0, source, 1, source.size)
    assert again is not held[1], "it had made room"


def test_a_slot_is_not_given_away_while_its_frame_is_under_way(feed: Callable[..., Feed]) -> None:
    own, slow, quick = feed(slots=1, packet=1), Slow((7, 9), 1), Drawn((7, 9), 2)
    first = own.request(0, slow, 0, slow.size)
    assert first is not None
    own.flush()
    own.release(first)
    assert own.request(0, quick, 0, quick.size) is None
    slow.gate.set()
    settle(own, first)
    second = own.request(0, quick, 0, quick.size)
    settle(own, second)
    np.testing.assert_array_equal(stored(own, 1, second, quick.size), quick.read(0))


def test_requests_are_refused_while_all_packets_are_full(feed: Callable[..., Feed]) -> None:
    own, source = feed(slots=90, packet=1), Slow(LARGEST)
    held = []
    for index in range(90):
        one = own.request(0, source, index, source.size)
        if one is None:
            break
        held.append(one)
    assert 1 <= len(held) < 10
    source.gate.set()
    settle(own, *held)
    assert own.request(0, source, 99, source.size) is not None


def test_a_broken_frame_has_an_error_and_the_others_arrive(feed: Callable[..., Feed]) -> None:
    own, source = feed(), Drawn((7, 9), broken=1)
    held = [own.request(0, source, index, source.size) for index in range(3)]
    settle(own, *held)
    errors = [one.error for one in held if one is not None]
    assert [error is not None for error in errors] == [False, True, False]
    assert "frame 1 is broken" in str(errors[1])
    np.testing.assert_array_equal(stored(own, 8, held[2], source.size), source.read(2))


def test_a_frame_of_another_size_is_refused(feed: Callable[..., Feed]) -> None:
    own, source = feed(), Drawn((7, 9))
    held = own.request(0, source, 1, (9, 7))
    settle(own, held)
    assert held is not None
    assert "9 x 7 pixels, but the first frame" in str(held.error)


def test_a_fault_of_the_program_itself_is_raised(feed: Callable[..., Feed]) -> None:
    class Faulty(Drawn):
        def read(self, index: int) -> Frame:
            raise ZeroDivisionError

    own, source = feed(), Faulty((7, 9))
    own.request(0, source, 0, source.size)
    own.flush()
    with pytest.raises(ZeroDivisionError):
        own.send(wait=True)


def test_packets_are_used_again_without_mixing_frames(feed: Callable[..., Feed]) -> None:
    own, source = feed(slots=60, packet=1), Drawn(LARGEST)
    held: list[Held] = []
    while len(held) < 60:
        one = own.request(0, source, len(held), source.size)
        if one is None:
            own.flush()
            own.send(wait=True)
        else:
            held.append(one)
    settle(own, *held)
    for index in range(60):
        np.testing.assert_array_equal(stored(own, 60, held[index], source.size), source.read(index))


def test_a_given_frame_is_not_read_again(feed: Callable[..., Feed]) -> None:
    own, source = feed(), Drawn((7, 9))
    given = np.full((7, 9, 3), 5, np.uint8)
    held = own.request(0, source, 0, source.size, given)
    settle(own, held)
    assert not source.reads
    np.testing.assert_array_equal(stored(own, 8, held, source.size), given)
