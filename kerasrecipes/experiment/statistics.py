"""Verdicts: what the numbers of several seeds say about a claim."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from kerasrecipes.text import short

CONFIDENCE = 0.95
ROUNDING = 1e-12  # a relative difference in the last digits alone

SUPPORTED = "supported"
CONTRADICTED = "contradicted"
SMALLER = "smaller than claimed"
SAME = "no difference"
INCONCLUSIVE = "inconclusive"
OUTCOMES = (SUPPORTED, SMALLER, SAME, INCONCLUSIVE, CONTRADICTED)


@dataclass(frozen=True)
class Verdict:
    """What was found out about a claim.

    Args:
        outcome: one of `OUTCOMES`.
        measured: what the effect is, in words with its sign's direction.
        effect: the estimate; None where nothing could be compared.
        low: lower end of the 95 % interval, or None.
        high: its upper end, or None.
        n: number of seeds.
        reason: why there is no decision, where there is none.
        exact: whether the claim must hold in every run.
    """

    outcome: str
    measured: str
    effect: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0
    reason: str = ""
    exact: bool = False

    def words(self) -> str:
        """One sentence on what the outcome means."""
        if self.outcome == INCONCLUSIVE:
            return f"Undecided: {self.reason}."
        if self.exact:
            held = self.outcome == SUPPORTED
            return "It must hold" + (", and does." if held else ".")
        return {
            SUPPORTED: "Borne out here.",
            CONTRADICTED: "Here it was the other way round.",
            SMALLER: "An effect of that size is ruled out here.",
            SAME: "No seed showed any difference at all.",
        }[self.outcome]


def student_interval(
    values: Sequence[float], folds: int | None = None
) -> tuple[float, float, float]:
    """Mean of the values with its 95 % Student interval.

    Seeds that draw from one data set are not independent: their training
    parts overlap. Where they test on one of `folds` parts each and train on
    the rest, the variance of the mean is taken as `(1 / n + 1 / (folds - 1))
    s ** 2` in place of `s ** 2 / n`.

    Args:
        values: one number for each seed, two at least.
        folds: number of parts of the one data set, or None where each seed
            has data of its own.

    Returns:
        The mean and the ends of the interval.

    Reference:
        Nadeau and Bengio, 2003. Inference for the generalization error,
        https://link.springer.com/article/10.1023/A:1024068626366
    """
    values = np.asarray(values, dtype=float)
    n = len(values)
    overlap = 1 / (folds - 1) if folds else 0.0
    deviation = values.std(ddof=1) * math.sqrt(1 / n + overlap)
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1) * deviation)
    mean = float(values.mean())
    return mean, mean - half, mean + half


def _undecidable(values: np.ndarray) -> str:
    """Why an interval of these values would mean nothing, or ''."""
    if not np.isfinite(values).all():
        return "a seed gave no finite number"
    if len(values) < 3:
        return "fewer than three seeds say too little"
    if np.ptp(values) <= ROUNDING * np.abs(values).max():
        return "every seed gave the same number, so its spread is unknown"
    return ""


def judge(
    values: Sequence[float],
    measured: str,
    *,
    above: float | None = None,
    within: float | None = None,
    around: float = 0.0,
    falls: bool = False,
    folds: int | None = None,
) -> Verdict:
    """Judges a claim from one number of each seed.

    Args:
        values: the numbers, such as paired differences.
        measured: what they are, in words.
        above: the claim is that the numbers' mean is above `around` by more
            than this margin; a negative one allows for a small loss.
        within: the claim is that it lies within this distance of `around`;
            give either `above` or `within`.
        around: the value to compare with.
        falls: the claim is "below" in place of "above".
        folds: see `student_interval`.

    Returns:
        A `Verdict`. An interval that ends before the margin, and is not
        wholly on the other side of `around`, is "smaller than claimed".
    """
    values = np.asarray(values, dtype=float)
    n = len(values)
    if n == 0:
        reason = "nothing to compare in this run"
        return Verdict(INCONCLUSIVE, measured, reason=reason)
    if n > 2 and np.all(values == around):
        # Not a single seed differs: "the same" is as sure as it can be.
        allowed = within is not None or above < 0
        outcome = SUPPORTED if allowed else SAME
        return Verdict(outcome, measured, around, around, around, n)
    reason = _undecidable(values)
    if reason:
        mean = float(values.mean()) if np.isfinite(values).all() else None
        return Verdict(INCONCLUSIVE, measured, mean, n=n, reason=reason)
    mean, low, high = student_interval(values, folds)
    if within is not None:
        inside = around - within < low and high < around + within
        outside = high < around - within or low > around + within
        outcome = (
            SUPPORTED if inside else CONTRADICTED if outside else INCONCLUSIVE
        )
        reason = f"the interval crosses the bound of {short(within)}"
    else:
        # Turned so that the claim always reads "above".
        near, far = (around - high, around - low) if falls else (
            low - around, high - around,
        )  # fmt: skip
        if near > above:
            outcome = SUPPORTED
        elif far < min(above, 0.0):
            outcome = CONTRADICTED
        elif far < above:
            outcome = SMALLER
        else:
            outcome = INCONCLUSIVE
        border = around - above if falls else around + above
        reason = f"the interval contains {short(border)}"
    reason = reason if outcome == INCONCLUSIVE else ""
    return Verdict(outcome, measured, mean, low, high, n, reason)


def judge_share(
    successes: Sequence[bool], measured: str, at_least: float
) -> Verdict:
    """Judges the claim that a share of the seeds at least does something.

    The interval is the exact one of Clopper and Pearson.

    Args:
        successes: whether each seed did it.
        measured: what it is, in words.
        at_least: the share claimed, between 0 and 1.
    """
    n = len(successes)
    if n < 3:
        reason = _undecidable(np.zeros(n))
        return Verdict(INCONCLUSIVE, measured, n=n, reason=reason)
    test = stats.binomtest(int(np.sum(successes)), n)
    low, high = test.proportion_ci(CONFIDENCE, "exact")
    outcome = INCONCLUSIVE
    if low >= at_least:
        outcome = SUPPORTED
    elif high < at_least:
        outcome = CONTRADICTED
    crossed = f"the interval contains {short(at_least)}"
    reason = crossed if outcome == INCONCLUSIVE else ""
    return Verdict(outcome, measured, test.statistic, low, high, n, reason)


def judge_exact(
    values: Sequence[float], measured: str, expected: float, within: float
) -> Verdict:
    """Judges a statement that must hold in every single run.

    Args:
        values: the number of each run; the one farthest off decides.
        measured: what it is, in words.
        expected: what the arithmetic says.
        within: the tolerance that the arithmetic allows.
    """
    if len(values) == 0:
        reason = "nothing was measured in this run"
        return Verdict(INCONCLUSIVE, measured, reason=reason, exact=True)
    worst = max(values, key=lambda value: abs(value - expected))
    outcome = SUPPORTED if abs(worst - expected) <= within else CONTRADICTED
    bounds = f"{measured}, expected {short(expected)} ± {short(within)}"
    return Verdict(outcome, bounds, float(worst), n=len(values), exact=True)
