"""What the checks of containers share: how parts of a file are read, and what does not fit."""

from typing import BinaryIO

MOST = 2_000_000
"""Parts of a file that are looked at; 12 hours of video and sound have as many."""


class Fault(Exception):
    """What does not fit, in words."""


def read_at(file: BinaryIO, at: int, size: int) -> bytes:
    """Return so many bytes of an open file from a place on; fewer at its end."""
    file.seek(at)
    return file.read(size)
