"""Files that are shorter than their own container says, and files that only look like it."""

import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hcft_jax.data import endings

MP4, MKV = "mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm"
HEADER = b"\x1a\x45\xdf\xa3\x84" + bytes(4) + b"\x18\x53\x80\x67"
WHOLE = {
    MP4: struct.pack(">I4s8xI4s8x", 16, b"ftyp", 16, b"mdat"),
    MKV: HEADER + b"\x90" + bytes(16),
    "avi": b"RIFF" + struct.pack("<I", 20) + bytes(20),
    "mpegts": b"\x47".ljust(188, b"\0") * 5,
    "gif": b"GIF89a" + bytes(20) + b";",
    "mjpeg": b"\xff\xd8" + b"x" * 20 + b"\xff\xd9",
}


def missing(folder: Path, kind: str, content: bytes) -> str:
    path = folder / "a"
    path.write_bytes(content)
    return endings.missing(path, kind)


@pytest.mark.parametrize("kind", WHOLE)
def test_a_whole_file_lacks_nothing_and_a_cut_one_does(kind: str, tmp_path: Path) -> None:
    assert missing(tmp_path, kind, WHOLE[kind]) == ""
    assert missing(tmp_path, kind, WHOLE[kind][:-3]) != ""


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        (MP4, WHOLE[MP4] + b"appended by somebody"),
        (MP4, struct.pack(">I4s", 0, b"mdat") + bytes(50)),
        (MP4, struct.pack(">I4sQ", 1, b"mdat", 40) + bytes(24)),
        (MKV, HEADER + b"\x01" + b"\xff" * 7 + bytes(9)),
        ("avi", b"RIFF" + bytes(4) + bytes(20)),
        ("avi", WHOLE["avi"] * 2),
        ("mpegts", b"\0\0\0\0\x47".ljust(192, b"\0") * 5),
        ("gif", WHOLE["gif"] + bytes(100)),
        ("h264", b""),
    ],
)
def test_what_is_not_said_is_not_missing(kind: str, content: bytes, tmp_path: Path) -> None:
    assert missing(tmp_path, kind, content) == ""


def test_the_second_part_of_a_large_avi_counts(tmp_path: Path) -> None:
    assert missing(tmp_path, "avi", WHOLE["avi"] * 2 + WHOLE["avi"][:-9]) == (
        "its last 9 bytes are missing"
    )


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(sorted(WHOLE)), st.binary(max_size=80), st.integers(0, 60))
def test_any_bytes_are_judged(tmp_path: Path, kind: str, more: bytes, cut: int) -> None:
    assert isinstance(missing(tmp_path, kind, WHOLE[kind][:cut] + more), str)
