"""The experiment as a command, with a shallow network on small drawn sequences."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from experiments.learn_hyper import __main__ as learn_hyper
from experiments.learn_hyper import learned
from experiments.learn_hyper.constants import Learner, LearnerState
from hcft_jax.data.synthetic import Synthetic
from tests.commands import call
from tests.experiments.conftest import draw

TINY = ["--weights=random", "--input_size=32", "--layers=conv2_1,conv1_2", "--gamma=1,0.5"]
SHORT = ["--snippet_frames=3", "--batch=1", "--steps=2", "--compilation_cache=none"]


def command(*arguments: str) -> int:
    return call(learn_hyper, *TINY, *SHORT, *arguments)


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return draw(tmp_path / "data", 7, 6, 7, 6, 5, 6)


def test_everything_that_is_promised_is_written(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert command(f"--data_dir={data}", f"--output_dir={out}") == 0
    said = capsys.readouterr().out
    assert "held out: synthetic-2, synthetic-5" in said

    made = read(out / "learned.json")
    assert list(made["training sequences"]) == [f"synthetic-{i}" for i in (0, 1, 3, 4)]
    assert len(made["loss"]) == 2
    for name, steps in made["values"].items():
        assert len(steps) == 3
        assert (steps[0], steps[-1]) == (made["start"][name], made["learned"][name])
        assert name == "gamma" or steps[0] != steps[-1]
    assert made["start"]["eta"] == [0.01, 0.01]
    words = made["use"].split()
    assert words[:4] == ["python", "-m", "hcft_jax.main", "--config=hcft"]
    assert f"--sigma={made['learned']['sigma'][0]}" in words
    assert f"--eta={','.join(map(str, made['learned']['eta']))}" in words
    assert not any(word.startswith(("--data_dir", "--sequences", "--output")) for word in words)

    held = read(out / "held_out.json")
    assert held["comparison"]["sequences"] == ["synthetic-2", "synthetic-5"]
    for measure in ("dp20", "os50", "auc"):
        of = held["comparison"]["measures"]["learned"][measure]
        each = [row["learned"][measure] - row["given"][measure] for row in held["targets"].values()]
        assert of["difference"] == pytest.approx(sum(each) / 2, abs=1e-12)
        low, high = of["difference_interval"]
        assert min(each) - 1e-12 <= low <= of["difference"] + 1e-12
        assert of["difference"] - 1e-12 <= high <= max(each) + 1e-12
    text = (out / "held_out.md").read_text(encoding="utf-8")
    assert "| learned | 2/2 |" in text
    assert "minus given" in text
    assert all(f"* {line}" in text for line in held["verdict"])
    assert "| synthetic-5 | 6 |" in text
    assert made["use"] in text
    for name in ("loss.png", "values.png"):
        with Image.open(out / name) as image:
            assert min(image.size) > 300

    whole = {path: read(path)["mean"] for path in out.glob("held_out/*/summary.json")}
    assert len(whole) == 2
    for path in whole:  # as a run leaves them that was ended
        path.write_text("{}")
    assert command(f"--data_dir={data}", f"--output_dir={out}") == 0
    assert {path: read(path)["mean"] for path in whole} == whole


@pytest.mark.slow
def test_an_interrupted_run_goes_on_to_the_same_values(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [f"--data_dir={data}", "--held_out=synthetic-0,synthetic-1", "--steps=3"]
    assert command(*arguments, f"--output_dir={tmp_path / 'whole'}") == 0
    step = Learner.step
    taken: list[int] = []

    def interrupted(self: Learner, state: LearnerState, *rest: Any) -> LearnerState:
        if len(taken) == 2:
            raise KeyboardInterrupt
        taken.append(state.step)
        return step(self, state, *rest)

    parts = f"--output_dir={tmp_path / 'parts'}"
    with monkeypatch.context() as patch:
        patch.setattr(Learner, "step", interrupted)
        assert command(*arguments, parts) == 130
    assert "the same command continues" in capsys.readouterr().err
    assert command(*arguments, parts) == 0
    whole, resumed = (read(tmp_path / name / "learned.json") for name in ("whole", "parts"))
    assert taken == [0, 1]
    assert resumed["values"] == whole["values"]
    assert resumed["loss"] == whole["loss"]

    # and what is done is not done again
    monkeypatch.setattr(Learner, "step", interrupted)
    assert command(*arguments, parts) == 0
    assert (
        read(tmp_path / "parts" / "held_out.json")["targets"]
        == (read(tmp_path / "whole" / "held_out.json")["targets"])
    )
    capsys.readouterr()
    assert command(*arguments, parts, "--seed=1") == 2
    assert "state.npz: learned with another seed" in capsys.readouterr().err
    assert command(*arguments, parts, "--steps=2") == 2
    assert "has 3" in capsys.readouterr().err


def test_without_data_sequences_are_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small = Synthetic(frames=5, height=64, width=80, target=(20, 20), motion=12.0)
    monkeypatch.setattr(learned, "DRAWN", small)
    monkeypatch.setattr(learned, "DRAWN_COUNT", 6)
    broken = tmp_path / "out" / "drawn" / "synthetic-1"  # interrupted while it was written
    (broken / "img").mkdir(parents=True)
    (broken / "img" / "0001.jpg").write_bytes(b"")
    assert command("--steps=1", f"--output_dir={tmp_path / 'out'}") == 0
    assert "held out: synthetic-2, synthetic-5" in capsys.readouterr().out
    assert len(list((broken / "img").iterdir())) == 5


def test_no_video_is_learned_on_and_held_out(data: Path) -> None:
    video = data / "synthetic-3"
    (video / "groundtruth_rect.txt").rename(video / "groundtruth_rect.1.txt")
    (video / "groundtruth_rect.2.txt").write_bytes((video / "groundtruth_rect.1.txt").read_bytes())
    (two, one) = "synthetic-3-2", "synthetic-0"
    training, held = learned.divided(data, None, [two, one])
    assert sorted(held) == [one, two]
    assert {target.group for target in training} == {f"synthetic-{i}" for i in (1, 2, 4, 5)}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--steps=0"], "--steps: 0 must be at least 1"),
        (["--snippet_frames=0"], "--snippet_frames: 0 must be at least 1"),
        (["--learning_rate=-1"], "--learning_rate: -1.0 must be above 0"),
        (["--seed=-1"], "--seed: -1 must be at least 0"),
        (["--eta=2"], "--eta: 2.0 must be finite"),
        (["--gamma=1"], "--gamma: 1 values for 2 layers"),
        (["--held_out=synthetic-0"], "an interval needs two targets"),
        (["--held_out=nobody,synthetic-0"], "nobody"),
        (["--sequences=synthetic-0,synthetic-1"], "an interval needs two targets"),
        (["--snippet_frames=30"], "--snippet_frames: no training sequence has 31 frames"),
        (["--data_dir=nowhere"], "nowhere: no such folder"),
        (["stray"], "'stray'"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(
    arguments: list[str], message: str, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = f"--output_dir={data.parent / 'out'}"
    assert command(f"--data_dir={data}", out, *arguments) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert message in err


def test_names_without_data_are_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert command("--sequences=Deer") == 2
    assert "--sequences: it names sequences of --data_dir" in capsys.readouterr().err
