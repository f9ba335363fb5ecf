"""Where results are: the names that version 0.1 gave, and equal settings under another label."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from hcft_jax.core.config import TrackerConfig
from hcft_jax.data.synthetic import Synthetic
from hcft_jax.experiment import settings, sweeps
from hcft_jax.experiment.config_files import available
from hcft_jax.experiment.settings import Experiment, folders

STORED: dict[str, Any] = json.loads((Path(__file__).parent / "folders_0_1.json").read_text())
DIGEST = STORED["digest"]


def named(experiment: Experiment) -> tuple[str, str]:
    return experiment.label, experiment.folder(DIGEST)


def test_experiments_have_the_labels_and_folders_of_version_0_1() -> None:
    assert len(STORED["experiments"]) > 100
    for row in STORED["experiments"]:
        lists = {k: tuple(v) if isinstance(v, list) else v for k, v in row["changes"].items()}
        experiment = settings.derive(row["config"], **lists)
        assert named(experiment) == (row["label"], row["folder"])


@pytest.mark.parametrize("stored", STORED["sweeps"], ids=lambda stored: stored["sweep"])
def test_sweeps_have_the_labels_and_folders_of_version_0_1(stored: dict[str, Any]) -> None:
    expected = [(row["label"], row["folder"]) for row in stored["experiments"]]
    assert [named(e) for e in sweeps.load(stored["sweep"]).experiments] == expected


@pytest.mark.parametrize("row", STORED["drawn"], ids=str)
def test_drawn_sequences_have_the_folders_of_version_0_1(row: dict[str, Any]) -> None:
    drawn = Synthetic(**row["synthetic"])
    experiment = dataclasses.replace(settings.load("hcft"), synthetic=drawn)
    assert named(experiment) == (row["label"], row["folder"])


LATER: dict[str, Any] = {
    "normalized": (False, True),
    "scale": ("none", "dsst"),
    "scale_eta": (0.01, 0.02),
    "scale_margin": (8.0, 4.0),
    "padding": (None, 2.5),
    "halved_from": (None, 100.0),
    "kernel": ("linear", "csk"),
    "bandwidth": (0.5, 0.2),
    "window": ("first", "scaled"),
    "scales": (5, 3),
    "weighting": ("fixed", "adaptive"),
    "redetect": (False, True),
    "looks": (16, 8),
    "doubted_below": (None, 0.1),
    "found_above": (None, 0.3),
    "memory_eta": (0.01, 0.02),
}


def test_the_fields_that_came_later_are_known() -> None:
    later = {
        f.name: f.default for f in dataclasses.fields(TrackerConfig) if f.metadata.get("later")
    }
    assert later == {name: values[0] for name, values in LATER.items()}


@pytest.mark.parametrize("name", LATER)
def test_a_field_that_came_later_is_in_the_hash_where_it_has_another_value(name: str) -> None:
    default, other = LATER[name]
    for config in ("hcft", "cf2"):
        own = settings.derive(config)
        assert named(settings.override(own, {name: default})) == named(own)
        changed = settings.override(own, {name: other})
        assert changed.label != own.label
        before, after = (e.folder(DIGEST).rpartition("-")[2] for e in (own, changed))
        assert before != after


def place(tmp_path: Path, *names: str) -> list[str]:
    experiments = [settings.derive(name, output_dir=str(tmp_path)) for name in names]
    return [path.name for path in folders((e, DIGEST) for e in experiments)]


def summary(tmp_path: Path, *names: str) -> None:
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "summary.json").touch()


def test_results_are_in_the_folder_of_their_own_label(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert place(tmp_path, "otb") == ["otb-e9500706"]
    summary(tmp_path, "hcft-e9500706", "otb-e9500706")
    assert place(tmp_path, "otb") == ["otb-e9500706"]
    assert capsys.readouterr().err == ""


def test_equal_settings_find_results_of_another_label(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    summary(tmp_path, "other-e9500706", "hcft-e9500706", "hcft-00000000")
    assert place(tmp_path, "otb") == ["hcft-e9500706"]
    line = f"note: equal settings have results already: {tmp_path / 'hcft-e9500706'}\n"
    assert capsys.readouterr().err == line
    assert place(tmp_path, "cf2") == ["cf2-30556d5f"]


def test_a_folder_without_such_results_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "video-e9500706" / "video").mkdir(parents=True)
    assert place(tmp_path, "otb") == ["otb-e9500706"]
    experiment = settings.derive("otb", output_dir=str(tmp_path))
    (folder,) = folders([(experiment, DIGEST)], "video")
    assert folder.name == "video-e9500706"


def test_no_two_experiments_of_one_sweep_share_a_folder(tmp_path: Path) -> None:
    summary(tmp_path, "hcft-e9500706")
    both = ["hcft-e9500706", "otb-e9500706"]
    assert place(tmp_path, "hcft", "otb") == both
    assert place(tmp_path, "otb", "hcft") == both[::-1]
    assert place(tmp_path, "otb", "video") == ["hcft-e9500706", "video-e9500706"]
    summary(tmp_path, "video-e9500706")  # a process that starts later decides as the first one
    assert place(tmp_path, "otb", "video") == ["hcft-e9500706", "video-e9500706"]


@pytest.mark.parametrize(
    ("changes", "label"),
    [
        ({}, "video,lite0"),
        ({"eta": (0.02,)}, "video,lite0,eta=0.02"),
        ({"gamma": (1.0, 0.5, 0.1)}, "video,lite0,gamma=1+0.5+0.1"),
        ({"search": "paper"}, "video,lite0,search=paper"),
    ],
)
def test_a_tracker_that_has_taken_over_is_named_by_its_configuration(
    changes: dict[str, Any], label: str
) -> None:
    lite0 = settings.override(settings.load("video"), available()["lite0"])
    experiment = settings.override(lite0, changes)
    assert experiment.label == label
    assert experiment.digest(DIGEST) == settings.derive("lite0", **changes).digest(DIGEST)
