"""What reaches the device's store, and when."""

import collections
import threading
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
import pytest
import simplejpeg
from jax.sharding import Mesh

from hcft_jax.data.sequence import Frame
from hcft_jax.run.feed import Feed, Held
from hcft_jax.run.store import BLOCK
from hcft_jax.util.errors import InputError
from tests.decoding import FakeDecoder, Lighter, jpeg

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
        return self.drawn(index)

    def drawn(self, index: int) -> Frame:
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


def asked_for(
    own: Feed, sources: list[Drawn], indices: tuple[int, ...], devices: int
) -> list[tuple[Drawn, int, Held]]:
    """Every one of these frames on every device, in its slot."""
    asked = []
    for index in indices:
        for device in range(devices):
            for source in sources:
                held = None
                while held is None:
                    held = own.request(device, source, index, source.size)
                    own.send()
                asked.append((source, index, held))
    settle(own, *(held for _, _, held in asked))
    return asked


@pytest.mark.parametrize("devices", [1, 2])
@pytest.mark.parametrize("packet", [1, 2, 5])
def test_frames_of_all_sizes_lie_in_their_slots_as_they_are(
    feed: Callable[..., Feed], devices: int, packet: int
) -> None:
    assert 3 * LARGEST[0] * LARGEST[1] > BLOCK
    own = feed(slots=8, packet=packet, devices=devices)
    sources: list[Drawn] = [Drawn(LARGEST, 1), Drawn((7, 9), 2), Drawn((50, 31), 3)]
    asked = asked_for(own, sources, (3, 0), devices)
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


class Files(Drawn):
    """The same as files, unless it is said otherwise of one."""

    def __init__(self, size: tuple[int, int], seed: int = 0, **other: bytes | None) -> None:
        super().__init__(size, seed)
        self.other = {int(index.strip("_")): content for index, content in other.items()}

    def encoded(self, index: int) -> bytes | None:
        return self.other[index] if index in self.other else jpeg(self.drawn(index))


def lighter(source: Files, index: int) -> Frame:
    """What ``Lighter`` makes of a frame."""
    content = source.encoded(index)
    assert content is not None
    return simplejpeg.decode_jpeg(content, "RGB") + np.uint8(100)


@pytest.fixture
def decoding() -> Iterator[Callable[..., Feed]]:
    made: list[Feed] = []

    def make(
        slots: int = 8, packet: int = 2, devices: int = 1, kind: type[FakeDecoder] = Lighter
    ) -> Feed:
        on = jax.devices()[:devices]
        mesh, decoders = Mesh(np.array(on), ("lanes",)), [kind(device) for device in on]
        made.append(Feed(mesh, LARGEST, slots, packet, threads=2, decoders=decoders))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.mark.parametrize("devices", [1, 2])
@pytest.mark.parametrize("packet", [1, 2, 5])
def test_files_are_decoded_on_their_device_and_all_else_by_the_host(
    decoding: Callable[..., Feed], devices: int, packet: int
) -> None:
    own = decoding(slots=20, packet=packet, devices=devices)
    files = [Files(LARGEST, 1), Files((7, 9), 2, _3=None), Files((50, 31), 3)]
    sources: list[Drawn] = [*files, Drawn((7, 9), 4)]
    asked = asked_for(own, sources, (3, 0, 5), devices)
    for source, index, held in asked:
        by_device = isinstance(source, Files) and index not in source.other
        expected = lighter(source, index) if isinstance(source, Files) and by_device else None
        expected = source.read(index) if expected is None else expected
        np.testing.assert_array_equal(stored(own, 20, held, source.size), expected)


def test_a_given_frame_is_decoded_on_the_device_again(decoding: Callable[..., Feed]) -> None:
    own, source = decoding(), Files((7, 9), _1=None)
    given = np.full((7, 9, 3), 5, np.uint8)
    held = [own.request(0, source, index, source.size, given) for index in range(2)]
    settle(own, *held)
    np.testing.assert_array_equal(stored(own, 8, held[0], source.size), lighter(source, 0))
    np.testing.assert_array_equal(stored(own, 8, held[1], source.size), given)
    assert not source.reads


def test_what_a_decoder_refuses_or_turns_is_the_hosts(decoding: Callable[..., Feed]) -> None:
    class Turns(Lighter):
        def one(self, content: bytes) -> jax.Array | None:
            image = super().one(content)
            assert image is not None
            return [None, image.swapaxes(0, 1), image][len(content) % 3]

    own, source = decoding(kind=Turns, packet=8), Files((7, 9))
    contents = [source.encoded(index) for index in range(8)]
    kinds = [len(content or b"") % 3 for content in contents]
    assert set(kinds) == {0, 1, 2}
    held = [own.request(0, source, index, source.size) for index in range(8)]
    settle(own, *held)
    for index, (kind, one) in enumerate(zip(kinds, held, strict=True)):
        expected = lighter(source, index) if kind == 2 else source.read(index)
        np.testing.assert_array_equal(stored(own, 8, one, source.size), expected)


def test_the_hosts_errors_are_those_of_broken_files(decoding: Callable[..., Feed]) -> None:
    whole = jpeg(np.zeros((7, 9, 3), np.uint8))
    source = Files((7, 9), _1=b"", _2=whole[:-30], _3=jpeg(np.zeros((9, 7, 3), np.uint8)))
    source.broken = 1
    own = decoding()
    held = [own.request(0, source, index, source.size) for index in range(5)]
    settle(own, *held)
    errors = [one.error for one in held if one is not None]
    assert [error is not None for error in errors] == [False, True, False, False, False]
    assert "frame 1 is broken" in str(errors[1])
    assert source.reads == {1: 1, 2: 1, 3: 1}, "the host has read what the device must not decode"


def test_a_fault_of_a_decoder_is_raised(decoding: Callable[..., Feed]) -> None:
    class Faulty(FakeDecoder):
        def decode(self, contents: list[bytes]) -> list[jax.Array | None]:
            raise ZeroDivisionError

    own, source = decoding(kind=Faulty), Files((7, 9))
    own.request(0, source, 0, source.size)
    own.flush()
    with pytest.raises(ZeroDivisionError):
        own.send(wait=True)


def test_slots_are_used_again_by_images_of_the_device(decoding: Callable[..., Feed]) -> None:
    own, sources = (
        decoding(slots=4, packet=1),
        (Files(LARGEST, 1), Files((50, 31), 2), Drawn((7, 9))),
    )
    for index in range(30):
        source = sources[index % 3]
        held = own.request(0, source, index, source.size)
        settle(own, held)
        expected = lighter(source, index) if isinstance(source, Files) else source.read(index)
        np.testing.assert_array_equal(stored(own, 4, held, source.size), expected)
        assert held is not None
        own.release(held)


@pytest.mark.parametrize("how", [{"direct": True}, {"direct": False, "devices": 2}], ids=str)
def test_decoders_are_for_devices_with_a_store_of_their_own(how: dict[str, Any]) -> None:
    mesh = Mesh(np.array(jax.devices()[: how.pop("devices", 1)]), ("lanes",))
    with pytest.raises(ValueError, match="1 decoders"):
        Feed(mesh, LARGEST, 4, 1, decoders=[FakeDecoder(jax.devices()[0])], **how)
