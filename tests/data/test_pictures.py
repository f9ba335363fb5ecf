from pathlib import Path

import pytest

from hcft_jax.data import pictures
from hcft_jax.util.errors import SettingError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.png", "a.jpg", "inner/c.jpeg", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def test_photos_are_found_in_all_folders_by_name(folder: Path) -> None:
    assert [path.name for path in pictures.find(folder)] == ["a.jpg", "b.png", "c.jpeg"]


def test_those_that_are_used_at_most_are_spread_over_all(folder: Path) -> None:
    assert [path.name for path in pictures.find(folder, most=2)] == ["a.jpg", "b.png"]
    assert [path.name for path in pictures.find(folder, most=1)] == ["a.jpg"]


@pytest.mark.parametrize(
    ("named", "message"), [(False, "^photos: name a folder"), (True, "3 photos, and at least 4")]
)
def test_too_few_are_an_error(folder: Path, named: bool, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        pictures.find(folder if named else None, least=4)
