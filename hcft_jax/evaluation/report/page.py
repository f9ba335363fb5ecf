"""The page as one file."""

import base64
import hashlib
import html
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

from tqdm.auto import tqdm

from hcft_jax.evaluation.report.content import content
from hcft_jax.evaluation.report.encoding import as_json
from hcft_jax.evaluation.report.tracks import Pictures, tracks
from hcft_jax.evaluation.result_folders import Results
from hcft_jax.evaluation.summary import Evaluation
from hcft_jax.util.files import replacing

# One program: each part uses those before it. It runs in a function, so that nothing is global.
_SCRIPTS = (
    "dom.js",
    "charts.js",
    "tables.js",
    "sections.js",
    "maps.js",
    "viewer.js",
    "differences.js",
    "main.js",
)


def write(
    path: str | Path,
    evaluation: Evaluation,
    results: Results,
    intervals: Mapping[str, Any],
    pictures: Pictures,
) -> int:
    """Write the page, whole or not at all; one sequence is in memory at a time.

    Args:
        path: ``report.html``.
        evaluation: The scores.
        results: The boxes.
        intervals: The result of ``summary.intervals`` for the same evaluation.
        pictures: The frames to show.

    Returns:
        The file's size in bytes.

    Raises:
        InputError: frames or response maps cannot be read, or the file cannot be written.
    """
    targets = pictures.find(evaluation.benchmark)
    trackers = list(evaluation.curves)
    style, script = _asset("style.css"), _script()
    data = as_json(content(evaluation, results, intervals))
    before, after = (
        Template(_asset("template.html"))
        .substitute(
            policy=html.escape(_policy(style, script)),
            style=style,
            content=_data("content", data),
            script=script,
            tracks="\0",
        )
        .split("\0")
    )

    def sequences() -> Iterator[str]:
        names = list(evaluation.benchmark.targets)
        bar = tqdm(names, desc="report", unit="sequence", disable=None)
        for place, name in enumerate(bar):
            if any(name in evaluation.curves[tracker] for tracker in trackers):
                of = tracks(
                    name, trackers, results, evaluation.benchmark, pictures, targets.get(name)
                )
                yield _data(f"sequence-{place}", as_json(of))

    # a name of a file that is not UTF-8 has escapes
    with (
        replacing(path) as temporary,
        temporary.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as file,
    ):
        file.write(before)
        file.writelines(sequences())
        file.write(after)
    return Path(path).stat().st_size


def _asset(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _script() -> str:
    parts = "\n".join(map(_asset, _SCRIPTS))
    return f'\n(() => {{\n"use strict";\n{parts}}})();\n'


def _data(name: str, text: str) -> str:
    return f'<script type="application/json" id="{name}">{text}</script>\n'


def _policy(style: str, script: str) -> str:
    """Forbid requests and foreign scripts and styles, so that names in results cannot act."""

    def digest(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    own = f"style-src {digest(style)}; script-src {digest(script)}"
    return f"default-src 'none'; img-src data:; {own}; base-uri 'none'; form-action 'none'"
