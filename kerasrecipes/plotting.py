"""Figures that several recipes share: curves and differences over the seeds."""

import numpy as np
from matplotlib.figure import Figure

from kerasrecipes.experiment.statistics import student_interval
from kerasrecipes.experiment.trials import Trials

# Okabe and Ito's colours, told apart by colour-blind readers as well.
COLOURS = (
    "#000000",
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#8C8C8C",
)


def colours(names) -> dict[str, str]:
    """A colour for each name; the first, the baseline, is black.

    Args:
        names: the names, such as those of variants.
    """
    return {n: COLOURS[i % len(COLOURS)] for i, n in enumerate(names)}


def panels(trials: Trials, height: float = 3.6):
    """An empty figure with a panel for each condition.

    Args:
        trials: the trials.
        height: height of the figure in inches.

    Returns:
        The figure, and a dict of axes by the condition's name.
    """
    count = len(trials.conditions)
    width = 4.2 if count < 3 else 3.2
    figure = Figure(figsize=(width * count + 0.8, height), layout="constrained")
    axes = figure.subplots(1, count, sharey=True, squeeze=False)[0]
    for axis, condition in zip(axes, trials.conditions, strict=True):
        axis.set_title(condition, fontsize=10)
        axis.spines[["top", "right"]].set_visible(False)
    return figure, dict(zip(trials.conditions, axes, strict=True))


def plot_curves(
    trials: Trials,
    *curves: str,
    ylabel: str,
    xlabel: str = "epoch",
    variants: list[str] | None = None,
    log: bool = False,
) -> Figure:
    """Curves over training: the seeds' mean, and their range as a band.

    Args:
        trials: trials that have these curves.
        *curves: their names; the first is drawn solid, a second dashed.
        ylabel: what is on the vertical axis, with its unit.
        xlabel: what is on the horizontal axis.
        variants: names of the variants to draw. Defaults to all.
        log: whether the vertical axis is logarithmic.
    """
    figure, axes = panels(trials)
    names = [n for n in trials.variants if variants is None or n in variants]
    shades = colours(names)
    for condition, axis in axes.items():
        for variant in names:
            for curve, style in zip(curves, ("-", "--", ":"), strict=False):
                values = trials.curves(curve, variant, condition)
                if not values.size:
                    continue
                x = np.arange(1, values.shape[1] + 1)
                label = variant if curve == curves[0] else None
                shade = shades[variant]
                # A line through one point would not be seen.
                mark = "o" if len(x) == 1 else None
                axis.plot(
                    x,
                    values.mean(0),
                    style,
                    color=shade,
                    label=label,
                    marker=mark,
                )
                axis.fill_between(
                    x,
                    values.min(0),
                    values.max(0),
                    color=shade,
                    alpha=0.12,
                    linewidth=0,
                )
        axis.set_xlabel(xlabel)
        axis.xaxis.get_major_locator().set_params(integer=True)
        if log:
            axis.set_yscale("log")
    first, *_, last = axes.values() if len(axes) > 1 else [*axes.values()] * 2
    first.set_ylabel(ylabel)
    last.legend(frameon=False, fontsize=8)
    seeds = len({trial["seed"] for trial in trials.trials})
    figure.supxlabel(
        f"line: mean of {seeds} seed{'s' * (seeds != 1)}, band: their range",
        fontsize=8,
    )
    return figure


def plot_differences(
    trials: Trials,
    score: str,
    *,
    xlabel: str,
    than: str | None = None,
) -> Figure:
    """A score's paired differences to a baseline, as the verdicts see them.

    Args:
        trials: trials that have this score.
        score: its name.
        xlabel: what it is, with its unit.
        than: the variant to compare with. Defaults to the first.
    """
    than = than or next(iter(trials.variants))
    others = [name for name in trials.variants if name != than]
    figure, axes = panels(trials, height=1.5 + 0.4 * len(others))
    shades = colours(trials.variants)
    for condition, axis in axes.items():
        for row, variant in enumerate(others):
            found = trials.differences(score, variant, than, condition)
            # Seeds with equal differences stay visible beside each other.
            spread = np.linspace(-0.2, 0.2, len(found)) if found else []
            shade = shades[variant]
            axis.plot(found, row + spread, "o", color=shade, ms=3.5, alpha=0.5)
            if len(found) > 2:
                mean, low, high = student_interval(found, trials.folds)
                axis.plot([low, high], [row, row], color=shade, linewidth=2.5)
                axis.plot(mean, row, "D", color=shade, ms=6)
        axis.axvline(0, color=COLOURS[0], linewidth=0.8, linestyle=":")
        axis.locator_params("x", nbins=5)  # more labels would touch
        axis.set_yticks(range(len(others)), others)
        axis.set_ylim(len(others) - 0.5, -0.5)
        base = list(trials.scores(score, than, condition).values())
        if base:
            axis.set_title(
                f"{condition}\n{than}: {np.mean(base):.3g}".strip(),
                fontsize=10,
            )
    figure.supxlabel(
        f"{xlabel}: difference to {than}\n"
        "dot: a seed, diamond and line: mean and 95 % interval",
        fontsize=9,
    )
    return figure


def plot_reliability(
    trials: Trials, *, variants: list[str] | None = None
) -> Figure:
    """Reliability diagrams: accuracy against confidence, bin by bin.

    A point is a bin of all seeds together, and its area the share of examples
    in it; bins of fewer than ten examples are left out. The bars span what the
    bin was in single seeds, where it had five examples at least.

    Args:
        trials: trials with the curves "examples", "confidence" and "hits":
            the number of examples in each bin, and their sums.
        variants: names of the variants to draw. Defaults to all.
    """
    figure, axes = panels(trials, height=4.4)
    names = [n for n in trials.variants if variants is None or n in variants]
    shades = colours(names)
    for condition, axis in axes.items():
        axis.plot([0, 1], [0, 1], ":", color=COLOURS[-1], label="calibrated")
        for variant in names:
            examples, confidence, hits = (
                trials.curves(curve, variant, condition)
                for curve in ("examples", "confidence", "hits")
            )
            if not examples.size:
                continue
            counts = examples.sum(0)
            used = counts >= 10
            x = confidence.sum(0)[used] / counts[used]
            y = hits.sum(0)[used] / counts[used]
            shade = shades[variant]
            axis.plot(x, y, color=shade, label=variant)
            axis.scatter(x, y, 200 * counts[used] / counts.sum(), color=shade)
            for place, bin_ in zip(x, np.flatnonzero(used), strict=True):
                enough = examples[:, bin_] >= 5
                shares = hits[enough, bin_] / examples[enough, bin_]
                if shares.size:
                    ends = [shares.min(), shares.max()]
                    axis.plot([place] * 2, ends, color=shade, alpha=0.3)
        axis.set_xlim(0, 1.03)
        axis.set_ylim(0, 1.03)
        axis.set_aspect("equal")
        axis.set_xlabel("mean confidence of a bin")
    first, *_, last = axes.values() if len(axes) > 1 else [*axes.values()] * 2
    first.set_ylabel("share of the bin that is right")
    last.legend(frameon=False, fontsize=8)
    seeds = len({trial["seed"] for trial in trials.trials})
    figure.supxlabel(
        "below the dotted line: more sure than right\n"
        f"point: a bin of {seeds} seed{'s' * (seeds != 1)} together, its area "
        "the share of examples; bar: range of the seeds",
        fontsize=8,
    )
    return figure
