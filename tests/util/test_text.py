"""Files of numbers, and the errors about them."""

from pathlib import Path

import pytest

from hcft_jax.util import boxes, opening, text
from hcft_jax.util.errors import InputError
from tests import damage


@pytest.mark.parametrize("content", ["1,-2.5;3e1\n", "1\n-2.5\n\n30\n", "\ufeff1\t-2.5 , +30.\r\n"])
def test_numbers_may_be_in_one_row_or_in_many(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.txt").write_text(content, encoding="utf-8")
    assert text.numbers(tmp_path / "a.txt").tolist() == [1, -2.5, 30]


@pytest.mark.parametrize("field", ["x", "nan", "inf", "1e999", "1_0", "--1", "\u0661"])
def test_what_is_no_finite_number_is_named_with_its_line(tmp_path: Path, field: str) -> None:
    (tmp_path / "a.txt").write_text(f"1,2\n3,{field}\n", encoding="utf-8")
    with pytest.raises(InputError, match=rf"a\.txt, line 2: '{field}' is not a finite number"):
        text.numbers(tmp_path / "a.txt")


def test_an_empty_file_is_an_error_unless_it_is_allowed(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("\n \n")
    assert text.lines(tmp_path / "a.txt", empty=True) == [""]
    with pytest.raises(InputError, match=r"a\.txt: the file is empty"):
        text.lines(tmp_path / "a.txt")


@pytest.mark.parametrize("kind", damage.NO_FILES)
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    path = damage.no_file(tmp_path / "groundtruth_rect.txt", kind)
    with pytest.raises(InputError, match=r"groundtruth_rect\.txt: a .*, not a regular file"):
        text.lines(path)


def test_a_file_may_have_many_lines_but_not_any_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text, "MOST_LINES", 1000)
    (tmp_path / "a.txt").write_bytes(b"1,2\r\n" * 1000)
    assert len(text.lines(tmp_path / "a.txt")) == 1000
    for content in (b"1,2\n" * 1001, b"1\r" * 1001, b"\n" * 2001):
        (tmp_path / "a.txt").write_bytes(content)
        with pytest.raises(InputError, match=r"a\.txt: too many lines, at most 1000"):
            text.lines(tmp_path / "a.txt")


def test_numbers_in_one_row_are_bounded_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text, "MOST_LINES", 1000)
    (tmp_path / "a.txt").write_bytes(b"1," * 1001)
    with pytest.raises(InputError, match=r"a\.txt: too many numbers, at most 1000"):
        text.numbers(tmp_path / "a.txt")


def test_a_file_of_another_size_than_text_has_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "a.txt").open("wb") as file:
        file.truncate(opening.TEXT + 1)
    with pytest.raises(InputError, match=r"a\.txt: too large for its kind"):
        text.lines(tmp_path / "a.txt")


def test_a_long_row_of_digits_is_tried_once(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"1" * 3_000_000 + b"x")  # would take a day, tried from each
    with pytest.raises(InputError, match="is not a finite number"):
        text.numbers(tmp_path / "a.txt")


def test_a_text_is_shown_short_and_in_one_line() -> None:
    assert text.shown("a\nb\x1b[31m\udc80" + "x" * 999) == "a?b?[31m?" + "x" * 51


@pytest.mark.parametrize("field", ["", "x", "1.5", "1_0", "\u0661", "9" * 16, "9" * 5000])
def test_a_whole_number_has_few_digits(field: str) -> None:
    assert text.whole(Path("a.txt"), 3, " -12 ") == -12
    with pytest.raises(InputError, match=r"a\.txt, line 3: '.{0,40}' is not a whole number"):
        text.whole(Path("a.txt"), 3, field)


@pytest.mark.parametrize(
    ("given", "number"),
    [("07 ", 7), ("", None), ("-1", None), ("\u0661", None), ("1" * 5000, None)],
)
def test_a_natural_number_is_a_few_digits_or_none(given: str, number: int | None) -> None:
    assert text.natural_number(given) == number


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("name,b\n1,2\n", "no column a"),
        ("a,b\n1,2\n3\n", "line 3: fewer cells than the 2 columns"),
        ("a,b\n1," + "x" * 131_073, "line 2: field larger than field limit"),
        ("x" * 131_073, "line 1: field larger than field limit"),
        ("", "the file is empty"),
    ],
)
def test_a_bad_table_is_named_with_its_line(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(content)
    with pytest.raises(InputError, match=rf"a\.csv.*{message}"):
        text.table(path, ["a"])


def test_the_cells_of_a_table_have_their_columns(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('b,a\n"x,y",2\n')
    assert text.table(path, ["a"]) == [(2, {"a": "2", "b": "x,y"})]


def test_a_row_of_digits_takes_no_longer_than_it_is_long(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("1" * 300_000 + "\n")
    with pytest.raises(InputError, match="1 columns"):  # today's pattern would try every division
        boxes.parse(path)
