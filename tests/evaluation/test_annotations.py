from pathlib import Path

import numpy as np
import pytest

from hcft_jax.data.otb import ANNOTATED_FROM, RANGES
from hcft_jax.evaluation import annotations
from hcft_jax.evaluation.annotations import Benchmark
from hcft_jax.evaluation.toolkit import Published
from hcft_jax.util.errors import InputError
from tests.conftest import shared


def test_targets_are_read(small: Benchmark) -> None:
    assert list(small.targets) == ["One", "Two-1", "Two-2", "Human4-2", "Tiger1"]
    one = small.targets["One"]
    assert (one.first_frame, one.annotated_from) == (1, 1)
    assert one.attributes == {"IV", "OCC"}
    assert one.omit == ((2, 3), (4, 4))
    np.testing.assert_array_equal(one.truth[:, 0], [20, 23, 26, 29])


def test_subsets_are_those_of_the_table(small: Benchmark) -> None:
    assert small.subset("OTB100") == list(small.targets)
    assert small.subset("CVPR13") == ["One", "Two-2", "Tiger1"]
    assert small.subset("TB50") == ["One", "Two-1"]


def test_tiger1_is_evaluated_from_frame_6(small: Benchmark) -> None:
    tiger = small.targets["Tiger1"]
    assert (tiger.annotated_from, tiger.first_frame) == (1, 6)
    np.testing.assert_array_equal(tiger.truth[:, 0], [35, 38, 41, 44])
    np.testing.assert_array_equal(
        tiger.align(Published(np.arange(36.0).reshape(9, 4), None))[:, 0], [20, 24, 28, 32]
    )


def test_names_are_found_in_other_spellings(small: Benchmark) -> None:
    assert small.name_of("two.2") == "Two-2"
    assert small.name_of("Human4") == "Human4-2"
    assert small.name_of("Two") is None


def test_the_benchmark_is_whole() -> None:
    benchmark = annotations.load(shared("otb_meta"))
    sizes = [len(benchmark.subset(subset)) for subset in annotations.SUBSETS]
    assert sizes == [100, 51, 50]
    frames = {name: len(target.truth) for name, target in benchmark.targets.items()}
    assert sum(frames.values()) == 59_040 - 5  # the first five of Tiger1
    assert sum(frames[name] for name in benchmark.subset("CVPR13")) == 29_491 - 5
    assert sum(bool(target.omit) for target in benchmark.targets.values()) == 27
    for name, target in benchmark.targets.items():  # the table agrees with the data set's ranges
        if name.lower() in RANGES:
            first, last = RANGES[name.lower()]
            assert target.first_frame == first
            assert len(target.truth) == last - first + 1
            assert target.annotated_from == ANNOTATED_FROM.get(name.lower(), first)


@pytest.mark.parametrize(
    ("path", "old", "new", "message"),
    [
        ("attributes.csv", "startFrame", "start", r"attributes\.csv: no column startFrame"),
        ("attributes.csv", "One,1,4", "One,x,4", r"attributes\.csv, line 2: "),
        ("attributes.csv", "Two-2", "Two-1", r"line 4: the target Two-1 occurs twice"),
        (
            "attributes.csv",
            "One,1,4",
            "One,1,9",
            r"One\.txt: 4 rows, but the table says frames 1 to 9",
        ),
        ("anno/One.txt", "23\t", "", r"One\.txt, line 2: 3 columns"),
        ("anno/One.txt", "20\t", "0\t", r"One\.txt: the first evaluated frame, 1, has no valid"),
        (
            "initOmit/One.txt",
            "2 3",
            "2",
            r"One\.txt, line 1: expected two frame numbers, first and last",
        ),
        ("initOmit/One.txt", "2 3", "2 " + "3" * 5000, r"One\.txt, line 1: '3{40}' is not a whole"),
        ("attributes.csv", "One,1,4", "One,1," + "4" * 5000, "line 2: '4{40}' is not a whole"),
        ("attributes.csv", "One,1,4", "../One,1,4", r"csv: '\.\./One' is not the name"),
        ("attributes.csv", "One,1,4", "O\0ne,1,4", r"csv: 'O\\x00ne' is not the name"),
        ("attributes.csv", "One,1,4", "One" * 99 + ",1,4", "csv: '.*' is not the name"),
        ("attributes.csv", "One,1,4", "x" * 131_073 + ",1,4", "line 2: field larger than"),
    ],
)
def test_a_bad_file_is_named(folder: Path, path: str, old: str, new: str, message: str) -> None:
    text = (folder / path).read_text()
    assert old in text
    (folder / path).write_text(text.replace(old, new, 1))
    with pytest.raises(InputError, match=message):
        annotations.load(folder)


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / "anno" / "One.txt").unlink()
    with pytest.raises(InputError, match=r"One\.txt"):
        annotations.load(folder)
    with pytest.raises(InputError, match="absent: no such folder"):
        annotations.load(folder / "absent")
