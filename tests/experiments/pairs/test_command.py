"""Pairs of frames: what is drawn, what is found, and what the command keeps and says."""

import json
from pathlib import Path

import numpy as np
import pytest

from experiments.pairs import __main__ as pairs
from experiments.pairs import drawing, one_window
from hcft_jax.data.synthetic import Synthetic, synthetic
from hcft_jax.experiment import settings
from hcft_jax.util.errors import InputError
from tests.commands import call
from tests.experiments.conftest import draw

CONFIG = settings.load("kcf").tracker
VIDEO = synthetic(Synthetic(seed=2, frames=12, height=96, width=120, target=(24, 20), motion=12.0))


def command(*arguments: str) -> int:
    return call(pairs, "--config=kcf", *arguments)


def test_a_pair_is_two_frames_so_far_apart_and_a_place_near_the_target() -> None:
    found = drawing.draw([VIDEO], CONFIG, [2, 8], 5, 0)
    assert [pair.second - pair.first for pair in found] == [2] * 5 + [8] * 5
    for pair in found:
        x, y, w, h = VIDEO.boxes[pair.second]
        np.testing.assert_allclose(pair.centre, [y + h / 2, x + w / 2])
        aside = np.abs(pair.searched - pair.centre) / np.array(pair.geometry.window)
        assert (aside <= drawing.ASIDE).all()
    assert len({tuple(pair.searched) for pair in found}) == len(found)


def test_a_sequences_pairs_depend_on_nothing_but_the_seed() -> None:
    other = synthetic(
        Synthetic(seed=3, frames=12, height=96, width=120, target=(24, 20), motion=9.0)
    )
    alone, beside = (drawing.draw(of, CONFIG, [2], 3, 0) for of in ([VIDEO], [other, VIDEO]))
    assert [p.first for p in alone] == [p.first for p in beside[3:]]
    another = drawing.draw([VIDEO], CONFIG, [2], 3, 1)
    assert [tuple(p.searched) for p in alone] != [tuple(p.searched) for p in another]


def test_a_target_that_hardly_changes_is_found_and_another_place_is_not() -> None:
    drawn = drawing.draw([VIDEO], CONFIG, [1], 6, 0)
    assert max(one_window.errors({}, CONFIG, drawn)) < 0.25
    moved = [pair._replace(centre=pair.centre + 30.0) for pair in drawn]
    assert min(one_window.errors({}, CONFIG, moved)) > 1


def test_a_sequence_that_is_too_short_is_named() -> None:
    with pytest.raises(InputError, match=r"synthetic-2: no two frames .* 12 apart"):
        drawing.draw([VIDEO], CONFIG, [12], 1, 0)


def test_settings_are_kept_and_set_beside_the_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = draw(tmp_path / "data", 6, 6)
    usual = [f"--data_dir={data}", f"--output_dir={tmp_path / 'out'}", "--gaps=1,2", "--count=2"]
    assert command(*usual) == 0
    (kept,) = (tmp_path / "out").iterdir()
    before = kept.stat().st_mtime_ns
    assert command(*usual) == 0
    assert kept.stat().st_mtime_ns == before
    capsys.readouterr()
    assert command(*usual, "--lambda=100") == 0
    header, _, first, second = capsys.readouterr().out.splitlines()
    assert header.count("|") == first.count("|") == second.count("|")
    assert "2 later" in header
    assert first.startswith("| kcf-")
    assert second.startswith("| kcf,lambda=100")
    errors = json.loads(kept.read_text())["errors"]
    shown = 100 * np.mean(np.array(list(errors.values())) <= 0.25)
    assert f"| {shown:.1f} |" in first
    assert command(*usual, "--seed=1") == 0  # other pairs: nothing to compare with
    assert len(capsys.readouterr().out.splitlines()) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--data_dir: must be given"),
        (["--data_dir=.", "--gaps=x"], "--gaps: 'x': give numbers of frames"),
        (["--data_dir=.", "--count=0"], "--count: 0 must be at least 1"),
        (["--data_dir=nowhere"], "nowhere"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(*arguments) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
