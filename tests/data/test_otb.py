from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hcft_jax.data import datasets, otb
from hcft_jax.data.layout import ListedTarget
from hcft_jax.data.sequence import Frame, Sequence
from hcft_jax.data.synthetic import Drawing, Synthetic, synthetic
from hcft_jax.util.errors import InputError
from tests.conftest import LATER, shared


def make(
    root: Path,
    name: str,
    numbers: range | list[int],
    rows: int,
    *,
    suffix: str = "jpg",
    truth: str = "groundtruth_rect.txt",
    digits: int = 4,
) -> Path:
    """A sequence whose images cannot be decoded; row k is (k, k + 1, 10, 20), k from 1."""
    folder = root / name / "img"
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        (folder / f"{number:0{digits}d}.{suffix}").touch()
    text = "".join(f"{k},{k + 1},10,20\n" for k in range(1, rows + 1))
    (root / name / truth).write_text(text)
    return folder


def only(root: Path) -> Sequence:
    (target,) = datasets.find(root)
    return target.load()


def names(targets: list[ListedTarget]) -> list[str]:
    return [target.name for target in targets]


@pytest.fixture
def three(tmp_path: Path) -> Path:
    make(tmp_path, "Human10", range(1, 3), 2)
    make(tmp_path, "human2", range(1, 3), 2)
    make(tmp_path, "Jogging", range(1, 3), 2, truth="groundtruth_rect.1.txt")
    make(tmp_path, "Jogging", range(1, 3), 2, truth="groundtruth_rect.2.txt")
    (tmp_path / "anno").mkdir()
    (tmp_path / "README.md").touch()
    return tmp_path


def test_find_lists_targets_in_natural_order(three: Path) -> None:
    assert names(datasets.find(three)) == ["human2", "Human10", "Jogging-1", "Jogging-2"]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (["HUMAN2"], ["human2"]),
        (["jogging"], ["Jogging-1", "Jogging-2"]),
        (["Jogging-2", "human10", "Jogging-2", "HUMAN10"], ["Human10", "Jogging-2"]),
        (["Jogging-1", "Jogging"], ["Jogging-1", "Jogging-2"]),
        ([], []),
    ],
)
def test_find_selects_by_name(three: Path, wanted: list[str], found: list[str]) -> None:
    assert names(datasets.find(three, names=wanted)) == found


def test_a_single_numbered_ground_truth_keeps_its_number(tmp_path: Path) -> None:
    make(tmp_path, "Human4", range(1, 4), 3, truth="groundtruth_rect.2.txt")
    assert only(tmp_path).name == "Human4-2"


@pytest.mark.parametrize(
    ("name", "hint"), [("Joging-1", r" \(did you mean Jogging-1 or Jogging-2\?\)"), ("xyz", "")]
)
def test_an_unknown_name_lists_near_ones(three: Path, name: str, hint: str) -> None:
    with pytest.raises(InputError, match=f"no sequence '{name}'{hint}; it has 4 targets"):
        datasets.find(three, names=["human2", name])


def test_a_missing_root_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere: no such folder"):
        datasets.find(tmp_path / "nowhere")


def test_a_root_without_sequences_says_what_is_expected(tmp_path: Path) -> None:
    (tmp_path / "papers").mkdir()
    with pytest.raises(InputError, match=r"expected <Name>/img/0001\.jpg .* in it$"):
        datasets.find(tmp_path, "otb")


def test_a_sequence_without_truth_given_as_root_is_recognised(three: Path) -> None:
    (three / "human2" / "groundtruth_rect.txt").unlink()
    with pytest.raises(InputError, match="give its parent folder"):
        datasets.find(three / "human2")


def test_two_targets_of_one_name_are_refused(three: Path) -> None:
    make(three, "Jogging-1", range(1, 3), 2)
    with pytest.raises(InputError, match="are both Jogging-1"):
        datasets.find(three)


def test_a_broken_sequence_is_listed_and_fails_on_load_alone(three: Path) -> None:
    (three / "human2" / "groundtruth_rect.txt").unlink()
    (three / "Human10" / "groundtruth_rect.txt").write_text("rubbish")
    targets = datasets.find(three)
    assert names(targets) == ["human2", "Human10", "Jogging-1", "Jogging-2"]
    for broken in targets[:2]:
        with pytest.raises(InputError, match=r"groundtruth_rect\.txt"):
            broken.load()
    assert [len(target.load()) for target in targets[2:]] == [2, 2]


def test_load_gives_zero_based_boxes_of_all_frames(tmp_path: Path) -> None:
    folder = make(tmp_path, "Car", range(1, 4), 3)
    sequence = only(tmp_path)
    assert len(sequence) == 3
    assert sequence.first_frame == 1
    assert sequence.boxes.dtype == np.float64
    np.testing.assert_array_equal(sequence.boxes, [[k, k + 1, 10, 20] for k in range(3)])
    assert sequence.frames.label(2) == str(folder / "0003.jpg")


@pytest.mark.parametrize("suffix", ["jpg", "JPG", "jpeg", "png", "Bmp"])
@pytest.mark.parametrize("digits", [1, 5, 8])
def test_frames_are_sorted_by_number(tmp_path: Path, suffix: str, digits: int) -> None:
    folder = make(tmp_path, "Board", range(7, 13), 6, suffix=suffix, digits=digits)
    for other in ["Thumbs.db", "._0007.jpg", "cover.jpg", "13.txt"]:
        (folder / other).touch()
    sequence = only(tmp_path)
    assert sequence.first_frame == 7
    stems = [Path(sequence.frames.label(k)).stem for k in range(6)]
    assert stems == [f"{number:0{digits}d}" for number in range(7, 13)]


@pytest.mark.parametrize(("rows", "word"), [(4, "shorter"), (6, "longer")])
def test_ground_truth_of_another_length_names_both(tmp_path: Path, rows: int, word: str) -> None:
    folder = make(tmp_path, "Car", range(1, 6), rows)
    with pytest.raises(InputError) as error:
        only(tmp_path)
    for part in [f"{rows} boxes", "5 frames", word, str(folder), "groundtruth_rect.txt"]:
        assert part in str(error.value)


@pytest.mark.parametrize("name", ["Car", "Football1"])
def test_a_gap_names_the_first_missing_frame(tmp_path: Path, name: str) -> None:
    numbers = [number for number in range(1, 82) if number not in (40, 50)]
    make(tmp_path, name, numbers, 74 if name == "Football1" else 81)
    with pytest.raises(InputError, match="frame 40 is missing"):
        only(tmp_path)


def test_a_frame_in_two_files_is_refused(tmp_path: Path) -> None:
    folder = make(tmp_path, "Car", range(1, 4), 3)
    (folder / "2.png").touch()
    with pytest.raises(InputError, match="frame 2 is there twice"):
        only(tmp_path)


@pytest.mark.parametrize("state", ["absent", "empty", "file"])
def test_missing_frames_are_reported(tmp_path: Path, state: str) -> None:
    folder = make(tmp_path, "Car", [], 3)
    if state != "empty":
        folder.rmdir()
    if state == "file":
        folder.touch()
    with pytest.raises(InputError, match="img: no frames"):
        only(tmp_path)


@pytest.mark.parametrize(
    ("name", "present", "first", "count"),
    [
        ("David", range(1, 771), 300, 471),
        ("david", range(300, 771), 300, 471),
        ("DAVID", range(1, 472), 1, 471),
        ("Football1", range(1, 82), 1, 74),
        ("Freeman3", range(1, 461), 1, 460),
        ("Freeman4", range(1, 284), 1, 283),
        ("Diving", range(1, 232), 1, 215),
        ("BlurCar1", range(247, 989), 247, 742),
        ("BlurCar3", range(1, 360), 3, 357),
        ("BlurCar4", range(18, 398), 18, 380),
        ("Tiger1", range(6, 355), 6, 349),
    ],
)
def test_evaluated_range(tmp_path: Path, name: str, present: range, first: int, count: int) -> None:
    make(tmp_path, name, present, count)
    sequence = only(tmp_path)
    assert len(sequence) == len(sequence.boxes) == count
    assert sequence.first_frame == first
    assert Path(sequence.frames.label(0)).stem == f"{first:04d}"
    assert Path(sequence.frames.label(count - 1)).stem == f"{first + count - 1:04d}"
    np.testing.assert_array_equal(sequence.boxes[0], [0, 1, 10, 20])


@pytest.mark.parametrize("present", [range(1, 355), range(6, 355)], ids=["whole", "evaluated"])
def test_tiger1_drops_the_rows_before_its_evaluation(tmp_path: Path, present: range) -> None:
    make(tmp_path, "Tiger1", present, 354)
    sequence = only(tmp_path)
    assert (sequence.first_frame, len(sequence), len(sequence.boxes)) == (6, 349, 349)
    np.testing.assert_array_equal(sequence.boxes[0], [5, 6, 10, 20])


def test_a_range_with_another_number_of_rows_is_refused(tmp_path: Path) -> None:
    make(tmp_path, "David", range(1, 771), 770)
    with pytest.raises(InputError, match=r"770 boxes, but 471 frames \(300 to 770\)"):
        only(tmp_path)


def test_the_benchmark_loads() -> None:
    targets = datasets.find(shared("otb"))
    sequences = [target.load() for target in targets if target.name not in LATER]
    assert len(sequences) == 17
    assert sum(len(sequence) for sequence in sequences) == 5347 + 307  # both targets of Jogging
    for sequence in sequences:
        image = sequence.frames.read(0)
        x, y, w, h = sequence.boxes[0]
        assert 0 <= x < x + w <= image.shape[1]
        assert 0 <= y < y + h <= image.shape[0]


SMALL = Synthetic(frames=4, height=40, width=50, target=(12, 10), motion=5, scale=0.2)


def test_a_written_sequence_loads_as_it_was(tmp_path: Path) -> None:
    drawn = synthetic(SMALL)
    folder = otb.write(drawn, tmp_path)
    assert folder == tmp_path / drawn.name
    loaded = only(tmp_path)
    assert loaded.name == drawn.name
    np.testing.assert_allclose(loaded.boxes, drawn.boxes, rtol=0, atol=5.1e-5)
    for index in range(4):
        np.testing.assert_array_equal(loaded.frames.read(index), drawn.frames.read(index))


def test_written_boxes_are_one_based_with_four_decimals(tmp_path: Path) -> None:
    drawn = synthetic(SMALL)
    boxes = np.array([[0, 1.25, 10, 12], [0, 0, 0, 0], [-3, 2, 1, 1], [1, 1, 2 / 3, 4.0]])
    folder = otb.write(Sequence("a", drawn.frames, boxes), tmp_path)
    text = (folder / "groundtruth_rect.txt").read_text()
    assert text.splitlines()[0] == "1.0000,2.2500,10.0000,12.0000"
    assert text.splitlines()[3] == "2.0000,2.0000,0.6667,4.0000"


def test_jpeg_frames_keep_their_numbers(tmp_path: Path) -> None:
    drawn = synthetic(SMALL)
    sequence = Sequence("Car", drawn.frames, drawn.boxes, first_frame=247)
    folder = otb.write(sequence, tmp_path, image_format="jpg")
    files = sorted(path.name for path in (folder / "img").iterdir())
    assert files == [f"{number:04d}.jpg" for number in range(247, 251)]
    with Image.open(folder / "img" / "0247.jpg") as image:
        assert image.format == "JPEG"
    loaded = only(tmp_path)
    assert loaded.first_frame == 247
    difference = loaded.frames.read(3).astype(int) - drawn.frames.read(3)
    assert np.abs(difference).mean() < 6


def test_write_never_mixes_two_sequences(tmp_path: Path) -> None:
    drawn = synthetic(SMALL)
    otb.write(drawn, tmp_path)
    with pytest.raises(InputError, match="exists already"):
        otb.write(drawn, tmp_path)


@pytest.mark.parametrize("name", ["", "..", "a/b"])
def test_write_refuses_a_name_that_is_no_folder(tmp_path: Path, name: str) -> None:
    drawn = synthetic(SMALL)
    with pytest.raises(InputError, match="name of a folder"):
        otb.write(Sequence(name, drawn.frames, drawn.boxes), tmp_path)


def test_an_interrupted_write_does_not_pass_as_a_sequence(tmp_path: Path) -> None:
    class Failing(Drawing):
        def read(self, index: int) -> Frame:
            if index == 2:
                raise KeyboardInterrupt
            return super().read(index)

    drawing = Failing(SMALL)
    with pytest.raises(KeyboardInterrupt):
        otb.write(Sequence("a", drawing, drawing.boxes), tmp_path)
    with pytest.raises(InputError, match=r"groundtruth_rect\.txt: cannot read it"):
        only(tmp_path)
