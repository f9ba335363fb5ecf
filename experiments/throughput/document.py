"""The tables of BENCHMARKS.md, written from the files of runs between the markers in it.

A section begins with ``<!-- throughput: NAME -->`` and ends with ``<!-- end -->``; the text between
the markers is replaced. NAME is one of ``SECTIONS``. A part that was not measured is stated so.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hcft_jax.evaluation.tables import Table, markdown
from hcft_jax.util.errors import InputError
from hcft_jax.util.files import replacing

_MARKED = re.compile(
    r"(<!-- throughput: (?P<name>[a-z]+) -->\n).*?(<!-- end -->)", re.DOTALL | re.MULTILINE
)


def merged(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Merge runs that measured different parts; a later run's part replaces an earlier one's.

    Raises:
        InputError: the runs are of different machines or versions.
    """
    whole: dict[str, Any] = {"settings": [], "rows": []}
    for run in runs:
        for name in ("cpu", "device", "cores"):
            if run["hardware"].get(name) != runs[0]["hardware"].get(name):
                raise InputError(f"--results: runs of different machines ({name})")
        if run.get("versions", {}).get("jax") != runs[0].get("versions", {}).get("jax"):
            raise InputError("--results: runs of different versions of jax")
        whole["settings"].append(run)
        whole |= {part: of for part, of in run.items() if of}
    return whole


def fill(path: str | Path, run: Mapping[str, Any]) -> None:
    """Replace the sections of a Markdown file by those of a run, or of several ``merged`` ones.

    Raises:
        InputError: the file cannot be read or written, has no marker, or one of an unknown section.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    if not _MARKED.search(text):
        raise InputError(f"{path}: no section begins with <!-- throughput: NAME -->")

    def section(match: re.Match[str]) -> str:
        name = match["name"]
        if name not in SECTIONS:
            raise InputError(f"{path}: no section {name!r}; there are {', '.join(SECTIONS)}")
        part, write = SECTIONS[name]
        found = run.get(part)
        missing = not (found["rows"] if part == "growth" and found else found)
        content = "Not measured." if missing else write(run)
        return f"{match[1]}{content.strip()}\n{match[3]}"

    filled = _MARKED.sub(section, text)
    with replacing(path) as temporary:
        temporary.write_text(filled, encoding="utf-8")


def setting(run: Mapping[str, Any]) -> str:
    """Write the machine, versions, command and workload of each of the runs."""
    return "\n\n".join(map(_setting, run.get("settings", [run])))


def _setting(run: Mapping[str, Any]) -> str:
    hardware, versions = run["hardware"], run["versions"]
    lines = [
        f"* {run['date']}, {hardware['device']}, {hardware['cpu']}, {hardware['cores']} cores, "
        f"{hardware['memory_gib']:.0f} GiB; load of the machine at the start "
        f"{hardware['load']:.1f}",
        "* " + ", ".join(f"{name} {version}" for name, version in versions.items() if version),
        f"* `{run['command']}`",
    ]
    if work := run.get("material"):
        lines.append(
            f"* {len(work['sequences'])} sequences, {sum(work['frames'])} frames, "
            f"{work['what']}; images {', '.join(work['images'])}; "
            f"{len(work['buckets'])} buckets"
        )
    lines += [f"* note: {note}" for note in run.get("notes", [])]
    return "\n".join(lines)


def _speed(run: Mapping[str, Any]) -> str:
    header = ["program", "lanes", "precision", "frames/s (least to most)", "executables"]
    header += ["compiling, s", "host memory, GiB", "frames with another box than `plain`"]
    rows = []
    for row in run["rows"]:
        apart = row.get("against_plain")
        rows.append(
            [
                f"`{row['name']}` ({row['program']})",
                str(row["lanes"]),
                row["precision"],
                _spread(row["fps"], row["fps_least"], row["fps_most"]),
                "-" if row["name"].startswith("torch") else str(row["executables"]),
                f"{row['compile_seconds']:.1f}",
                f"{row['host_peak_bytes'] / 2**30:.1f}" if row["host_peak_bytes"] else "-",
                f"{apart['frames_that_differ']} of {apart['frames']}" if apart else "-",
            ]
        )
    title = "Frames per second, with decoding, without compiling"
    text = markdown(Table(title, header, rows))
    if ratios := run.get("ratios"):
        text += "\n" + _ratios("Ratios, round by round", "speeds", ratios)
    return text


def _stages(run: Mapping[str, Any]) -> str:
    ceilings, texts = run["ceilings"], []
    copy = ceilings["copy"]["bytes_per_second"]["median"]
    for batch in run["stages"]["batches"]:
        matmul = ceilings["matmul"][batch["precision"]]["flops_per_second"]["median"]
        rows = []
        for name, stage in batch["stages"].items():
            cells = [name, _scaled(stage["seconds"], 1e3 / batch["lanes"])]
            if "flops" in stage:
                cells += [
                    f"{stage['flops_per_second'] / 1e9:.1f}",
                    f"{stage['flops_per_second'] / matmul:.2f}",
                    f"{stage['bytes_per_second'] / 1e9:.1f}",
                    f"{stage['bytes_per_second'] / copy:.2f}",
                ]
            else:
                cells += ["-", "-", f"{stage.get('bytes_per_second', 0) / 1e9:.1f}", "-"]
            rows.append(cells)
        lanes = f"{batch['lanes']} lane{'' if batch['lanes'] == 1 else 's'}"
        title = f"{lanes}, {batch['precision']}, one patch per lane"
        header = ["stage", "ms per patch", "GFLOP/s", "of a matmul's", "GB/s", "of a copy's"]
        texts.append(markdown(Table(title, header, rows)))
    decode = run["stages"]["decode"]
    texts.append(
        f"Decoding a JPEG of {decode['image'][0]} x {decode['image'][1]} px: "
        f"{1e3 * decode['seconds']['median']:.1f} ms on one core, "
        f"{decode['frames_per_second_all_cores']['median']:.0f} frames/s on {decode['cores']}.\n"
    )
    return "\n".join(texts)


def _ceilings(run: Mapping[str, Any]) -> str:
    of, rows = run["ceilings"], []
    side = of["sizes"]["matmul"]
    for name, value in of["matmul"].items():
        rate = _scaled(value["flops_per_second"], 1e-9)
        rows.append([f"matmul {side} x {side}, {name}", f"{rate} GFLOP/s"])
    for name in ("copy", "transfer"):
        rows.append([name, f"{_scaled(of[name]['bytes_per_second'], 1e-9)} GB/s"])
    return markdown(Table("Ceilings", ["what", "rate"], rows))


def _network(run: Mapping[str, Any]) -> str:
    header, rows = ["batch", "ours, ms per patch"], []
    for batch, of in run["network"]["batches"].items():
        rows.append([batch, _scaled(of["seconds"]["placed"], 1e3 / int(batch))])
        for name, value in of["ratios"].items():
            other = name.removeprefix("placed / ")
            title = "ours / XLA's convolution" if other == "direct" else f"ours / `{other}`"
            if title not in header:
                header.append(title)
            rows[-1].append(_spread(**value))
    others = run["network"]["competitors"].items()
    note = "; ".join(f"`{name}`: {what}" for name, what in others) or "PyTorch is not installed"
    return markdown(Table("The bare network pass, in float32", header, rows)) + f"\n{note}.\n"


def _frame(run: Mapping[str, Any]) -> str:
    of = run["frame"]
    rows = [[name, _scaled(seconds, 1e3)] for name, seconds in of["seconds"].items()]
    title = f"Frames and a network pass, on a grid of {' x '.join(map(str, of['grid']))} cells"
    text = markdown(Table(title, ["what", "ms (least to most)"], rows))
    return text + "\n" + _ratios("Ratios, repeat by repeat", "times", of["ratios"])


def _video(run: Mapping[str, Any]) -> str:
    of = run["video"]
    moved = ", ".join(map(str, of["frames in which a target moved"]))
    title = f"{of['frames']} frames, of which the targets moved in {moved}"
    rows = [[name, _quartiles(value, 1e3)] for name, value in of["seconds"].items()]
    text = markdown(Table(title, ["what", "ms per frame (quartiles)"], rows))
    totals = of["ratios of totals"]
    ratios = [[n, f"{totals[n]:.3g}", _quartiles(value)] for n, value in of["ratios"].items()]
    header = ["times", "ratio of the totals", "of the frames (quartiles)"]
    return text + "\n" + markdown(Table("Ratios, frame by frame", header, ratios))


def _feed(run: Mapping[str, Any]) -> str:
    of = run["feed"]
    header = ["image", "from memory, frames/s", "from files, frames/s", "decoding alone, frames/s"]
    header += ["from files / decoding alone"]
    names = ("from_memory", "from_files", "decoding", "ratio")
    rows = [
        ["x".join(map(str, row["image"])), *(_spread(**row[name]) for name in names)]
        for row in of["rows"]
    ]
    title = f"Frames for {of['lanes']} lanes of a device that does nothing; {of['cores']} cores"
    return markdown(Table(title, header, rows))


def _start(run: Mapping[str, Any]) -> str:
    header = ["start", "whole process, s", "import", "weights", "to the first boxes", "compiling"]
    header += ["executables", "of them cached"]
    names = ("process", "import", "weights", "tracked", "compile")
    rows = [
        [kind, *(f"{of[n]:.1f}" for n in names), str(of["executables"]), str(of["cache_hits"])]
        for kind in ("cold", "warm")
        for of in run["startup"][kind]
    ]
    return markdown(Table("Seconds from the command to the first boxes", header, rows))


def _growth(run: Mapping[str, Any]) -> str:
    growth, texts = run["growth"], []
    for axis in dict.fromkeys(row["axis"] for row in growth["rows"]):
        rows = [
            [
                f"{row['value']:g}",
                str(row["lanes"]),
                str(row["frames"]),
                _spread(row["fps"], row["fps_least"], row["fps_most"]),
                f"{row['host_peak_bytes'] / 2**30:.2f}" if row["host_peak_bytes"] else "-",
            ]
            for row in growth["rows"]
            if row["axis"] == axis
        ]
        header = [axis, "lanes", "frames", "frames/s (least to most)", "host memory, GiB"]
        texts.append(markdown(Table(f"By {axis}", header, rows)))
    return "\n".join(texts + [f"* note: {note}" for note in growth["notes"]])


def _ratios(title: str, what: str, ratios: Mapping[str, Any]) -> str:
    rows: Iterable[list[str]] = ([name, _spread(**value)] for name, value in ratios.items())
    return markdown(Table(title, [what, "ratio"], list(rows)))


def _spread(median: float, least: float, most: float) -> str:
    def shown(value: float) -> str:
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"

    return f"{shown(median)} ({shown(least)} to {shown(most)})"


def _scaled(spread: Mapping[str, float], factor: float) -> str:
    return _spread(**{name: factor * value for name, value in spread.items()})


def _quartiles(of: Mapping[str, float], factor: float = 1.0) -> str:
    names = ("median", "lower quartile", "upper quartile")
    return _spread(*(factor * of[name] for name in names))


SECTIONS: dict[str, tuple[str, Callable[[Mapping[str, Any]], str]]] = {
    "setting": ("hardware", setting),
    "speed": ("rows", _speed),
    "network": ("network", _network),
    "stages": ("stages", _stages),
    "ceilings": ("ceilings", _ceilings),
    "frame": ("frame", _frame),
    "video": ("video", _video),
    "feed": ("feed", _feed),
    "startup": ("startup", _start),
    "growth": ("growth", _growth),
}
"""The sections that markers may name, the part that each needs, and the function that writes it."""
