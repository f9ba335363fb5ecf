from pathlib import Path

import pytest

from experiments.exhibits import folders
from hcft_jax.core.config import TrackerConfig
from hcft_jax.evaluation.annotations import Benchmark
from hcft_jax.util.errors import InputError
from tests.experiments.exhibits.conftest import Write, off


def test_settings_are_those_recorded_and_else_the_defaults(small: Benchmark, write: Write) -> None:
    found = folders.settings(write("a", off(small, 0), eta=0.5, weights="abc"))
    assert found is not None
    assert (found["eta"], found["weights"]) == (0.5, "abc")
    assert found["radius"] == TrackerConfig().radius  # a field that older results do not have
    assert found["layers"] == ["conv5_4", "conv4_4", "conv3_4"]


def test_folders_of_other_programs_have_none(tmp_path: Path) -> None:
    assert folders.settings(tmp_path) is None
    assert folders.all_settings({"KCF": tmp_path / "KCF"}) == {}


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"experiment": 1}', '{"experiment": {}}'])
def test_a_damaged_summary_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_text(text)
    with pytest.raises(InputError, match=r"summary\.json"):
        folders.settings(tmp_path)


def test_speed_is_all_frames_over_all_seconds(small: Benchmark, write: Write) -> None:
    write("a", {"One": small.targets["One"].truth}, speed=(10, 1.0))
    place = write("a", {"Two-1": small.targets["Two-1"].truth}, speed=(30, 9.0))
    assert folders.fps(place, ["One", "Two-1"]) == 4.0
    assert folders.fps(place, ["One", "Tiger1"]) is None
    (place / "speed" / "One.json").write_text('{"frames": "many"}')
    with pytest.raises(InputError, match=r"One\.json"):
        folders.fps(place, ["One"])
