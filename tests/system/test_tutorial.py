"""The tutorial runs from its first cell to its last, and is small."""

import json
import subprocess
import sys
from pathlib import Path

NOTEBOOK = Path(__file__).parents[2] / "docs" / "tutorial.ipynb"

# in a process of its own: Jupyter's warnings and its event loop are not ours
EXECUTE = """
import sys, nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], 4)
NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
nbformat.write(notebook, sys.argv[2])
"""


def text(notebook: Path) -> list[str]:
    cells = [c for c in json.loads(notebook.read_text())["cells"] if c["cell_type"] == "code"]
    return ["".join(t for o in c["outputs"] for t in o.get("text", [])) for c in cells]


def test_every_cell_runs(tmp_path: Path) -> None:
    command = [sys.executable, "-c", EXECUTE, str(NOTEBOOK), str(tmp_path / "done.ipynb")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    said = "\n".join(text(tmp_path / "done.ipynb"))
    assert "largest distance from the truth" in said
    assert said.count("DP@20 1.00") == 2  # VGG-19's untrained layers, and one's own


def test_the_outputs_that_are_kept_are_small_and_without_errors() -> None:
    assert NOTEBOOK.stat().st_size < 150_000
    outputs = [o for c in json.loads(NOTEBOOK.read_text())["cells"] for o in c.get("outputs", [])]
    assert outputs
    assert not [o for o in outputs if o["output_type"] == "error" or o.get("name") == "stderr"]
