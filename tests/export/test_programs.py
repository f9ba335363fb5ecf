"""Exported programs, run where this package is not."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hcft_jax.api import Tracker
from hcft_jax.core.config import TrackerConfig
from hcft_jax.data.sequence import Frame, Sequence
from hcft_jax.data.synthetic import Synthetic, synthetic
from hcft_jax.export import exported, programs
from hcft_jax.export.exported import ExportError
from hcft_jax.util.errors import InputError
from hcft_jax.weights import lookup
from tests import damage

SMALL = TrackerConfig(layers=("conv2_2", "conv1_2"), gamma=(1.0, 0.5), input_size=32, eta=0.05)

RUN = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("hcft_jax", "flax"):
            raise ImportError(name + " must not be needed")
sys.meta_path.insert(0, Refuse())
sys.path.insert(0, sys.argv[1])
import numpy as np
from exported import ExportedTracker
tracker = ExportedTracker(sys.argv[1])
with np.load(sys.argv[2]) as given:
    images, boxes = given["images"], given["boxes"]
found = []
for box in boxes:
    tracker.init(images[0], box)
    found.append([tracker.update(image) for image in images[1:]])
out = np.array([[[*box, psr] for box, psr in of] for of in found])
np.save(sys.argv[3], out)
assert not any(name.split(".")[0] == "hcft_jax" for name in sys.modules)
"""


@pytest.fixture(scope="module")
def sequence() -> Sequence:
    return synthetic(Synthetic(frames=10, height=64, width=80, target=(24, 24), motion=18.0))


@pytest.fixture(scope="module")
def frames(sequence: Sequence) -> list[Frame]:
    return [sequence.frames.read(i) for i in range(len(sequence))]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exported")
    bucket = programs.largest((72, 96), (30, 30))
    programs.write(path, SMALL, lookup.random(), bucket, ("cpu", "cuda"))
    return path


def test_a_fresh_process_without_the_package_gives_the_trackers_results(
    folder: Path, sequence: Sequence, frames: list[Frame], tmp_path: Path
) -> None:
    starts = [sequence.boxes[0], np.array([30.0, 20.0, 11.0, 23.0])]  # two sizes, one program
    np.savez(tmp_path / "given.npz", images=np.stack(frames), boxes=np.stack(starts))
    command = [sys.executable, "-c", RUN, str(folder), str(tmp_path / "given.npz")]
    subprocess.run([*command, str(tmp_path / "found.npy")], check=True, cwd=tmp_path)
    found = np.load(tmp_path / "found.npy")
    tracker = Tracker(SMALL, lookup.random())
    for start, of in zip(starts, found, strict=True):
        track = tracker.track(frames, start)
        np.testing.assert_allclose(of[:, :4], track.boxes[1:], atol=1e-4)
        if not np.isnan(track.scores[1]):
            np.testing.assert_allclose(of[:, 4], track.scores[1:], rtol=2e-3)
    assert len(np.unique(found[0, :, :2], axis=0)) > 1  # it moved


def test_the_manifest_says_what_it_is(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["image"] == [72, 96]
    assert manifest["grid"] == [21, 21]
    assert manifest["platforms"] == ["cpu", "cuda"]
    assert manifest["tracker"]["eta"] == 0.05
    assert manifest["weights"]["digest"] == lookup.random().digest
    assert set(manifest["sha256"]) == {
        "begin.jaxexport", "init.jaxexport", "step.jaxexport", "exported.py", "weights.npz"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("shape", "box", "message"),
    [
        ((64, 80), (90, 1, 20, 20), "empty or outside"),
        ((64, 80), (1, 1, 0, 20), "empty or outside"),
        ((64, 80), (1, 1, 50, 50), "cells: 3 to"),
        ((99, 80), (1, 1, 20, 20), "not RGB uint8 of at most"),
    ],
)
def test_what_does_not_fit_is_refused(
    shape: tuple[int, int], box: Any, message: str, folder: Path
) -> None:
    tracker = exported.ExportedTracker(folder)
    with pytest.raises(ValueError, match=message):
        tracker.init(np.zeros((*shape, 3), np.uint8), box)


def test_bad_sizes_and_settings_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"target: .* larger than the image"):
        programs.largest((100, 100), (200, 50))
    bucket = programs.largest((64, 64), (9, 9))
    with pytest.raises(InputError, match="dft: only matmul"):
        programs.write(tmp_path, TrackerConfig(dft="fft"), lookup.random(), bucket)
    for precision in ("bfloat16", "bfloat16x3"):
        with pytest.raises(InputError, match="precision: exported programs"):
            programs.write(tmp_path, TrackerConfig(precision=precision), lookup.random(), bucket)
    assert not list(tmp_path.iterdir())


def changed(folder: Path, target: Path, **files: Any) -> Path:
    """A copy of the exported files by links, with some replaced, or absent where None."""
    target.mkdir()
    for path in folder.iterdir():
        if path.name not in files:
            (target / path.name).symlink_to(path)
    for name, content in files.items():
        if content is not None:
            (target / name).write_bytes(content)
    return target


@pytest.mark.parametrize("kind", damage.NO_FILES)
@pytest.mark.parametrize("name", ["manifest.json", "init.jaxexport", "weights.npz"])
def test_what_is_no_file_is_refused_at_once(
    folder: Path, name: str, kind: str, tmp_path: Path
) -> None:
    place = changed(folder, tmp_path / "e", **{name: None})
    damage.no_file(place / name, kind)
    with pytest.raises(ExportError, match=f"{name}: not a regular file"):
        exported.ExportedTracker(place)


@pytest.mark.parametrize("name", ["begin.jaxexport", "step.jaxexport", "weights.npz"])
def test_only_the_files_that_were_written_are_read(folder: Path, name: str, tmp_path: Path) -> None:
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    with pytest.raises(ExportError, match=f"{name}: not the file that the manifest has"):
        exported.ExportedTracker(changed(folder, tmp_path / "e", **{name: bytes(content)}))


@pytest.mark.parametrize(
    "change",
    [
        {"image": [0, 96]},
        {"image": [1e99, 96]},
        {"grid": "21"},
        {"platforms": 3},
        {"sha256": {"weights.npz": 3}},
    ],
)
def test_a_manifest_of_other_things_is_refused(
    folder: Path, change: dict[str, Any], tmp_path: Path
) -> None:
    manifest = json.loads((folder / "manifest.json").read_text()) | change
    files = {"manifest.json": json.dumps(manifest).encode()}
    with pytest.raises(ExportError, match=r"manifest\.json: not a manifest"):
        exported.ExportedTracker(changed(folder, tmp_path / "e", **files))


def test_an_image_or_box_of_another_kind_is_refused(folder: Path) -> None:
    tracker = exported.ExportedTracker(folder)
    image = np.zeros((64, 80, 3), np.uint8)
    with pytest.raises(ExportError, match="no target yet"):
        tracker.update(image)
    for box in ("box", None, (1, 2, 3), (1, 2, np.nan, 4), 10**400):
        with pytest.raises(ExportError, match="is not four numbers"):
            tracker.init(image, box)
    for odd in (None, "image", image.tolist(), image[..., 0], image.astype(np.float32)):
        with pytest.raises(ExportError, match="not RGB uint8"):
            tracker.init(odd, (10, 10, 24, 24))


def test_the_command_writes_everything(tmp_path: Path) -> None:
    arguments = ["--weights=random", "--layers=conv1_2", "--gamma=1", "--input_size=32"]
    arguments += ["--image=64,80", "--target=24,24", "--platforms=cpu", f"--output_dir={tmp_path}"]
    command = [sys.executable, "-m", "hcft_jax.export", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {
        "begin.jaxexport", "init.jaxexport", "step.jaxexport", "weights.npz", "manifest.json",
        "exported.py",
    }  # fmt: skip
    wrong = subprocess.run(
        [*command, "--target=900,9"], capture_output=True, text=True, check=False
    )
    assert wrong.returncode == 2
    assert wrong.stderr.splitlines()[-1].startswith("error: --target")
