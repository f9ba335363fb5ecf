"""The command: the files that it writes, and the mistakes that it refuses."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from experiments.inspect_filter import __main__ as inspect_filter
from hcft_jax.data import otb
from hcft_jax.data.synthetic import Synthetic, synthetic
from tests.commands import call

TEXT = """
from hcft_jax.core.config import TrackerConfig
from hcft_jax.experiment.settings import Experiment
from hcft_jax.data.synthetic import Synthetic


def get_config():
    drawn = Synthetic(frames=5, height=64, width=80, target=(20, 20), motion=12.0)
    layers = ("block4", "block2", "block0")
    tracker = TrackerConfig(backbone="efficientnet_lite0", layers=layers, input_size=32)
    return Experiment("tiny", tracker, synthetic=drawn, weights="random")
"""
LAYERS = ["block4", "block2", "block0"]


def command(folder: Path, *arguments: str) -> int:
    (folder / "tiny.py").write_text(TEXT)
    usual = [f"--output_dir={folder / 'out'}", "--compilation_cache=none"]
    return call(inspect_filter, *usual, *arguments)


def test_a_drawn_sequence_leaves_the_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(tmp_path, f"--config={tmp_path / 'tiny.py'}", "--frames=4") == 0
    (folder,) = tmp_path.glob("out/tiny-*/inspect/synthetic-0")
    assert str(folder) in capsys.readouterr().out
    kinds = ("responses", "gradient", "filters")
    figures = {f"{kind}-4.png" for kind in kinds} | {"layers.png"}
    others = {"layers.json", "layers.md", "inspect.md"}
    assert {path.name for path in folder.iterdir()} == figures | others
    for name in figures:
        with Image.open(folder / name) as figure:
            assert min(figure.size) > 300
            assert np.ptp(np.asarray(figure.convert("L"))) > 100  # something is drawn
    text = (folder / "inspect.md").read_text()
    assert set(re.findall(r"`([^`]+\.(?:png|json|md))`", text)) == figures | others - {"inspect.md"}
    assert "backbone=efficientnet_lite0 layers=block4,block2,block0" in text
    assert "random, untrained" in text

    settings = json.loads((folder / "layers.json").read_text())["settings"]
    names = ["all layers", *(f"without {n}" for n in LAYERS), *(f"{n} alone" for n in LAYERS)]
    assert sorted(settings) == sorted(names)
    assert {"dp20", "os50", "auc", "psr"} <= set(settings["all layers"])
    assert settings["block0 alone"]["layers"] == ["block0"]
    rows = (folder / "layers.md").read_text().splitlines()[4:]
    assert [row.split("|")[1].strip() for row in rows] == names


def test_one_sequence_of_a_folder_with_flags_of_the_tracker(tmp_path: Path) -> None:
    for seed in (0, 1):
        drawn = Synthetic(seed=seed, frames=3, height=64, width=80, target=(20, 20), motion=12.0)
        otb.write(synthetic(drawn), tmp_path / "data")
    data = [f"--data_dir={tmp_path / 'data'}", "--sequences=synthetic-1", "--weights=random"]
    network = ["--backbone=efficientnet_lite0", "--input_size=32", "--layers=block2", "--gamma=1"]
    assert command(tmp_path, *data, *network, "--eta=0.02") == 0
    (folder,) = tmp_path.glob("out/hcft*eta=0.02*/inspect/synthetic-1")
    # of three frames two are searched
    assert {path.name for path in folder.glob("filters-*")} == {"filters-2.png", "filters-3.png"}
    settings = json.loads((folder / "layers.json").read_text())["settings"]
    assert list(settings) == ["all layers"]  # of one layer there is nothing to leave out
    assert settings["all layers"]["layers"] == ["block2"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--frames=6"], "--frames: '6' is not one of 2 to 5"),
        (["--frames=2,1"], "--frames: '1' is not one of 2 to 5"),
        (["--frames=two"], "--frames: 'two' is not one of 2 to 5"),
        (["--lanes=2"], "--lanes: it has nothing to do with a filter"),
        (["--decode=host"], "--decode: it has nothing to do with a filter"),
        (["--tracker=opencv:MIL"], "--tracker: it has nothing to do with a filter"),
        (["--config=video"], "--config=video: it is for videos; filters need a sequence"),
        (["--gamma=1"], "--gamma: 1 values for 3 layers"),
        (["deer"], "'deer': only flags"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert command(tmp_path, f"--config={tmp_path / 'tiny.py'}", *arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {message}")
    assert not (tmp_path / "out").exists()


def test_several_sequences_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in (0, 1, 2):
        drawn = Synthetic(seed=seed, frames=2, height=64, width=80, target=(20, 20), motion=12.0)
        otb.write(synthetic(drawn), tmp_path / "data")
    assert command(tmp_path, f"--data_dir={tmp_path / 'data'}") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "error: --sequences: name one of the 3 sequences (synthetic-0, synthetic-1, ...)"
