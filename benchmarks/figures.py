"""How costs grow, as figures with logarithmic axes."""

import io
from collections.abc import Iterable

from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter

from kerasrecipes.plotting import colours

BACKENDS = ("tensorflow", "jax", "torch")


def draw(
    axes, curves: Iterable[dict], names: dict[str, str], unit: float = 0.001
) -> None:
    """Draws curves into one panel.

    Args:
        axes: the panel.
        curves: what the benchmarks printed.
        names: colours by the name that the legend shows; the name is a
            curve's backend or its subject.
        unit: of the times, in seconds.
    """
    sizes = set()
    for found in curves:
        name = found["backend"]
        if name not in names:
            name = found["subject"]
        axes.loglog(
            found["x"],
            [seconds / unit for seconds in found["seconds"]],
            "o-",
            markersize=3,
            color=names[name],
            label=f"{name}: {found['slope']:.2f}",
        )
        axes.set_xlabel(f"{found['over']} ({found['setting']})")
        sizes |= {*found["x"]}
    axes.set_xticks(sorted(sizes), map(str, sorted(sizes)), fontsize=8)
    axes.set_xticks([], minor=True)
    for kind in (
        axes.yaxis.set_major_formatter,
        axes.yaxis.set_minor_formatter,
    ):
        kind(LogFormatter(labelOnlyBase=False, minor_thresholds=(2, 0.5)))
    axes.legend(title="slope", fontsize=7, title_fontsize=7)
    axes.grid(alpha=0.3)


def growth_figures(curves: list[dict]) -> dict[str, Figure]:
    """The normalization's cost, and the cells'.

    Args:
        curves: those of the group "growth".
    """
    normalization = [c for c in curves if c["over"] in ("channels", "window")]
    cells = [c for c in curves if c not in normalization]
    shades = colours(BACKENDS)
    first = Figure(figsize=(8.4, 3.4), layout="constrained")
    for axes, over in zip(
        first.subplots(1, 2), ("channels", "window"), strict=True
    ):
        draw(axes, [c for c in normalization if c["over"] == over], shades)
        axes.set_ylabel("ms a training step")
    second = Figure(figsize=(10.5, 6.4), layout="constrained")
    shades = colours(dict.fromkeys(c["subject"] for c in cells))
    grid = second.subplots(2, 3, sharey=True)
    for line, over in zip(grid, ("length", "width"), strict=True):
        line[0].set_ylabel("ms a training step")
        for axes, backend in zip(line, BACKENDS, strict=True):
            found = [
                c for c in cells if (c["over"], c["backend"]) == (over, backend)
            ]
            if found:
                draw(axes, found, shades)
            axes.set_title(backend, fontsize=9)
    return {"normalization": first, "cells": second}


def trial_figures(curves: list[dict]) -> dict[str, Figure]:
    """Seconds of trials over their number.

    Args:
        curves: those of the group "trials".
    """
    figure = Figure(figsize=(4.6, 3.4), layout="constrained")
    axes = figure.subplots()
    draw(axes, curves, colours(c["subject"] for c in curves), unit=1)
    axes.set_ylabel("s")
    return {"trials": figure}


def png(figure: Figure) -> bytes:
    """A figure as the bytes of a PNG file, the same for the same figure."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=110, metadata={"Software": None})
    return stream.getvalue()
