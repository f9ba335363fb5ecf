"""Where the page says that results come from."""

import json
from pathlib import Path

import pytest

from hcft_jax.evaluation.report.sources import responses, source
from tests.evaluation.report.conftest import HOSTILE, OURS, Page, Setting


def test_a_result_folder_tells_its_command_and_configuration(page: Page) -> None:
    ours = page.content["trackers"][page.tracker(OURS)]
    assert ours["folder"].endswith(f"results/{OURS}")
    assert ours["command"] == "python -m hcft_jax.main --config=cf2 '--data_dir=my videos'"
    assert ours["settings"] == {
        "experiment.tracker.eta": 0.01,
        "experiment.tracker.layers": ["conv5_4", "conv4_4"],
        "experiment.weights": None,
        "versions.jax": "0.10",
    }


def test_a_foreign_result_tells_its_files(setting: Setting, page: Page) -> None:
    other = page.content["trackers"][page.tracker(HOSTILE)]
    assert other == {
        "name": HOSTILE,
        "folder": str(setting.folder / HOSTILE),
        "files": 5,
        "pattern": "Human4-2.txt",
    }
    assert source("x", {}) == {"name": "x", "folder": None, "files": 0}


@pytest.mark.parametrize("text", ["{", "[]", None])
def test_a_damaged_summary_is_a_note(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "x" / "ope" / "One.txt"
    if text is not None:
        (tmp_path / "x").mkdir()
        (tmp_path / "x" / "summary.json").write_text(text)
    said = source("x", {"One": file})
    assert "summary.json" in said["note"]
    assert said["folder"] == str(tmp_path / "x")


def test_a_command_of_another_program_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_text(json.dumps({"command": ["mine.py", "a b"]}))
    assert source("x", {"One": tmp_path / "ope" / "One.txt"})["command"] == "mine.py 'a b'"


def test_response_maps_belong_to_result_folders_only(setting: Setting) -> None:
    assert responses(setting.folder / OURS / "ope" / "One.txt") is not None
    assert responses(setting.folder / OURS / "ope" / "Two-1.txt") is None
    assert responses(setting.folder / "good" / "One.txt") is None
