"""Figures say what they show, whatever part of the trials there is."""

import itertools

import numpy as np
import pytest
from matplotlib.figure import Figure

from kerasrecipes import plotting
from kerasrecipes.experiment.statistics import student_interval
from kerasrecipes.experiment.trials import Trials

VARIANTS = {"plain": {}, "new": {}, "newer": {}}
CONDITIONS = {"small": {}, "large": {}}


def make_trials(seeds, conditions=CONDITIONS, folds=None):
    generator = np.random.default_rng(0)
    trials = [
        {
            "variant": variant,
            "condition": condition,
            "seed": seed,
            "scores": {"accuracy": generator.normal()},
            "curves": {"loss": list(generator.random(4))},
        }
        for seed, condition, variant in itertools.product(
            range(seeds), conditions, VARIANTS
        )
    ]
    return Trials(trials, VARIANTS, conditions, folds)


@pytest.mark.parametrize("seeds", [1, 2, 5])
@pytest.mark.parametrize("conditions", [CONDITIONS, {"": {}}])
def test_curves_show_mean_and_range_of_every_variant(
    seeds, conditions, tmp_path
):
    trials = make_trials(seeds, conditions)
    figure = plotting.plot_curves(trials, "loss", ylabel="loss in nats")
    figure.savefig(tmp_path / "curves.png")
    assert isinstance(figure, Figure)
    assert [axis.get_title() for axis in figure.axes] == list(conditions)
    assert figure.axes[0].get_ylabel() == "loss in nats"
    for axis, condition in zip(figure.axes, conditions, strict=True):
        assert axis.get_xlabel() == "epoch"
        assert [line.get_label() for line in axis.lines] == list(VARIANTS)
        for line in axis.lines:
            curves = trials.curves("loss", line.get_label(), condition)
            assert np.allclose(line.get_ydata(), curves.mean(0))
            assert list(line.get_xdata()) == [1, 2, 3, 4]
    legend = figure.axes[-1].get_legend().get_texts()
    assert [text.get_text() for text in legend] == list(VARIANTS)


@pytest.mark.parametrize("folds", [None, 10])
def test_differences_show_the_interval_that_the_verdict_sees(folds, tmp_path):
    trials = make_trials(5, folds=folds)
    figure = plotting.plot_differences(trials, "accuracy", xlabel="accuracy")
    figure.savefig(tmp_path / "differences.png")
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert names == ["new", "newer"]
    dots, interval, mean = figure.axes[1].lines[3:6]
    found = trials.differences("accuracy", "newer", "plain", "large")
    assert list(dots.get_xdata()) == found
    expected = student_interval(found, folds)
    assert mean.get_xdata()[0] == expected[0]
    assert tuple(interval.get_xdata()) == expected[1:]


def test_a_run_of_one_seed_and_two_variants_is_drawn(tmp_path):
    trials = make_trials(1)
    trials.trials = [t for t in trials.trials if t["variant"] != "newer"]
    trials.variants = {"plain": {}, "new": {}}
    for figure in (
        plotting.plot_differences(trials, "accuracy", xlabel="accuracy"),
        plotting.plot_curves(trials, "loss", ylabel="loss", log=True),
    ):
        figure.savefig(tmp_path / "figure.png")
        assert (tmp_path / "figure.png").stat().st_size > 1000


def test_a_chosen_variant_alone_is_drawn():
    trials = make_trials(2)
    figure = plotting.plot_curves(
        trials, "loss", ylabel="loss", variants=["plain", "newer"]
    )
    labels = [line.get_label() for line in figure.axes[0].lines]
    assert labels == ["plain", "newer"]


def make_reliability(seeds, conditions=CONDITIONS):
    """Three bins of four, 30 and 200 examples in each seed."""
    trials = make_trials(seeds, conditions)
    examples = np.array([4.0, 30.0, 200.0])
    for number, trial in enumerate(trials.trials):
        trial["curves"] = {
            "examples": list(examples),
            "confidence": list(examples * [0.3, 0.5, 0.9]),
            "hits": list(examples * [0.5, 0.5, 0.6 + 0.01 * number]),
        }
    return trials


@pytest.mark.parametrize("seeds", [1, 2, 5])
@pytest.mark.parametrize("conditions", [CONDITIONS, {"": {}}])
def test_reliability_is_that_of_all_seeds_together(seeds, conditions, tmp_path):
    trials = make_reliability(seeds, conditions)
    figure = plotting.plot_reliability(trials, variants=["plain", "newer"])
    figure.savefig(tmp_path / "reliability.png")
    assert (tmp_path / "reliability.png").stat().st_size > 1000
    assert [axis.get_title() for axis in figure.axes] == list(conditions)
    for axis, condition in zip(figure.axes, conditions, strict=True):
        lines = {line.get_label(): line for line in axis.lines}
        assert next(iter(lines)) == "calibrated"
        assert "new" not in lines
        # The first bin has ten examples from three seeds on.
        kept = slice(None) if seeds > 2 else slice(1, None)
        for variant in ("plain", "newer"):
            hits = trials.curves("hits", variant, condition).sum(0)
            shares = hits / (seeds * np.array([4, 30, 200]))
            line = lines[variant]
            assert np.allclose(line.get_xdata(), [0.3, 0.5, 0.9][kept])
            assert np.allclose(line.get_ydata(), shares[kept])


def test_reliability_bars_span_the_seeds():
    trials = make_reliability(3, {"": {}})
    figure = plotting.plot_reliability(trials, variants=["newer"])
    (axis,) = figure.axes
    bars = [line for line in axis.lines if line.get_label().startswith("_")]
    middle, last = bars  # the first bin has too few examples in a seed
    assert list(middle.get_ydata()) == [0.5, 0.5]
    hits = trials.curves("hits", "newer")[:, 2] / 200
    assert list(last.get_ydata()) == [hits.min(), hits.max()]


def test_reliability_of_nothing_is_drawn(tmp_path):
    trials = make_reliability(1)
    trials.trials = []
    figure = plotting.plot_reliability(trials)
    figure.savefig(tmp_path / "reliability.png")
