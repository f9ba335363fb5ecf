from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hcft_jax.util import boxes
from hcft_jax.util.errors import InputError
from tests.conftest import shared


def test_every_annotation_of_the_benchmark_parses() -> None:
    paths = sorted(shared("otb_meta", "anno").glob("*.txt"))
    assert len(paths) == 100
    assert sum(len(boxes.parse(path)) for path in paths) == 59_040


def parse(folder: Path, content: bytes) -> np.ndarray:
    path = folder / "groundtruth_rect.txt"
    path.write_bytes(content)
    return boxes.parse(path)


@pytest.mark.parametrize(
    "content",
    [
        b"1,2,3,4\n5,6,7,8\n",
        b"1,2,3,4\n5,6,7,8",
        b"1\t2\t3\t4\r\n5\t6\t7\t8\r\n\r\n\n",
        b"\xef\xbb\xbf1 2 3 4\n5   6 7 8  \n",
        b" 1, 2,\t3 ,4\n5.0,6e0 7 , +8\n  \n",
        b"1,2,3,4\r5,6,7,8\r",
        b"1 ,2\t3 4\r\n 5, 6, 7, 8 \n\n",
        b"1;2;3;4\n5; 6; 7; 8\n",
    ],
    ids=[
        "commas",
        "no end",
        "tabs, CRLF",
        "blanks, BOM",
        "mixture",
        "CR",
        "both ends",
        "semicolons",
    ],
)
def test_separators_and_line_ends(tmp_path: Path, content: bytes) -> None:
    np.testing.assert_array_equal(parse(tmp_path, content), [[1, 2, 3, 4], [5, 6, 7, 8]])


def test_rows_that_mark_invalid_ground_truth_are_legal(tmp_path: Path) -> None:
    rows = parse(tmp_path, b"1,1,5,5\n-3,0,5,5\n0,0,0,0\n9,9,-1,2\n")
    np.testing.assert_array_equal(rows[1:], [[-3, 0, 5, 5], [0, 0, 0, 0], [9, 9, -1, 2]])


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        (b"NaN,1,1,1", "'NaN' is not a finite number"),
        (b"1,inf,1,1", "'inf' is not"),
        (b"1,1,1e999,1", "'1e999' is not"),
        (b"1,1,1_0,1", "'1_0' is not"),
        (b"x,y,w,h", "'x' is not"),
        (b"1,2,NaN,4", "'NaN' is not"),
        (b"1,2,inf,4", "'inf' is not"),
        (b"1,,3,4", "'' is not"),
        (b"1,2,3", "3 columns"),
        (b"1,2,3,4,5", "5 columns"),
        (b"1 2 3 4 5 6 7 8", "8 columns"),
        (b"1|2|3|4", "1 columns"),
        (b"1;;3,4", "'' is not"),
        (b"", "0 columns"),
        (b"1,2,3,\xff4", "not UTF-8"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, second: bytes, reason: str) -> None:
    with pytest.raises(InputError) as error:
        parse(tmp_path, b"1,2,3,4\n" + second + b"\n1,2,3,4\n")
    assert f"groundtruth_rect.txt, line 2: {reason}" in str(error.value)
    assert "\n" not in str(error.value)


def test_gaps_are_nan_where_they_are_allowed(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("1,2,3,4\nNaN nan\tNAN nan\n")
    np.testing.assert_array_equal(
        boxes.parse(tmp_path / "a.txt", gaps=True), [[1, 2, 3, 4], [np.nan] * 4]
    )
    with pytest.raises(InputError, match="line 2"):
        boxes.parse(tmp_path / "a.txt")
    (tmp_path / "a.txt").write_text("1,2,3,inf\n")
    with pytest.raises(InputError, match="'inf'"):
        boxes.parse(tmp_path / "a.txt", gaps=True)


@pytest.mark.parametrize("content", [b"", b"\n \n", b"\n \r\n", b"\xef\xbb\xbf"])
def test_an_empty_file_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(InputError, match="the file is empty"):
        parse(tmp_path, content)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no\.txt: cannot read it \(No such file"):
        boxes.parse(tmp_path / "no.txt")


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"groundtruth_rect\.txt, line 1: not UTF-8"):
        parse(tmp_path, b"\xff\xfe\x00")


finite = st.floats(-boxes.LARGEST, boxes.LARGEST)


@given(
    rows=st.lists(st.lists(finite, min_size=4, max_size=4), min_size=1, max_size=20),
    separator=st.sampled_from([",", "\t", " ", ", ", " ,\t", "   ", ";"]),
    end=st.sampled_from(["\n", "\r\n"]),
    tail=st.sampled_from(["", "\n", "\r\n\r\n", " \t\n"]),
    mark=st.booleans(),
)
def test_what_is_written_is_parsed_back(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[list[float]],
    separator: str,
    end: str,
    tail: str,
    mark: bool,
) -> None:
    text = end.join(separator.join(map(repr, row)) for row in rows) + tail
    content = text.encode("utf-8-sig" if mark else "utf-8")
    np.testing.assert_array_equal(parse(tmp_path_factory.getbasetemp(), content), rows)


@pytest.mark.parametrize("row", ["1e300,1,9,9", "1,1,9,10000000.5", "-2e7 1 9 9"])
def test_a_number_that_is_in_no_image_is_refused(
    tmp_path_factory: pytest.TempPathFactory, row: str
) -> None:
    with pytest.raises(InputError, match=r"line 2: .* is in no image, at most 1e\+07 pixels"):
        parse(tmp_path_factory.getbasetemp(), f"1,2,3,4\n{row}\n".encode())


@given(st.binary(max_size=60) | st.text("0123456789.,;-+eE \t\r\nna\x00\u2028", max_size=60))
def test_any_content_gives_boxes_or_an_input_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes | str
) -> None:
    data = content if isinstance(content, bytes) else content.encode()
    try:
        rows = parse(tmp_path_factory.getbasetemp(), data)
    except InputError as error:
        message = str(error)
    else:
        assert rows.shape[1] == 4
        assert np.isfinite(rows).all()
        return
    assert "groundtruth_rect.txt" in message
    assert "\n" not in message


@pytest.mark.parametrize(
    "text",
    [
        "1,2,3,4,\n5,6,7,8,\n",
        "x,y,w,h\n1,2,3,4\n5,6,7,8\n",
        "left\ttop\twidth\theight\n1 2 3 4\n5 6 7 8\n",
        "# mine\n1,2,3,4\n# more\n5;6;7;8;\n",
    ],
)
def test_headers_comments_and_separators_at_the_end_are_understood(
    tmp_path: Path, text: str
) -> None:
    (tmp_path / "a.txt").write_text(text)
    np.testing.assert_array_equal(boxes.parse(tmp_path / "a.txt"), [[1, 2, 3, 4], [5, 6, 7, 8]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x1,y1,x2,y2\n1,2,3,4\n", "line 1: the columns x1,y1,x2,y2, expected x,y,w,h"),
        ("left,top,right,bottom\n1,2,3,4\n", "line 1: the columns left"),
        ("frame,x,y,w,h\n1,2,3,4,5\n", "line 1: the columns frame"),
        ("x,y,w,h\n", "it has no box"),
        ("1,2,3,4\nx,y,w,h\n", "line 2: 'x' is not a finite number"),
        ("1,2,3,,\n", "line 1: '' is not a finite number"),
    ],
)
def test_a_header_of_something_else_is_an_error(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.txt").write_text(text)
    with pytest.raises(InputError, match=message):
        boxes.parse(tmp_path / "a.txt")
