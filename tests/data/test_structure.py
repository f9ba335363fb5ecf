"""Parts of a video file that do not fit together, where no checksum would tell."""

import re
import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hcft_jax.data import structure
from tests import damage, films

CLUSTER = b"\x1f\x43\xb6\x75"
MP4 = "mov,mp4,m4a,3gp,3g2,mj2"
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "a.mp4": (MP4, {"codec": "libx264", "pixels": "yuv420p"}),
    "fragments.mp4": (
        MP4,
        {
            "codec": "libx264",
            "pixels": "yuv420p",
            "container_options": {"movflags": "frag_keyframe+empty_moov"},
        },
    ),
    "a.avi": ("avi", {"codec": "mpeg4", "pixels": "yuv420p", "tick": Fraction(1, 25)}),
    "a.gif": ("gif", {"codec": "gif", "pixels": "rgb8", "tick": Fraction(1, 25)}),
    "a.mkv": ("matroska,webm", {"codec": "libx264", "pixels": "yuv420p"}),
    "a.ts": ("mpegts", {"codec": "libx264", "pixels": "yuv420p"}),
    "a.mjpeg": ("mjpeg", {"codec": "mjpeg", "pixels": "yuvj420p", "tick": Fraction(1, 25)}),
}


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("films")
    picture = np.random.default_rng(0).integers(0, 256, (48, 64, 3)).astype(np.uint8)
    frames = [np.roll(picture, 2 * t, axis=1) for t in range(12)]
    written = (films.write(folder / name, frames, **how) for name, (_, how) in KINDS.items())
    return {path.name: path.read_bytes() for path in written}


def fault(folder: Path, name: str, content: bytes) -> str:
    path = folder / name
    path.write_bytes(content)
    return structure.fault(path, KINDS[name][0])


@pytest.mark.parametrize("name", KINDS)
def test_the_parts_of_a_sound_file_fit(sounds: dict[str, bytes], name: str, tmp_path: Path) -> None:
    assert fault(tmp_path, name, sounds[name]) == ""


def after(content: bytes, mark: bytes, skipped: int, by: bytes, last: bool = False) -> bytes:
    """Bytes replaced at a distance after a mark."""
    at = (content.rindex(mark) if last else content.index(mark)) + len(mark) + skipped
    return content[:at] + by + content[at + len(by) :]


def unchecked(content: bytes) -> bytes:
    """Without Matroska's checksums: what nobody reads in their place."""
    return content.replace(b"\xbf\x84", b"\xec\x84")


def before(content: bytes, kind: bytes) -> bytes:
    """Two bytes more before a box."""
    at = content.rindex(kind) - 4
    return content[:at] + b"\0\0" + content[at:]


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("a.mp4", lambda c: after(c, b"stts", 8, b"\0\0\0\7"), "contradict each other: .*7 times"),
        ("a.mp4", lambda c: after(c, b"stsz", 8, b"\0\0\0\5"), "contradict each other: 5 sizes"),
        ("a.mp4", lambda c: after(c, b"stsc", 8, b"\0\0\0\2"), "out of order"),
        ("a.mp4", lambda c: after(c, b"stts", 4, b"\xff"), "longer than its place"),
        ("a.mp4", lambda c: before(c, b"moov"), "'moov' at byte .* out of place"),
        ("fragments.mp4", lambda c: before(c, b"mfra"), "'mfra' at byte .* out of place"),
        ("a.avi", lambda c: after(c, b"movi00dc", 0, b"\xff" * 3), "chunk at byte .* not fit"),
        ("a.avi", lambda c: c.replace(b"00dc", b"00\0c", 3), "chunk at byte .* not fit"),
        ("a.avi", lambda c: after(c, b"00dc", 40, b"x" * 8) + b"xx", ""),
        ("a.avi", lambda c: c.replace(b"00dc", b"01dc", 3), "chunk at byte .* is of no stream"),
        ("a.avi", lambda c: c.replace(b"00dc", b"00wb", 3), "chunk at byte .* is of no stream"),
        ("a.mp4", lambda c: after(c, b"stsz", 12, b"\0\x7f"), "are larger than their place"),
        ("a.mp4", lambda c: after(c, b"stsz", 4, b"\x7f"), "are larger than their place"),
        ("a.mp4", lambda c: after(c, b"stco", 4, b"\x7f"), "contradict|longer than its"),
        ("a.mp4", lambda c: after(c, b"stco", 8, b"\x7f"), "are larger than their place"),
        (
            "a.mkv",
            lambda c: after(unchecked(c), CLUSTER, 8, bytes(9), last=True),
            "no element at byte",
        ),
        (
            "a.mkv",
            lambda c: after(unchecked(c), CLUSTER, -4, b"\x11", last=True),
            "no element at byte",
        ),
        ("a.mp4", lambda c: after(c, b"stts", 12, b"\0\0\0\1"), "its frames last 12 units of time"),
        ("a.mp4", lambda c: after(c, b"ctts", 12, b"\1"), "a frame that is shown beyond its end"),
        ("a.mkv", lambda c: after(c, b"\x81\0\x50\0", 9, b"\0"), "a wrong checksum of the element"),
        ("a.mkv", lambda c: after(c, b"\xb0\x81", 0, b"\x50"), "a wrong checksum of the element"),
        (
            "a.mkv",
            lambda c: after(unchecked(c), b"\x81\0\x50\0", -4, b"\x82"),
            "block at byte .* of no track",
        ),
        ("a.ts", lambda c: after(c[:1880], b"", 0, b"\0") + c[1880:], "no packet at byte 0"),
        ("a.ts", lambda c: c[:376] + bytes(188) + c[564:], "no packet at byte 376"),
        ("a.ts", lambda c: c[:376] + c[377:], "no packet at byte 376"),
        (
            "a.ts",
            lambda c: after(c, b"\0\0\1\xe0", -3, b"\1", last=True),
            "nothing begins in the pa",
        ),
        ("a.gif", lambda c: after(c, b"!\xf9", 0, b"\x09"), "no block at byte"),
        ("a.mjpeg", lambda c: c[7:], "does not begin with a picture"),
    ],
)
def test_what_does_not_fit_is_said(
    sounds: dict[str, bytes],
    name: str,
    change: Callable[[bytes], bytes],
    said: str,
    tmp_path: Path,
) -> None:
    found = fault(tmp_path, name, change(sounds[name]))
    assert bool(found) == bool(said)
    if said:
        assert re.search(said, found)


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("a.mp4", b"appended by somebody \0\0\0\0moov"),
        ("a.mp4", struct.pack(">I4s4x", 12, b"junk")),
        ("a.gif", bytes(100)),
        ("a.avi", bytes(100)),
    ],
)
def test_what_somebody_has_appended_is_no_fault(
    sounds: dict[str, bytes], name: str, more: bytes, tmp_path: Path
) -> None:
    assert fault(tmp_path, name, sounds[name] + more) == ""


def test_a_program_may_leave_out_the_filling_after_odd_chunks(tmp_path: Path) -> None:
    movi = b"movi" + b"00dc\3\0\0\0abc" + b"00dc\2\0\0\0ab"
    body = b"AVI " + b"LIST" + struct.pack("<I", len(movi)) + movi
    assert fault(tmp_path, "a.avi", b"RIFF" + struct.pack("<I", len(body)) + body) == ""


@pytest.mark.parametrize("name", KINDS)
@damage.SETTINGS
@given(data=st.data())
def test_any_bytes_are_judged(
    sounds: dict[str, bytes], name: str, data: st.DataObject, tmp_path: Path
) -> None:
    fault(tmp_path, name, data.draw(damage.of(sounds[name])))
