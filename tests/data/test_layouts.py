"""Small folders in the layouts of the data sets, and what is made of them."""

import re
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from hcft_jax.data import datasets, got10k, nfs, uav123, vot
from hcft_jax.data.datasets import DATASETS, find
from hcft_jax.data.layout import MOST_NAMES
from hcft_jax.data.sequence import Sequence
from hcft_jax.util.boxes import Boxes
from hcft_jax.util.errors import InputError
from tests import damage

ROWS = [(11, 21, 30, 40), (12, 22, 30, 40), (13, 23, 30, 40), (14, 24, 30, 40)]
ZERO_BASED = np.array(ROWS, float) - [1, 1, 0, 0]
NAN = [np.nan] * 4


def frames(folder: Path, numbers: range, digits: int = 8, suffix: str = "jpg") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        Image.new("RGB", (64, 48), (number % 256, 0, 0)).save(
            folder / f"{number:0{digits}d}.{suffix}"
        )


def text(path: Path, rows: object, separator: str = ",") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not isinstance(rows, str):
        rows = "".join(separator.join(map(str, row)) + "\n" for row in rows)  # type: ignore[attr-defined]
    path.write_text(rows)
    return path


def make_otb(root: Path) -> None:
    frames(root / "Deer" / "img", range(1, 5), 4)
    text(root / "Deer" / "groundtruth_rect.txt", ROWS)


def make_got10k(root: Path) -> None:
    text(root / "val" / "list.txt", "GOT-10k_Val_000001\nGOT-10k_Val_000002\n")
    for name in ("GOT-10k_Val_000001", "GOT-10k_Val_000002"):
        frames(root / "val" / name, range(1, 5))
        text(root / "val" / name / "groundtruth.txt", ROWS)
        text(root / "val" / name / "absence.label", "0\n0\n1\n0\n")
        text(root / "val" / name / "cover.label", "8\n0\n0\n3\n")
    text(root / "test" / "list.txt", "GOT-10k_Test_000001\n")
    frames(root / "test" / "GOT-10k_Test_000001", range(1, 5))
    text(root / "test" / "GOT-10k_Test_000001" / "groundtruth.txt", ROWS[:1])


def make_lasot(root: Path) -> None:
    for name in ("airplane-1", "airplane-15", "cat-1"):
        folder = root / name.split("-")[0] / name
        frames(folder / "img", range(1, 5))
        text(folder / "groundtruth.txt", ROWS)
        text(folder / "full_occlusion.txt", "0,0,1,0")
        text(folder / "out_of_view.txt", "0,1,0,0\n")
        text(folder / "nlp.txt", "a thing")


def make_uav123(root: Path) -> None:
    frames(root / "data_seq" / "UAV123" / "bird1", range(773, 780), 6)
    frames(root / "data_seq" / "UAV123" / "bike1", range(1, 5), 6)
    frames(root / "data_seq" / "UAV123" / "car1_s", range(1, 5), 6)
    rows = [ROWS[0], ("NaN",) * 4, ROWS[2], ROWS[3]]
    text(root / "anno" / "UAV123" / "bird1_2.txt", rows)
    for name in ("bike1", "car1_s"):
        text(root / "anno" / "UAV123" / f"{name}.txt", ROWS)
    text(root / "anno" / "UAV123" / "att" / "bike1.txt", "0,0,1")


def make_vot(root: Path) -> None:
    text(root / "list.txt", "book\nball1\n")
    frames(root / "book" / "color", range(1, 5))
    rows = "10.5,20,40.5,20,40.5,60,10.5,60.25\n1\n10,20,30,40\nm3,4,4,2,1,2,5\n"
    text(root / "book" / "groundtruth.txt", rows)
    frames(root / "ball1", range(1, 5))
    text(root / "ball1" / "groundtruth.txt", "10,20,30,40\n-5,-6,30,40\n")


def make_trackingnet(root: Path) -> None:
    for subset, rows in (("TEST", ROWS[:1]), ("TRAIN_3", ROWS)):
        frames(root / subset / "frames" / f"x_-{subset}", range(12), 1)
        text(
            root / subset / "anno" / f"x_-{subset}.txt", [*rows, *rows, *rows] if rows[1:] else rows
        )


def make_nfs(root: Path, rate: int = 30) -> None:
    frames(root / "a dog" / str(rate) / "a dog", range(1, 5), 5)
    corners = [
        (0, x, y, x + w, y + h, i, 0, 0, 0, '"a dog"') for i, (x, y, w, h) in enumerate(ROWS)
    ]
    text(root / "a dog" / str(rate) / "a dog.txt", corners, " ")


def make_plain(root: Path) -> None:
    frames(root / "mine", range(8, 12), 1, "png")
    text(root / "mine" / "groundtruth.txt", [ROWS[0], ("nan",) * 4, (0, 0, 0, 0), ROWS[3]])


MAKERS: dict[str, Callable[[Path], None]] = {
    "otb": make_otb,
    "got10k": make_got10k,
    "lasot": make_lasot,
    "uav123": make_uav123,
    "vot": make_vot,
    "trackingnet": make_trackingnet,
    "nfs30": make_nfs,
    "nfs240": lambda root: make_nfs(root, 240),
    "plain": make_plain,
}


def load(root: Path, name: str, dataset: str = "auto") -> Sequence:
    (target,) = find(root, dataset, [name])
    return target.load()


def load_all(root: Path, dataset: str) -> list[Sequence]:
    return [target.load() for target in find(root, dataset)]


def boxes(root: Path, name: str) -> Boxes:
    sequence = load(root, name)
    assert len(sequence.boxes) == len(sequence)
    return sequence.boxes


@pytest.mark.parametrize("name", MAKERS)
def test_a_folder_is_recognised_and_read(tmp_path: Path, name: str) -> None:
    MAKERS[name](tmp_path)
    assert datasets.recognise(tmp_path) == name
    for target in find(tmp_path):
        sequence = target.load()
        assert sequence.name == target.name
        assert sequence.frames.read(len(sequence) - 1).shape == (48, 64, 3)
        assert np.isfinite(sequence.boxes[0]).all()
    with pytest.raises(InputError, match="no sequence 'no such name'"):
        find(tmp_path, names=["no such name"])


def test_every_data_set_has_a_test() -> None:
    assert set(MAKERS) | {"uav20l"} == set(DATASETS)


def test_got10k_does_not_judge_what_cannot_be_seen(tmp_path: Path) -> None:
    make_got10k(tmp_path)
    expected = ZERO_BASED.copy()
    expected[1] = expected[2] = np.nan
    np.testing.assert_array_equal(boxes(tmp_path, "GOT-10k_Val_000002"), expected)


def test_a_test_set_has_the_first_box_alone(tmp_path: Path) -> None:
    make_got10k(tmp_path / "got10k")
    got = boxes(tmp_path / "got10k", "GOT-10k_Test_000001")
    np.testing.assert_array_equal(got, [ZERO_BASED[0], NAN, NAN, NAN])
    make_trackingnet(tmp_path / "net")
    np.testing.assert_array_equal(boxes(tmp_path / "net", "x_-TEST"), [ROWS[0], *[NAN] * 11])


def test_subsets_select_their_sequences(tmp_path: Path) -> None:
    make_got10k(tmp_path / "got10k")
    assert [t.name for t in find(tmp_path / "got10k", names=["val"])] == [
        "GOT-10k_Val_000001",
        "GOT-10k_Val_000002",
    ]
    assert len(find(tmp_path / "got10k" / "val")) == 2  # a subset is a data set, too
    make_lasot(tmp_path / "lasot")
    assert [t.name for t in find(tmp_path / "lasot", names=["airplane"])] == [
        "airplane-1",
        "airplane-15",
    ]
    assert len(find(tmp_path / "lasot" / "airplane")) == 2
    make_trackingnet(tmp_path / "net")
    assert [t.name for t in find(tmp_path / "net", names=["TRAIN_3"])] == ["x_-TRAIN_3"]
    assert len(find(tmp_path / "net" / "TEST")) == 1


def test_lasot_does_not_judge_absent_targets(tmp_path: Path) -> None:
    make_lasot(tmp_path)
    expected = ZERO_BASED.copy()
    expected[1] = expected[2] = np.nan
    sequence = load(tmp_path, "airplane-15")
    np.testing.assert_array_equal(sequence.boxes, expected)
    assert not sequence.sizes_only


def test_uav123_has_long_videos_in_parts(tmp_path: Path) -> None:
    make_uav123(tmp_path)
    part = load(tmp_path, "bird1_2")
    assert (part.first_frame, len(part)) == (775, 4)
    assert [part.frames.label(i)[-10:] for i in (0, 3)] == ["000775.jpg", "000778.jpg"]
    np.testing.assert_array_equal(part.boxes, [ZERO_BASED[0], NAN, *ZERO_BASED[2:]])
    assert [t.name for t in find(tmp_path, names=["bird1"])] == ["bird1_2"]
    assert load(tmp_path, "car1_s").frames.label(0).endswith("car1_s/000001.jpg")


def test_the_parts_of_uav123_follow_each_other() -> None:
    assert len(uav123.STARTS) == 32
    for name, start in uav123.STARTS.items():
        video, _, number = name.rpartition("_")
        before = uav123.STARTS.get(f"{video}_{int(number) - 1}", 1)
        assert (start > before, start % 6) == (True, 1)  # annotated from every third or sixth frame


def test_uav20l_shares_the_frames_of_uav123(tmp_path: Path) -> None:
    frames(tmp_path / "data_seq" / "UAV123" / "bird1", range(1, 5), 6)
    text(tmp_path / "anno" / "UAV20L" / "bird1.txt", ROWS)
    assert datasets.recognise(tmp_path) == "uav20l"
    np.testing.assert_array_equal(boxes(tmp_path, "bird1"), ZERO_BASED)


def test_vot_regions_become_boxes(tmp_path: Path) -> None:
    make_vot(tmp_path)
    expected = [[10.5, 20, 30, 40.25], NAN, [10, 20, 30, 40], [4, 4, 2, 1]]
    np.testing.assert_array_equal(boxes(tmp_path, "book"), expected)
    ball = load(tmp_path, "ball1")  # regions missing at the end are unknown; some leave the image
    np.testing.assert_array_equal(ball.boxes, [[10, 20, 30, 40], [-5, -6, 30, 40], NAN, NAN])
    assert ball.sizes_only


@pytest.mark.parametrize(
    "row",
    ["", "1,2", "1,2,3", "1,2,3,x", "m1,2,3", "m1,2,2,2,9", "m0,0,99999,99999,1", "1,2,3,4,5"],
)
def test_what_is_no_region_is_an_error(tmp_path: Path, row: str) -> None:
    path = text(tmp_path / "groundtruth.txt", f"1,2,3,4\n{row}\n5,6,7,8\n")
    with pytest.raises(InputError, match=r"groundtruth\.txt, line 2"):
        vot.parse(path)


coordinates = st.floats(-1e5, 1e5, allow_nan=False, width=32)


@given(st.lists(st.tuples(coordinates, coordinates), min_size=3, max_size=8))
def test_a_polygon_lies_in_its_box_and_touches_it(points: list[tuple[float, float]]) -> None:
    x, y, w, h = vot.around(points)
    across, down = np.array(points).T
    assert (x, y) == (across.min(), down.min())
    assert w == pytest.approx(np.ptp(across))
    assert h == pytest.approx(np.ptp(down))


def test_the_box_of_a_mask_does_not_need_its_pixels() -> None:
    tracemalloc.start()
    try:
        box = vot.around_mask([0, 0, 8192, 8192, 0, 2**26])
        assert tracemalloc.get_traced_memory()[1] < 1 << 16
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(box, [0, 0, 8192, 8192])


def test_a_row_of_a_mask_is_bounded(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("m0,0,9,9" + ",1" * 3_000_000)
    with pytest.raises(InputError, match=r"a\.txt, line 1: too long for a region"):
        vot.parse(tmp_path / "a.txt")


@settings(deadline=None)
@given(st.data(), st.integers(1, 9), st.integers(1, 9))
def test_a_mask_has_the_box_of_its_pixels(data: st.DataObject, width: int, height: int) -> None:
    bits = data.draw(st.lists(st.booleans(), min_size=width * height, max_size=width * height))
    runs, value = [0], False
    for bit in bits:
        if bit != value:
            runs.append(0)
            value = bit
        runs[-1] += 1
    box = vot.around_mask([5, 7, width, height, *runs])
    rows, columns = np.nonzero(np.reshape(bits, (height, width)))
    assert box is not None
    if not any(bits):
        assert np.isnan(box).all()
    else:
        low = columns.min(), rows.min()
        size = np.ptp(columns) + 1, np.ptp(rows) + 1
        np.testing.assert_array_equal(box, [5 + low[0], 7 + low[1], *size])


@given(st.text(alphabet="0123456789.,-mnaNe\n ", max_size=60))
def test_any_text_is_regions_or_an_error(content: str) -> None:
    path = Path("groundtruth.txt")
    for number, line in enumerate(content.split("\n"), 1):
        try:
            box = vot.region_box(path, number, line)
        except InputError:
            continue
        assert box.shape == (4,)


def test_nfs_corners_become_boxes(tmp_path: Path) -> None:
    make_nfs(tmp_path)
    np.testing.assert_array_equal(boxes(tmp_path, "a dog"), ROWS)


@pytest.mark.parametrize("surplus", [-1, 0, 1])
def test_nfs_at_30_hz_may_have_the_rows_of_240(tmp_path: Path, surplus: int) -> None:
    frames(tmp_path / "cup" / "30" / "cup", range(1, 5), 5)
    rows = [(0, i, i, i + 9, i + 9, i, 0, 0, 0, '"cup"') for i in range(32 + surplus)]
    text(tmp_path / "cup" / "30" / "cup.txt", rows, " ")
    np.testing.assert_array_equal(boxes(tmp_path, "cup")[:, 0], [0, 8, 16, 24])


def test_a_frame_of_nfs_that_is_missing_at_the_beginning_is_an_error(tmp_path: Path) -> None:
    make_nfs(tmp_path)
    folder = tmp_path / "a dog" / "30" / "a dog"
    (folder / "00004.jpg").unlink()
    assert len(boxes(tmp_path, "a dog")) == 3  # one surplus row at the end is ignored
    (folder / "00001.jpg").rename(folder / "00004.jpg")
    with pytest.raises(InputError, match="4 boxes, but 3 frames"):
        load(tmp_path, "a dog")


def test_both_rates_of_nfs_in_one_folder_must_be_told_apart(tmp_path: Path) -> None:
    make_nfs(tmp_path, 30)
    make_nfs(tmp_path, 240)
    with pytest.raises(
        InputError, match=r"^dataset: .* could be nfs30 or nfs240: name one of them"
    ):
        find(tmp_path)
    assert len(find(tmp_path, "nfs240")) == 1


numbers = st.integers(-10_000, 10_000)


@given(st.lists(st.tuples(numbers, numbers, numbers, numbers), min_size=1, max_size=5))
def test_nfs_rows_survive_the_way_through_a_file(
    tmp_path_factory: pytest.TempPathFactory, corners: list[tuple[int, int, int, int]]
) -> None:
    path = tmp_path_factory.mktemp("nfs") / "x.txt"
    text(path, [(7, *c, 0, 0, '"two words"') for c in corners], " ")
    expected = [(a, b, c - a, d - b) for a, b, c, d in corners]
    np.testing.assert_array_equal(nfs.parse(path), expected)


@pytest.mark.parametrize("row", ["1 2 3 4", "a b c d e f", "0 1 2 3 inf", ""])
def test_a_bad_row_of_nfs_names_its_line(tmp_path: Path, row: str) -> None:
    path = text(tmp_path / "x.txt", f"0 1 2 3 4 5\n{row}\n0 1 2 3 4 5\n")
    with pytest.raises(InputError, match=r"x\.txt, line 2"):
        nfs.parse(path)


def test_a_plain_folder_may_be_one_sequence_or_hold_some(tmp_path: Path) -> None:
    make_plain(tmp_path)
    sequence = load(tmp_path, "mine")
    np.testing.assert_array_equal(sequence.boxes, [ZERO_BASED[0], NAN, NAN, ZERO_BASED[3]])
    assert [sequence.frames.label(i)[-6:] for i in range(4)] == [
        "/8.png",
        "/9.png",
        "10.png",
        "11.png",
    ]
    (alone,) = find(tmp_path / "mine")
    np.testing.assert_array_equal(alone.load().boxes, sequence.boxes)


def test_a_plain_folder_without_a_box_says_where_to_write_it(tmp_path: Path) -> None:
    frames(tmp_path / "mine", range(3))
    (target,) = find(tmp_path)
    with pytest.raises(
        InputError, match=r"mine/groundtruth\.txt: no such file; write the target's"
    ):
        target.load()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("0,0,0,0\n", "the first frame has no box"),
        ("1,2,3,4\n1,2,3,4\n", "2 boxes, but 3 frames"),
        ("1,2,3\n", "line 1: 3 columns"),
    ],
)
def test_ground_truth_that_does_not_fit_is_an_error(
    tmp_path: Path, content: str, message: str
) -> None:
    frames(tmp_path / "mine", range(3))
    text(tmp_path / "mine" / "box.txt", content)
    with pytest.raises(InputError, match=message):
        load(tmp_path, "mine")


@pytest.mark.parametrize("content", ["GOT-10k_Val_000001\n../../etc\n", "GOT-10k_a\n\n/b\n"])
def test_a_list_may_not_lead_out_of_the_folder(tmp_path: Path, content: str) -> None:
    text(tmp_path / "list.txt", content)
    assert got10k.DATASET.recognise(tmp_path)
    with pytest.raises(InputError, match="is not the name of a sequence"):
        find(tmp_path)


def test_a_list_has_no_more_names_than_data_sets_have(tmp_path: Path) -> None:
    text(tmp_path / "list.txt", "GOT-10k_Val_000001\n" * (MOST_NAMES + 1))
    with pytest.raises(InputError, match=r"list\.txt: 50001 names are too many"):
        find(tmp_path)


def test_labels_of_another_length_are_an_error(tmp_path: Path) -> None:
    make_lasot(tmp_path)
    text(tmp_path / "cat" / "cat-1" / "out_of_view.txt", "0,1\n")
    with pytest.raises(InputError, match=r"out_of_view\.txt: 2 marks, but 4 boxes"):
        load(tmp_path, "cat-1")


@pytest.mark.parametrize("layout", MAKERS)
def test_a_pipe_in_the_place_of_a_file_is_refused_and_not_waited_for(
    tmp_path: Path, layout: str
) -> None:
    MAKERS[layout](tmp_path / "whole")
    names = [path.relative_to(tmp_path / "whole") for path in (tmp_path / "whole").rglob("*.*")]
    unused = ("nlp.txt", "bike1.txt")  # a description, attributes
    texts = [n for n in names if n.suffix in (".txt", ".label") and n.name not in unused]
    assert texts
    for number, name in enumerate(texts):
        root = tmp_path / str(number)
        MAKERS[layout](root)
        (root / name).unlink()
        damage.no_file(root / name, "pipe")
        with pytest.raises(InputError):
            load_all(root, layout)


def test_a_gap_in_the_frames_is_an_error(tmp_path: Path) -> None:
    make_trackingnet(tmp_path)
    (tmp_path / "TRAIN_3" / "frames" / "x_-TRAIN_3" / "5.jpg").unlink()
    with pytest.raises(InputError, match="frame 5 is missing"):
        load(tmp_path, "x_-TRAIN_3")


def test_a_folder_of_nothing_known_lists_the_layouts(tmp_path: Path) -> None:
    (tmp_path / "papers").mkdir()
    with pytest.raises(InputError, match=r"no sequence there.* otb expected <Name>/img.* nfs240"):
        find(tmp_path)


def test_a_named_data_set_that_is_not_there_says_what_is_expected(tmp_path: Path) -> None:
    make_otb(tmp_path)
    with pytest.raises(InputError, match="no sequence of lasot there, expected"):
        find(tmp_path, "lasot")
    with pytest.raises(InputError, match=r"^dataset: no 'imagenet'; there are auto, otb"):
        find(tmp_path, "imagenet")


def test_the_example_in_the_documentation_is_a_data_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = (Path(__file__).parents[2] / "docs/develop/extending.md").read_text()
    (code,) = re.findall(r'```python\n("""TColor-128.*?)```', document, re.DOTALL)
    assert len(code.splitlines()) < 30
    module: dict[str, Any] = {}
    exec(code, module)
    monkeypatch.setitem(DATASETS, "tcolor128", module["DATASET"])
    frames(tmp_path / "Ball_ce1" / "img", range(1, 9), 4)
    text(tmp_path / "Ball_ce1" / "Ball_ce1_gt.txt", ROWS)
    text(tmp_path / "Ball_ce1" / "Ball_ce1_frames.txt", "3,6\n")
    sequence = load(tmp_path, "ball-ce1", "tcolor128")
    assert (sequence.first_frame, len(sequence)) == (3, 4)
    np.testing.assert_array_equal(sequence.boxes, ZERO_BASED)
