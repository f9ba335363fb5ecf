"""Files of numbers, and the errors about them."""

from pathlib import Path

import pytest

from hcft_jax.util import text
from hcft_jax.util.errors import InputError


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
