"""Our tracker behind TraX, with a client of ours and with the unchanged vot-toolkit (PyPI).

vot-toolkit depends on opencv-python, which is the same module as opencv-python-headless, so it has
its own environment: ``make test-slow`` makes ``.venv-vot``, and VOT_TOOLKIT may name the ``vot`` of
another one.
"""

import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hcft_jax.data import datasets
from hcft_jax.data.synthetic import Synthetic, synthetic
from hcft_jax.evaluation import metrics
from hcft_jax.util import boxes
from tests.conftest import shared
from tests.integrations.test_got10k_toolkit import CHEAP

TOOLKIT = Path(os.environ.get("VOT_TOOLKIT", Path(__file__).parents[2] / ".venv-vot/bin/vot"))
DRAWN = synthetic(Synthetic(frames=8, height=120, width=160, target=(40, 48), motion=20.0))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("trax") is None,
        reason="vot-trax is not installed (extra vot; make test-slow installs it)",
    ),
]


def command(tmp_path: Path, weights: str) -> list[str]:
    (tmp_path / "cheap.py").write_text(CHEAP)
    config = f"--config={tmp_path / 'cheap.py'}"
    return [
        sys.executable,
        "-m",
        "hcft_jax.integrations.vot_toolkit",
        config,
        f"--weights={weights}",
    ]


# The client runs in its own process, since the library prints what it receives.
CLIENT = """import json, subprocess, sys
import numpy as np
from trax import FileImage, ImageChannel, MemoryImage, Polygon, Rectangle
from trax.client import Client

x, y, w, h = json.loads(sys.argv[1])
files, command = json.loads(sys.argv[2]), sys.argv[3:]
process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
pipes = process.stdin.fileno(), process.stdout.fileno()
client = Client(stream=pipes, log=lambda _: None)

def image(i, memory):
    from PIL import Image
    made = MemoryImage.create(np.asarray(Image.open(files[i]))) if memory else None
    return {ImageChannel.COLOR: made or FileImage.create(files[i])}

corners = [(x, y), (x + w, y), (x + w, y + h), (x, y + h)]
answers = []
for memory, region in ((False, Rectangle.create(x, y, w, h)), (True, Polygon.create(corners))):
    track = []
    objects, _ = client.initialize(image(0, memory), [(region, {})], {})
    track.append(objects[0][0].bounds())
    for i in range(1, len(files)):
        objects, _ = client.frame(image(i, memory), {}, [])
        track.append(objects[0][0].bounds())
        assert "confidence" in objects[0][1], objects[0][1]
    answers.append(track)
client.quit()
print("RESULT", json.dumps([answers, process.wait(30)]))
"""


def run(arguments: list[str], **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(arguments, capture_output=True, text=True, **more)


def test_a_client_gets_the_same_boxes_from_files_and_memory(tmp_path: Path) -> None:
    files = []
    for i in range(len(DRAWN)):
        files.append(str(tmp_path / f"{i}.png"))
        Image.fromarray(DRAWN.frames.read(i)).save(files[-1])
    box = json.dumps(DRAWN.boxes[0].tolist())
    server = command(tmp_path, "random")
    done = run([sys.executable, "-c", CLIENT, box, json.dumps(files), *server])
    assert "RESULT" in done.stdout, done.stdout + done.stderr
    (of_files, of_memory), status = json.loads(done.stdout.partition("RESULT ")[2])
    assert status == 0
    assert of_files == of_memory
    tracked, truth = np.array(of_files), DRAWN.boxes
    np.testing.assert_allclose(tracked[0], truth[0], atol=1.0)
    assert np.abs(tracked - truth)[:, :2].max() < 6


def test_a_broken_image_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"\x89PNG")
    files = json.dumps([str(tmp_path / "broken.png")] * 2)
    done = run([sys.executable, "-c", CLIENT, "[1, 1, 9, 9]", files, *command(tmp_path, "random")])
    # the client's traceback may share the line: both print to one standard error
    assert re.search("error: .*broken.png: not an image", done.stderr)


def test_without_a_toolkit_it_ends_with_one_line(tmp_path: Path) -> None:
    done = run(command(tmp_path, "random"), stdin=subprocess.DEVNULL, timeout=120)
    assert done.returncode == 2
    assert [line for line in done.stderr.splitlines() if line.startswith("error: TraX")]
    assert "Traceback" not in done.stderr


STACK = """title: small
experiments:
  baseline:
    type: unsupervised
    analyses:
      - type: average_accuracy
        burnin: 1
  multistart:
    type: multistart
    analyses:
      - type: multistart_average_ar
"""


def workspace(folder: Path, tracker: list[str], frames: int) -> None:
    """Write a workspace of a few frames of OTB; the first and last frames are anchors."""
    targets = datasets.find(shared("otb"), "otb", ["Deer", "Football1"])
    for target in targets:
        sequence, place = target.load(), folder / "sequences" / target.name
        (place / "color").mkdir(parents=True)
        for i in range(frames):
            (place / "color" / f"{i + 1:08d}.jpg").symlink_to(sequence.frames.label(i))
        np.savetxt(place / "groundtruth.txt", sequence.boxes[:frames], "%.2f", delimiter=",")
        anchors = ["1", *["0"] * (frames - 2), "-1"]
        (place / "anchor.value").write_text("\n".join(anchors) + "\n")
        (place / "sequence").write_text("channels.color=color/%08d.jpg\nfps=30\nformat=default\n")
    names = "".join(f"{target.name}\n" for target in targets)
    (folder / "sequences" / "list.txt").write_text(names)
    (folder / "stack.yaml").write_text(STACK)
    (folder / "config.yaml").write_text("registry: [./trackers.ini]\nstack: ./stack.yaml\n")
    lines = ["[HCFT]", "label = HCFT", "protocol = trax", "timeout = 300"]
    (folder / "trackers.ini").write_text("\n".join([*lines, f"command = {shlex.join(tracker)}\n"]))


@pytest.mark.skipif(not TOOLKIT.exists(), reason=f"no vot-toolkit: {TOOLKIT} (make test-slow)")
def test_the_toolkit_evaluates_our_tracker_to_the_end(tmp_path: Path) -> None:
    frames = 12
    folder = tmp_path / "workspace"
    weights = str(shared("weights", "vgg19_imagenet.npz"))
    workspace(folder, command(tmp_path, weights), frames)
    environment = os.environ | {"VOT_RESULTS_BINARY": "false"}
    for what in (["evaluate", "HCFT"], ["analysis", "HCFT", "--name=out"]):
        done = run([str(TOOLKIT), *what], cwd=folder, env=environment)
        said = done.stdout + done.stderr
        assert done.returncode == 0, said
        assert "error" not in said.lower(), said
    report = json.loads((folder / "analysis" / "out.json").read_text())["results"]
    overlaps = []
    for target in datasets.find(folder / "sequences"):
        truth = boxes.to_file(target.load().boxes)
        path = folder / "results" / "HCFT" / "baseline" / target.name / f"{target.name}_001.txt"
        first, *rows = path.read_text().splitlines()
        assert first == "1"  # the toolkit's code for an initialisation
        tracked = truth.copy()
        tracked[1:] = boxes.to_file([[float(v) for v in row.split(",")] for row in rows])
        overlaps.append(metrics.per_frame(tracked, truth).overlap[1:].mean())
        files = folder.glob(f"results/HCFT/multistart/{target.name}/{target.name}_????????.txt")
        assert {path.stem[-8:] for path in files} == {"00000000", "00000011"}
    ((((accuracy,),),),) = (report["baseline"]["results"],)
    # the toolkit counts pixels of regions drawn on a grid, we measure areas
    assert accuracy == pytest.approx(np.mean(overlaps), abs=0.02)
    ((((robust_accuracy, robustness, *_),),),) = (report["multistart"]["results"],)
    assert robustness == 1.0  # never lost, in either direction
    assert robust_accuracy == pytest.approx(accuracy, abs=0.1)
