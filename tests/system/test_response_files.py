"""``--responses``: the maps on disk are the tracker's own."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from hcft_jax.benchmark import benchmark
from hcft_jax.core.config import TrackerConfig
from hcft_jax.data.synthetic import Synthetic, synthetic
from hcft_jax.evaluation import responses
from hcft_jax.experiment.settings import Experiment
from hcft_jax.run.streaming import track_sequence
from hcft_jax.weights import lookup, native

DRAWN = Synthetic(frames=8, height=64, width=80, target=(20, 24), motion=12.0)
CONFIG = TrackerConfig(
    layers=("conv1_2", "conv2_1"), gamma=(0.5, 1.0), input_size=32, update="cf2", search="sum"
)


@pytest.fixture(scope="module")
def drawn() -> native.Weights:
    return lookup.random()


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    return Experiment("x", CONFIG, synthetic=DRAWN, output_dir=str(tmp_path), responses=True)


def test_the_file_holds_the_trackers_maps_and_where_they_were(
    experiment: Experiment, drawn: native.Weights
) -> None:
    (path,) = benchmark.run(experiment, drawn).folder.glob("responses/*.npz")
    read = responses.read(path)
    tracked = list(
        track_sequence(drawn.params, CONFIG, synthetic(DRAWN), with_responses=True, chunk=4)
    )
    maps = np.concatenate([t.responses for t in tracked if t.responses is not None])
    boxes = np.concatenate([t.boxes for t in tracked])
    assert tuple(read.layers) == CONFIG.response_names == ("conv2_1", "conv1_2")
    assert read.gamma.tolist() == [1.0, 0.5]
    restored = read.offset[1:, :, None, None] + read.scale[1:, :, None, None] * read.maps[1:]
    assert (np.abs(restored - maps) <= 0.501 * read.scale[1:, :, None, None]).all()
    np.testing.assert_array_equal(read.psr, np.concatenate([t.psr for t in tracked]))
    # the maximum of the weighted sum lies, in the image, where the target was found
    for t, of in enumerate(maps, 1):
        total = read.gamma[0] * of[0] + read.gamma[1] * of[1]
        peak = np.unravel_index(total.argmax(), total.shape)
        moved = read.cell * (np.array(peak) - np.array(total.shape) // 2)
        x, y, w, h = boxes[t]
        np.testing.assert_allclose(read.centres[t] + moved, [y + h / 2, x + w / 2], atol=1e-3)
    assert np.abs(np.diff(read.centres, axis=0)).max() >= 4  # it did move


def test_a_result_without_wanted_maps_is_not_finished(
    experiment: Experiment, drawn: native.Weights
) -> None:
    before = benchmark.run(dataclasses.replace(experiment, responses=False), drawn)
    assert not (before.folder / "responses").exists()
    (boxes,) = before.folder.glob("ope/*.txt")
    kept = boxes.read_bytes()
    after = benchmark.run(experiment, drawn)
    assert after.folder == before.folder
    assert len(list(after.folder.glob("responses/*.npz"))) == 1
    assert boxes.read_bytes() == kept


def test_every_run_of_a_protocol_has_its_maps(
    experiment: Experiment, drawn: native.Weights
) -> None:
    longer = dataclasses.replace(DRAWN, frames=22)
    done = benchmark.run(
        dataclasses.replace(experiment, synthetic=longer, protocols=("ope", "tre")), drawn
    )
    assert not done.failed
    boxes = {p.relative_to(done.folder / "tre") for p in done.folder.glob("tre/**/*.txt")}
    maps = {p.relative_to(done.folder / "responses") for p in done.folder.glob("responses/*/*.npz")}
    assert {p.with_suffix("") for p in boxes} == {p.with_suffix("") for p in maps}
    one = done.folder / "responses" / "synthetic-0.npz"
    first = done.folder / "responses" / "synthetic-0" / "01.npz"
    assert one.read_bytes() == first.read_bytes()  # TRE's first segment is OPE
