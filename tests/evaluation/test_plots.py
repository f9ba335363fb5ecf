from pathlib import Path

import numpy as np
import pytest

from hcft_jax.evaluation import plots
from hcft_jax.evaluation.metrics import Curves, curves

TRUTH = np.tile([11.0, 21.0, 10.0, 10.0], (4, 1))


def off(pixels: float) -> Curves:
    return curves(TRUTH + np.array([pixels, 0, 0, 0]), TRUTH)


MEANS = {"a": off(0), "b_$x$": off(30), "otb-0123456789abcdef_with_a_long_name": off(4)}


@pytest.mark.parametrize("kind", plots.KINDS.values(), ids=plots.KINDS)
def test_the_legend_is_ordered_by_its_numbers(kind: plots.Kind) -> None:
    figure = plots.plot(MEANS, kind, "here (1 target)")
    (axes,) = figure.axes
    legend = axes.get_legend()
    assert legend is not None
    labels = [text.get_text() for text in legend.get_texts()]
    numbers = [float(label.split("[")[1].rstrip("]")) for label in labels]
    assert numbers == sorted(numbers, reverse=True)
    assert labels[0] == f"a [{getattr(MEANS['a'], kind.number):.3f}]"
    assert labels[-1].startswith("b_$x$ [")
    for line, tracker in zip(axes.lines, ["a", list(MEANS)[2], "b_$x$"], strict=True):
        np.testing.assert_array_equal(line.get_ydata(), getattr(MEANS[tracker], kind.curve))


def test_nothing_is_cut_off() -> None:
    figure = plots.plot(MEANS, plots.KINDS["success"], "here (1 target)")
    figure.draw_without_rendering()
    (axes,) = figure.axes
    box = axes.get_tightbbox()
    assert box is not None
    assert box.x0 >= 0
    assert box.y0 >= 0
    assert box.x1 <= figure.bbox.width
    assert box.y1 <= figure.bbox.height


def test_forty_trackers_are_told_apart() -> None:
    means = {f"t{i}": off(i) for i in range(40)}
    figure = plots.plot(means, plots.KINDS["precision"], "here")
    lines = figure.axes[0].lines
    assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == 40


def test_the_same_figure_is_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        plots.write(plots.plot(MEANS, plots.KINDS["success"], "here"), tmp_path / name)
    for suffix in (".png", ".pdf"):
        one, two = ((tmp_path / f"{name}{suffix}").read_bytes() for name in ("one", "two"))
        assert one == two


@pytest.mark.parametrize("name", [r"$\frac$", "$", "a$b$c", r"\$", "$^$", "a\udcff"])
def test_names_are_no_formulas(name: str, tmp_path: Path) -> None:
    figure = plots.plot({name: MEANS["a"]}, plots.KINDS["success"], name)
    figure.axes[0].set_yscale("log")
    figure.axes[0].set_ylim(1e-3, 1)
    plots.save(figure, tmp_path / "a.png")
    assert figure.axes[0].get_title().isprintable()
    assert not figure.axes[0].title.get_parse_math()
    assert any(label.get_parse_math() for label in figure.axes[0].get_yticklabels())


def test_a_name_with_a_leading_underscore_is_in_the_legend() -> None:
    figure = plots.plot({"_x": MEANS["a"], "y": MEANS["a"]}, plots.KINDS["success"], "here")
    legend = figure.axes[0].get_legend()
    assert legend is not None
    assert [text.get_text().split()[0] for text in legend.get_texts()] == ["_x", "y"]
