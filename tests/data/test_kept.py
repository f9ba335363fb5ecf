import pickle
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hcft_jax.data.frames import ImageFiles, read_into, stream
from hcft_jax.data.kept import Kept, Memory
from hcft_jax.data.sequence import Frame, Sequence
from hcft_jax.util.errors import InputError

SIZE = 6 * 8 * 3  # bytes of a frame


class Counted:
    """Frame k is filled with k; counts what is read; waits, fails or changes size if it is told."""

    def __init__(self, total: int, fails: int = -1, grows: int = -1) -> None:
        self.total, self.fails, self.grows = total, fails, grows
        self.reads: list[int] = []
        self.before: Callable[[], object] = lambda: None

    def __len__(self) -> int:
        return self.total

    def label(self, index: int) -> str:
        return f"frame-{index}"

    def read(self, index: int) -> Frame:
        self.reads.append(index)
        self.before()
        if index == self.fails:
            raise InputError(f"{self.label(index)}: bad")
        return np.full((6, 8 + (index == self.grows), 3), index, np.uint8)


def buffer() -> Frame:
    return np.full((6, 8, 3), 99, np.uint8)


def test_each_frame_is_read_once_and_cannot_be_written_to() -> None:
    source, memory = Counted(5), Memory(5 * SIZE)
    kept = Kept(source, memory)
    for _ in range(3):
        frames = list(stream(kept))
        assert [int(frame[0, 0, 0]) for frame in frames] == [0, 1, 2, 3, 4]
        assert not any(frame.flags.writeable for frame in frames)
        del frames
    assert sorted(source.reads) == [0, 1, 2, 3, 4]
    assert memory.used == 5 * SIZE
    assert (len(kept), kept.label(3)) == (5, "frame-3")


def test_the_first_frames_that_fit_are_kept_and_stay() -> None:
    source, memory = Counted(5), Memory(2 * SIZE + 7)
    kept = Kept(source, memory)
    for _ in range(3):
        for index in range(5):
            kept.read(index)
    assert [source.reads.count(index) for index in range(5)] == [1, 1, 3, 3, 3]
    assert memory.used == 2 * SIZE


def test_a_frame_beyond_the_memory_is_shared_while_somebody_holds_it() -> None:
    source = Counted(2)
    kept = Kept(source, Memory(0))
    frame = kept.read(1)
    assert kept.read(1) is frame
    out = buffer()
    read_into(kept, 1, out)
    np.testing.assert_array_equal(out, frame)
    assert source.reads == [1]
    del frame
    kept.read(1)
    assert source.reads == [1, 1]


def test_threads_that_ask_at_once_get_the_frame_that_one_of_them_reads() -> None:
    source = Counted(1)
    source.before = lambda: time.sleep(0.1)
    kept, meeting = Kept(source, Memory(0)), threading.Barrier(8, timeout=10)

    def ask(_: int) -> Frame:
        meeting.wait()
        return kept.read(0)

    with ThreadPoolExecutor(8) as pool:
        frames = list(pool.map(ask, range(8)))
    assert len({id(frame) for frame in frames}) == 1
    assert source.reads == [0]


def test_an_error_is_that_of_all_who_wait_and_is_not_kept() -> None:
    source, memory = Counted(2, fails=1), Memory(10 * SIZE)
    source.before = lambda: time.sleep(0.1)
    kept, meeting = Kept(source, memory), threading.Barrier(4, timeout=10)

    def ask(_: int) -> str:
        meeting.wait()
        with pytest.raises(InputError) as error:
            kept.read(1)
        return str(error.value)

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(ask, range(4))) == {"frame-1: bad"}
    assert memory.used == 0
    source.fails = -1
    assert kept.read(1)[0, 0, 0] == 1


def test_sources_share_a_memory_and_give_it_back() -> None:
    memory = Memory(3 * SIZE)
    one, other = (Kept(Counted(2), memory) for _ in range(2))
    for index in range(2):
        one.read(index)
        other.read(index)
    assert memory.used == 3 * SIZE
    one.forget()
    assert memory.used == SIZE
    other.read(1)
    assert memory.used == 2 * SIZE
    other.forget()
    other.forget()
    other.read(0)
    assert memory.used == 0


def test_what_is_being_read_while_frames_are_forgotten_is_not_kept() -> None:
    source, memory = Counted(1), Memory(SIZE)
    kept = Kept(source, memory)
    source.before = kept.forget
    kept.read(0)
    assert memory.used == 0


def test_only_frames_that_are_worth_it_are_kept() -> None:
    source, memory = Counted(3), Memory(10 * SIZE)
    kept = Kept(source, memory)
    kept.keep_only(np.array([True, False, True]))
    for index in range(3):
        kept.read(index)
    assert memory.used == 2 * SIZE


def test_another_process_gets_the_source_alone() -> None:
    source = ImageFiles((Path("a.png"), Path("b.png")))
    kept = Kept(source, Memory(10**12))
    sequence = Sequence("a", kept, np.ones((2, 4))).part(1, 1)
    again = pickle.loads(pickle.dumps(sequence))
    assert again.frames.label(0) == "b.png"
    assert pickle.loads(pickle.dumps(kept)) == source


def test_a_source_may_go_on_writing_to_its_arrays() -> None:
    source, own = Counted(1), buffer()
    source.read = lambda index: own  # type: ignore[method-assign]
    assert not Kept(source, Memory(0)).read(0).flags.writeable
    assert own.flags.writeable


@pytest.mark.parametrize("worth", [True, False])
def test_a_part_of_kept_frames_is_read_into_an_array(worth: bool) -> None:
    source, memory = Counted(5, grows=4), Memory(10 * SIZE)
    kept = Kept(source, memory)
    kept.keep_only(np.full(5, worth))
    part = Sequence("a", kept, np.ones((5, 4))).part(2, 4).frames
    for _ in range(2):
        out = buffer()
        read_into(part, 1, out)
        np.testing.assert_array_equal(out, 3)
    assert source.reads == ([3] if worth else [3, 3])
    with pytest.raises(InputError) as error:
        read_into(part, 2, buffer())
    expected = "frame-4: 9 x 6 pixels, but the first frame (frame-2) has 8 x 6 pixels"
    assert str(error.value) == expected


def test_a_frame_that_nobody_else_needs_is_decoded_in_its_place(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(buffer()).save(path)
    kept = Kept(ImageFiles((path,)), Memory(10 * SIZE))
    out = buffer()
    assert kept.read_to(0, out) is not out
    kept.forget()
    assert kept.read_to(0, out) is out


def test_a_kept_frame_has_its_file_still(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("RGB", (8, 6)).save(path)
    kept = Kept(ImageFiles((path,)), Memory(SIZE))
    before = kept.encoded(0)
    kept.read(0)
    assert before == kept.encoded(0) == path.read_bytes()
    assert Kept(Counted(1), Memory(0)).encoded(0) is None
