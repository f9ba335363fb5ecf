"""Whether the packets of an MPEG transport stream follow each other."""

from typing import BinaryIO

import numpy as np

from hcft_jax.data.faults import Fault, read_at

SIZES = (188, 192, 204)
"""Bytes of a packet: alone, after a time, before a code that corrects errors."""
HEAD = 1 << 16
"""Bytes at the beginning of a file that tell which."""
_MARK = 0x47  # with which a packet begins
_AT_ONCE = 1 << 13  # packets


def aligned(head: bytes) -> tuple[int, int]:
    """Return how many bytes the packets of a transport stream have, and where the first begins.

    Args:
        head: The file's first bytes, some packets of them.

    Returns:
        What most of its marks say: some may be damaged; (0, 0) where there are too few.
    """
    marks = np.frombuffer(head, np.uint8) == _MARK
    found = [
        (int(marks[first::length].sum()) * length, length, first)
        for length in SIZES
        for first in range(min(length, len(head)))
    ]
    most, length, first = max(found, default=(0, 0, 0), key=lambda each: each[0])
    if not 2 * most > len(head) >= 3 * length:
        return 0, 0
    # what most say is shifted where a byte was lost after the first packets
    whole = length != SIZES[1] and bool(marks[0] and marks[length])
    return length, 0 if whole else first


def check(file: BinaryIO, size: int) -> None:
    """Check that packets follow each other, and how pictures begin in them.

    FFmpeg skips what is neither.

    Args:
        file: The open file.
        size: Its bytes.

    Raises:
        Fault: A packet does not begin where it should, or nothing begins in it that should.
        OSError: It cannot be read.
    """
    length, at = aligned(read_at(file, 0, HEAD))
    if not length:
        return
    begins: dict[int, list[int]] = {}  # of each stream: where something begins, negative if not
    file.seek(at)
    while content := file.read(length * _AT_ONCE):
        packets = np.frombuffer(content, np.uint8)
        packets = np.append(packets, np.zeros(-len(packets) % length, np.uint8))
        packets = packets.reshape(-1, length)
        wrong = np.flatnonzero(packets[:, 0] != _MARK)
        if len(wrong):
            raise Fault(f"no packet at byte {at + length * int(wrong[0])}")
        for number in np.flatnonzero((packets[:, 1] & 0x40 != 0) & (packets[:, 3] & 0xD0 == 0x10)):
            head = packets[number].tobytes()
            start = 5 + head[4] if head[3] & 0x20 else 4
            part = head[start : start + 7]
            sound = len(part) == 7 and part.startswith(b"\0\0\1") and part[6] & 0xC0 == 0x80
            place = at + length * int(number)
            begins.setdefault(head[1] << 8 & 0x1F00 | head[2], []).append(
                place if sound else ~place
            )
        at += len(content)
    for places in begins.values():
        odd = [~place for place in places if place < 0]
        if 2 * len(odd) < len(places) and odd:  # else it is a table
            raise Fault(f"nothing begins in the packet at byte {odd[0]}")
