"""Damage to small valid files, and things that are no files: for the tests of every reader."""

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from hcft_jax.util.errors import InputError

Read = TypeVar("Read")

# Files are written over and over in one folder, and a machine may be busy.
SETTINGS = settings(
    deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

NO_FILES = ("pipe", "device", "socket", "endless link")


def of(content: bytes) -> st.SearchStrategy[bytes]:
    """Contents with changed, removed, doubled or new bytes, or without their end."""
    places = st.integers(0, len(content) - 1)
    bits = st.integers(0, 7)
    few = st.binary(min_size=1, max_size=8)
    words = st.sampled_from([0, 1, 9, 14, 15, 255, 1 << 16, 1 << 24, 2**31 - 1, 2**32 - 1])

    def replaced(at: int, by: bytes) -> bytes:
        return content[:at] + by + content[at + len(by) :]

    return st.one_of(
        st.builds(lambda at, bit: replaced(at, bytes([content[at] ^ (1 << bit)])), places, bits),
        st.builds(replaced, places, few),
        st.builds(lambda at, word: replaced(at & ~3, word.to_bytes(4, "little")), places, words),
        st.builds(lambda at: content[:at], places),
        st.builds(lambda at, new: content[:at] + new + content[at:], places, few),
        st.builds(lambda at, n: content[:at] + content[at + n :], places, st.integers(1, 64)),
        st.builds(
            lambda at, n: content[:at] + content[at : at + n] * 2 + content[at + n :],
            places,
            st.integers(1, 256),
        ),
    )


def no_file(path: Path, kind: str) -> Path:
    """Put something else than a file at a path."""
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/null")
    elif kind == "endless link":
        path.symlink_to("/dev/zero")
    else:
        here = Path.cwd()
        os.chdir(path.parent)  # the path of a socket is short
        try:
            with socket.socket(socket.AF_UNIX) as made:
                made.bind(path.name)
        finally:
            os.chdir(here)
    return path


def read(path: Path, content: bytes, reader: Callable[[Path], Read]) -> Read | None:
    """Return what a reader makes of a content; None: it is refused in one line."""
    path.write_bytes(content)
    problem = ""
    try:
        return reader(path)
    except InputError as error:
        problem = str(error)
    assert problem.startswith(str(path))
    assert problem.isprintable()
    assert len(problem) < 400
    return None
