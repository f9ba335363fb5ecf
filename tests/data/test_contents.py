"""A stamp sees every change of files; a digest tells a copy from a replacement."""

import os
import pickle
import shutil
from pathlib import Path

import pytest

from hcft_jax.data.contents import Contents


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    files = [tmp_path / f"{number:04d}.jpg" for number in range(1, 5)]
    for number, path in enumerate(files):
        path.write_bytes(bytes([number]) * 100)
    return files


def test_a_copy_has_another_stamp_and_the_same_digest(paths: list[Path], tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    copies = [Path(shutil.copy(path, tmp_path / "copy")) for path in paths]
    for path in copies:
        os.utime(path, ns=(0, 0))
    own, other = Contents(paths), Contents(copies)
    assert own.stamp(0, 3) != other.stamp(0, 3)
    assert own.digest(0, 3) == other.digest(0, 3)
    assert own.digest(0, 3) == Contents(paths).digest(0, 3)


def test_a_replacement_of_the_same_size_and_time_is_seen(paths: list[Path]) -> None:
    before = Contents(paths)
    stamp, digest = before.stamp(0, 3), before.digest(0, 3)
    times = paths[2].stat()
    paths[2].write_bytes(b"x" * 100)
    os.utime(paths[2], ns=(times.st_atime_ns, times.st_mtime_ns))
    after = Contents(paths)
    assert after.stamp(0, 3) != stamp
    assert after.digest(0, 3) != digest
    assert after.digest(0, 1) == before.digest(0, 1)


def test_a_part_has_the_digest_of_its_files(paths: list[Path]) -> None:
    assert Contents(paths).digest(1, 2) == Contents(paths[1:3]).digest(0, 1)


def test_files_that_change_after_the_first_look_are_named(paths: list[Path]) -> None:
    own = Contents(paths)
    own.look()
    assert own.changed(0, 3) is None
    paths[2].chmod(0o600)
    assert own.changed(0, 3) is None
    paths[2].write_bytes(b"longer than it was before" * 20)
    assert own.changed(0, 3) == paths[2]
    assert own.changed(0, 1) is None


def test_what_is_no_file_has_no_digest_and_is_not_waited_for(paths: list[Path]) -> None:
    os.mkfifo(paths[0].parent / "0005.jpg")
    own = Contents([*paths, paths[0].parent / "0005.jpg", paths[0].parent / "missing.jpg"])
    assert own.digest(0, 4) is None
    assert own.digest(5, 5) is None
    assert own.digest(0, 3) is not None


def test_a_thread_reads_ahead_what_another_process_reads_anew(
    paths: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    original = Contents._read

    def counted(self: Contents, index: int) -> bytes | None:
        read.append(index)
        return original(self, index)

    monkeypatch.setattr(Contents, "_read", counted)
    own = Contents(paths)
    own.begin(0, 3)
    again = pickle.loads(pickle.dumps(own))
    digest = own.digest(0, 3)
    assert sorted(read) == [0, 1, 2, 3]
    assert digest == again.digest(0, 3)
    assert len(read) == 8
