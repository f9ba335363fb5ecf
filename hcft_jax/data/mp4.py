"""Whether the boxes and tables of an MP4 or QuickTime file fit together."""

from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from hcft_jax.data.faults import MOST, Fault, read_at

_TABLES = 64 << 20  # bytes of the tables, of which an hour has one MB


def check(file: BinaryIO, size: int) -> None:
    """Check the order of boxes, and that the tables of pictures speak of the same frames.

    Args:
        file: The open file.
        size: Its bytes.

    Raises:
        Fault: They do not.
        OSError: It cannot be read.
    """
    at, moov = 0, (0, 0)
    for kind, start, end in _boxes(file, 0, size):
        moov = (start, end) if kind == b"moov" else moov
        at = end
    rest = read_at(file, at, 1 << 16)  # nothing, or what somebody has appended
    for kind in (b"moov", b"moof", b"mdat", b"mfra"):
        found = rest.find(kind)
        start = at + found - 4
        length = int.from_bytes(rest[max(found - 4, 0) : found], "big")
        if found >= 4 and length >= 8 and start + length <= size:
            raise Fault(f"the part '{kind.decode()}' at byte {start} is out of place")
    if moov[1] - moov[0] > _TABLES:
        return
    for kind, start, end in _boxes(file, *moov):
        if kind == b"trak":
            _track(file, start, end, size)


def _boxes(file: BinaryIO, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield the boxes at a place: kind, and where the content begins and ends."""
    for _ in range(MOST):
        head = read_at(file, at, 16)
        if at + 8 > end or len(head) < 8:
            return
        length, first = int.from_bytes(head[:4], "big"), 8
        if length == 1:
            length, first = int.from_bytes(head[8:16], "big"), 16
        if length == 0:  # to the end
            length = end - at
        if length < first or at + length > end or not _is_kind(head[4:8]):
            return
        yield head[4:8], at + first, at + length
        at += length


def _is_kind(kind: bytes) -> bool:
    return all(32 <= c < 127 or c == 0xA9 for c in kind)


def _inside(file: BinaryIO, place: tuple[int, int], *names: bytes) -> tuple[int, int] | None:
    """Return where the content of a box is that is inside of others."""
    for name in names:
        found = (place for kind, *place in _boxes(file, *place) if kind == name)
        inner = next(found, None)
        if inner is None:
            return None
        place = inner[0], inner[1]
    return place


def _track(file: BinaryIO, start: int, end: int, size: int) -> None:
    media = _inside(file, (start, end), b"mdia")
    handler = media and _inside(file, media, b"hdlr")
    tables = media and _inside(file, media, b"minf", b"stbl")
    if not handler or not tables or read_at(file, handler[0] + 8, 4) != b"vide":
        return
    named = {kind: (first, last) for kind, first, last in _boxes(file, *tables)}
    counts = {}
    if b"stsz" in named:
        counts["sizes"] = _number(file, named[b"stsz"], 8)
    times: dict[bytes, npt.NDArray[np.int64]] = {}
    for kind, what in ((b"stts", "times"), (b"ctts", "orders")):
        if kind in named:
            times[kind] = _entries(file, named[kind], 2)
            counts[what] = int(times[kind][:, 0].sum())
    offsets = named.get(b"stco") or named.get(b"co64")
    if b"stsc" in named and offsets is not None:
        chunks = _number(file, offsets, 4)
        runs = _entries(file, named[b"stsc"], 3)
        firsts = np.append(runs[:, 0], chunks + 1)
        if len(runs) and ((np.diff(firsts) < 0).any() or firsts[0] != 1):
            raise Fault("the table of its chunks is out of order")
        counts["places"] = int((np.diff(firsts) * runs[:, 1]).sum())
        if b"stsz" in named and chunks and len(set(counts.values())) == 1:
            wide = 8 if offsets == named.get(b"co64") else 4
            starts = _entries(file, offsets, 1, wide)[
                :, 0
            ]  # of as many chunks as there is room for
            frames = np.repeat(runs[:, 1], np.diff(firsts))
            _chunks_fit(file, size, named[b"stsz"], starts, frames)
    if len(set(counts.values())) > 1:
        said = ", ".join(f"{count} {what}" for what, count in counts.items())
        raise Fault(f"its tables contradict each other: {said} of frames")
    about = media and _inside(file, media, b"mdhd")
    if about and len(times.get(b"stts", ())):
        _times_fit(file, about, times[b"stts"], times.get(b"ctts"))


def _times_fit(
    file: BinaryIO,
    about: tuple[int, int],
    steps: npt.NDArray[np.int64],
    shifts: npt.NDArray[np.int64] | None,
) -> None:
    """Check that frames are shown within about the time that a track is said to last.

    Args:
        file: The file.
        about: The place of the track's header.
        steps: Numbers of frames and the times that they last.
        shifts: Numbers of frames and by how much later they are shown than decoded.
    """
    at, wide = (24, 8) if read_at(file, about[0], 1) == b"\1" else (16, 4)
    said = int.from_bytes(read_at(file, about[0] + at, wide), "big")
    found, room = int((steps[:, 0] * steps[:, 1]).sum()), 3 * int(steps[:, 1].max())
    known = said not in (0, (1 << 8 * wide) - 1)
    if known and abs(found - said) > room + 0.1 * max(found, said):
        raise Fault(f"its frames last {found} units of time, not {said}")
    if shifts is not None and (abs(shifts[:, 1].astype(np.int32)) > found + room).any():
        raise Fault("it has a frame that is shown beyond its end")


def _chunks_fit(
    file: BinaryIO,
    size: int,
    table: tuple[int, int],
    starts: npt.NDArray[np.int64],
    frames: npt.NDArray[np.int64],
) -> None:
    """Check that no chunk of frames reaches into the next one, or beyond the file.

    Args:
        file: The file.
        size: Its bytes.
        table: The place of the table of the frames' sizes.
        starts: Where each chunk begins.
        frames: How many frames each chunk has.
    """
    if same := _number(file, table, 4):
        ends = starts + same * frames
    else:
        sizes = _entries(file, (table[0] + 4, table[1]), 1)[:, 0]
        until = np.append(0, np.cumsum(sizes))[np.append(0, np.cumsum(frames))]
        ends = starts + np.diff(until)
    order = np.argsort(starts)
    limits = np.append(starts[order][1:], size)
    wrong = np.flatnonzero(ends[order] > limits)
    if len(wrong):
        raise Fault(f"the frames at byte {starts[order][wrong[0]]} are larger than their place")


def _number(file: BinaryIO, place: tuple[int, int], at: int) -> int:
    return int.from_bytes(read_at(file, place[0] + at, 4), "big")


def _entries(
    file: BinaryIO, place: tuple[int, int], columns: int, wide: int = 4
) -> npt.NDArray[np.int64]:
    """Return the rows of a table of whole numbers of so many bytes."""
    count, start = _number(file, place, 4), place[0] + 8
    if start + wide * columns * count > place[1]:
        raise Fault(f"the table at byte {place[0]} is longer than its place")
    content = read_at(file, start, wide * columns * count)
    return np.frombuffer(content, f">u{wide}").astype(np.int64).reshape(-1, columns)
