"""Runs variants under conditions from several seeds, and compares them."""

import contextlib
import contextvars
import json
import math
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from kerasrecipes.engine import prepare_engine
from kerasrecipes.experiment import pool
from kerasrecipes.experiment.journal import Journal
from kerasrecipes.experiment.statistics import (
    Verdict,
    judge,
    judge_exact,
    judge_share,
)
from kerasrecipes.progress import Progress


@dataclass
class Session:
    """How the trials of one run of a recipe are carried out.

    Args:
        jobs: processes at a time; None lets the machine and the run's
            length decide.
        cluster: whether trials go to the Dask cluster of this process.
        only: names of the variants and conditions that a quick run is cut
            down to, under "variants" and "conditions".
        times: whether trials that take times are run. A quick run leaves them
            out: with so little in them, they would say nothing.
        recorded: finished trials by key, to replay in place of training.
        journal: keeps finished trials, and knows those of a killed run.
        progress: told of each finished trial.
    """

    jobs: int | None = None
    cluster: bool = False
    only: dict[str, list[str]] = field(default_factory=dict)
    times: bool = True
    recorded: dict[str, dict] | None = None
    journal: Journal | None = None
    progress: Progress = field(default_factory=Progress)
    runs: list[dict] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    tasks: dict[str, dict] = field(default_factory=dict)

    def kept(self, kind: str, named: Mapping | None) -> dict:
        """The variants or conditions of this run; one without a name, ''."""
        if not named:
            return {"": {}}
        names = self.only.get(kind, named)
        return {name: named[name] for name in named if name in names}

    def keep(self, key: str, result: dict) -> None:
        """Puts a finished trial into the journal, as long as it takes any."""
        try:
            self.journal.add(key, result)
        except OSError as error:
            print(f"No journal is kept any more: {error}", file=sys.stderr)
            with contextlib.suppress(OSError):  # it says the same again
                self.journal.close(discard=False)
            self.journal = None


_session: contextvars.ContextVar[Session] = contextvars.ContextVar("session")


@contextlib.contextmanager
def use(session: Session):
    """Makes `run_trials` work for this session inside the `with` block."""
    token = _session.set(session)
    try:
        yield session
    finally:
        _session.reset(token)


class MissingTrialError(LookupError):
    """A recording lacks a trial that the recipe now asks for."""


def trial_key(function: str, settings: Mapping, trial: Mapping) -> str:
    """Text that tells a trial from every other one of a recipe.

    Args:
        function: name of the function that is run.
        settings: what every trial of the run is given.
        trial: its "variant", "condition" and "seed".
    """
    place = [trial["variant"], trial["condition"], trial["seed"]]
    return json.dumps([function, *place, settings], sort_keys=True)


def run_trials(
    train: Callable[..., dict],
    variants: Mapping[str, Mapping] | None = None,
    conditions: Mapping[str, Mapping] | None = None,
    *,
    seeds: int = 1,
    folds: int | None = None,
    timing: bool = False,
    **settings,
) -> "Trials":
    """Runs every variant under every condition from every seed.

    The trials of one seed share data and initial state, so that variants
    are compared seed by seed.

    Args:
        train: called as `train(seed=..., **condition, **variant,
            **settings)`; returns a dict of scores (finite numbers), and of
            lists of numbers under "curves".
        variants: arguments by the variant's name, the plain baseline first.
        conditions: arguments by the condition's name.
        seeds: number of seeds, counted from 0.
        folds: where all seeds draw from one data set and seed `s` tests on
            its fold `s`, the number of folds; intervals are widened for it.
        timing: whether the scores are times. Such trials run one after the
            other, with nothing beside them.
        settings: passed to every trial.

    Returns:
        The `Trials`. One that failed is left out and named in the report.
    """
    session = _session.get(None) or Session()
    known = variants or [""], conditions or [""]
    variants = session.kept("variants", variants)
    conditions = session.kept("conditions", conditions)
    name = train.__name__
    seeds = 0 if timing and not session.times else seeds
    trials = [
        {"variant": variant, "condition": condition, "seed": seed}
        for seed in range(seeds)
        for condition in conditions
        for variant in variants
    ]
    tasks = []
    for trial in trials:
        key = trial_key(name, settings, trial)
        task = dict(  # which refuses an argument that is set twice
            seed=trial["seed"],
            **conditions[trial["condition"]],
            **variants[trial["variant"]],
            **settings,
        )
        if session.tasks.setdefault(key, task) != task:
            raise ValueError(f"two different trials have one name: {key}")
        if session.recorded is not None:
            if key not in session.recorded:
                raise MissingTrialError(key)
            trial |= session.recorded[key]
        elif session.journal and key in session.journal.trials:
            trial |= session.journal.trials[key]
        else:
            tasks.append(task)
    todo = [trial for trial in trials if "scores" not in trial]
    prepare_engine()
    jobs = 1 if timing else session.jobs
    with (
        session.progress.of(name, len(trials), len(trials) - len(todo)),
        contextlib.closing(
            pool.run_on_cluster(train, tasks)
            if session.cluster and not timing
            else pool.run_many(train, tasks, jobs)
        ) as ended,
    ):
        for number, result in ended:
            trial = todo[number]
            if "error" in result:
                session.failures.append(_failure(name, trial, result))
            else:
                trial |= result
                if session.journal:
                    session.keep(trial_key(name, settings, trial), result)
            session.progress.advance()
    done = [trial for trial in trials if "scores" in trial]
    for trial, result in _odd_ones(done):
        session.failures.append(_failure(name, trial, result))
        done.remove(trial)
    session.runs.append(
        {
            "function": name,
            "settings": settings,
            "timing": timing,
            "trials": done,
        }
    )
    return Trials(done, variants, conditions, folds, known, not trials)


def _odd_ones(trials: list[dict]) -> list[tuple[dict, dict]]:
    """Trials with other scores or curves than most seeds of their variant.

    Args:
        trials: the finished ones of one run.

    Returns:
        Pairs of a trial and what is wrong with it, as `run_one` returns it.
    """
    kinds: dict[tuple, Counter] = {}
    for trial in trials:
        place = trial["variant"], trial["condition"]
        kinds.setdefault(place, Counter())[_names(trial)] += 1
    found = []
    for trial in trials:
        place = trial["variant"], trial["condition"]
        usual = kinds[place].most_common(1)[0][0]  # of equal ones the first
        if _names(trial) != usual:
            error = f"expected {usual}, as from most seeds. "
            error += f"Received: {_names(trial)}"
            found.append((trial, {"error": error, "traceback": ""}))
    return found


def _names(trial: Mapping) -> str:
    """What a finished trial's scores and curves are called, in words."""
    scores, curves = (
        ", ".join(sorted(map(repr, trial[part]))) or "none"
        for part in ("scores", "curves")
    )
    return f"scores {scores} and curves {curves}"


def _score(trial: Mapping, score: str) -> float:
    """A score of a trial; a trial that lacks it is named."""
    if score not in trial["scores"]:
        place = {k: trial[k] for k in ("variant", "condition", "seed")}
        raise KeyError(f"no {score!r} from {place}, but {_names(trial)}")
    return trial["scores"][score]


def _failure(function: str, trial: Mapping, result: Mapping) -> str:
    place = [f"{k} {trial[k]!r}" for k in ("variant", "condition") if trial[k]]
    where = ", ".join([*place, f"seed {trial['seed']}"])
    return f"{result['traceback']}{function} ({where}): {result['error']}"


class Trials:
    """Finished trials, and what they say about a claim.

    Every method that names a variant takes `at`, a condition; without it
    the conditions' mean is taken, seed by seed.

    Args:
        trials: dicts with "variant", "condition", "seed", "scores",
            "curves" and "seconds".
        variants: the variants' arguments by name.
        conditions: the conditions' arguments by name.
        folds: see `run_trials`.
        known: names of all variants and of all conditions, also of those
            that a quick run leaves out.
        left_out: whether this run was to have none of these trials, so that
            none of them has failed.
    """

    def __init__(
        self,
        trials,
        variants,
        conditions,
        folds=None,
        known=None,
        left_out=False,
    ):
        self.trials = trials
        self.variants = variants
        self.conditions = conditions
        self.folds = folds
        self.known = known or (variants, conditions)
        self.left_out = left_out

    def select(
        self, variant: str | None = "", at: str | None = None
    ) -> list[dict]:
        """The trials of a variant.

        Args:
            variant: the variant, or None for all.
            at: a condition, or None for all.
        """
        for name, known in zip((variant, at), self.known, strict=True):
            if name not in (None, *known):
                raise KeyError(f"no {name!r} among {', '.join(known)}")
        return [
            trial
            for trial in self.trials
            if variant in (None, trial["variant"])
            and at in (None, trial["condition"])
        ]

    def scores(
        self, score: str, variant: str = "", at: str | None = None
    ) -> dict[int, float]:
        """A score by seed.

        Args:
            score: the score.
            variant: the variant.
            at: a condition, or None for the mean of all.

        Raises:
            KeyError: where the trials have no such score.
        """
        values: dict[int, list[float]] = {}
        for trial in self.select(variant, at):
            values.setdefault(trial["seed"], []).append(_score(trial, score))
        whole = 1 if at is not None else len(self.conditions)
        return {
            seed: math.fsum(found) / whole  # in any order the same
            for seed, found in sorted(values.items())
            if len(found) == whole
        }

    def curves(
        self, name: str, variant: str = "", at: str | None = None
    ) -> np.ndarray:
        """A curve of every seed, of shape (seeds, points).

        Args:
            name: the curve.
            variant: the variant.
            at: a condition, or None for all, one after the other.
        """
        found = self.select(variant, at)
        return np.array([trial["curves"][name] for trial in found])

    def differences(
        self, score: str, variant: str, than: str, at: str | None = None
    ) -> list[float]:
        """The variant's score less the other's, for each seed of both.

        Args:
            score: the score.
            variant: the variant.
            than: the other variant.
            at: a condition, or None for the mean of all.
        """
        ours = self.scores(score, variant, at)
        theirs = self.scores(score, than, at)
        return [ours[seed] - theirs[seed] for seed in ours if seed in theirs]

    def table(self, *scores: str) -> "Table":
        """Mean and standard deviation, a line for each variant.

        Args:
            *scores: names of the scores, a column each.
        """
        return Table(self, scores)

    def is_higher(
        self, score: str, variant: str, *, than: str, at=None, by=0.0
    ) -> Verdict:
        """The variant's score is higher than the other's, by a margin.

        Args:
            score: the score.
            variant: the variant.
            than: the other variant.
            at: a condition, or None for the mean of all.
            by: the margin; a negative one allows for a small loss.
        """
        return self._compare(score, variant, than, at, above=by)

    def is_lower(
        self, score: str, variant: str, *, than: str, at=None, by=0.0
    ) -> Verdict:
        """The variant's score is lower than the other's, by a margin.

        Args:
            score: the score.
            variant: the variant.
            than: the other variant.
            at: a condition, or None for the mean of all.
            by: the margin; a negative one allows for a small rise.
        """
        return self._compare(score, variant, than, at, above=by, falls=True)

    def is_same(
        self, score: str, variant: str, *, than: str, within: float, at=None
    ) -> Verdict:
        """The two variants' scores differ by less than a bound.

        Args:
            score: the score.
            variant: the variant.
            than: the other variant.
            within: the bound.
            at: a condition, or None for the mean of all.
        """
        return self._compare(score, variant, than, at, within=within)

    def _compare(self, score, variant, than, at, **claim) -> Verdict:
        measured = f"{score}, {variant} − {than}{_place(at)}"
        differences = self.differences(score, variant, than, at)
        return judge(differences, measured, folds=self.folds, **claim)

    def is_above(
        self, score: str, value: float, variant: str = "", *, at=None
    ) -> Verdict:
        """The mean of a score is above a value.

        Args:
            score: the score.
            value: the value.
            variant: the variant.
            at: a condition, or None for the mean of all.
        """
        return self._against(score, value, variant, at, falls=False)

    def is_below(
        self, score: str, value: float, variant: str = "", *, at=None
    ) -> Verdict:
        """The mean of a score is below a value.

        Args:
            score: the score.
            value: the value.
            variant: the variant.
            at: a condition, or None for the mean of all.
        """
        return self._against(score, value, variant, at, falls=True)

    def _against(self, score, value, variant, at, falls) -> Verdict:
        return judge(
            list(self.scores(score, variant, at).values()),
            _name(score, variant) + _place(at),
            above=0.0,
            around=value,
            falls=falls,
            folds=self.folds,
        )

    def share(
        self, score: str, variant: str = "", *, at_least: float, at=None
    ) -> Verdict:
        """The score, 0 or 1, is 1 in a share of the seeds at least.

        Args:
            score: the score.
            variant: the variant.
            at_least: the share, between 0 and 1.
            at: a condition, or None for the mean of all.
        """
        successes = [v == 1 for v in self.scores(score, variant, at).values()]
        measured = f"share of {_name(score, variant)}{_place(at)}"
        return judge_share(successes, measured, at_least)

    def trend(
        self,
        score: str,
        variant: str = "",
        *,
        over: str,
        than: str | None = None,
        falls: bool = False,
        by: float = 0.0,
        slope: float | None = None,
        within: float | None = None,
        log: bool = False,
    ) -> Verdict:
        """The score rises (or falls) with an argument of the conditions.

        Args:
            score: the score; with `than`, its difference to that variant.
            variant: the variant.
            over: an argument that every condition sets to a number.
            than: another variant, or None.
            falls: whether the claim is a fall.
            by: margin for the slope.
            slope: claims a slope of this value, `within` a distance of it,
                in place of a rise or fall.
            within: that distance.
            log: whether both sides are taken as logarithms.
        """
        lines: dict[int, list[tuple[float, float]]] = {}
        for condition, arguments in self.conditions.items():
            values = self.scores(score, variant, condition)
            other = self.scores(score, than, condition) if than else {}
            for seed, value in values.items():
                if than is None or seed in other:
                    point = (arguments[over], value - other.get(seed, 0.0))
                    lines.setdefault(seed, []).append(point)
        slopes = []
        for points in lines.values():
            x, y = np.array(points, dtype=float).T
            with np.errstate(all="ignore"):  # judged as not finite
                if log:
                    x, y = np.log(x), np.log(y)
                x, y = x - x.mean(), y - y.mean()
                if len(x) == len(self.conditions) > 1:
                    slopes.append(float(x @ y / (x @ x)))
        kind = "log-log slope" if log else "slope"
        against = f" − {than}" if than else ""
        return judge(
            slopes,
            f"{kind} of {_name(score, variant)}{against} over {over}",
            above=None if within is not None else by,
            within=within,
            around=slope or 0.0,
            falls=falls,
            folds=self.folds,
        )

    def agrees(
        self,
        score: str,
        value: float,
        variant: str | None = None,
        *,
        within: float,
        at: str | None = None,
    ) -> Verdict:
        """A score equals a value in every trial, within a tolerance.

        Tests demand that such a claim holds in every run.

        Args:
            score: the score.
            value: what the arithmetic says.
            variant: the variant, or None for all.
            within: the tolerance that the arithmetic allows.
            at: a condition, or None for all.
        """
        found = self.select(variant, at)
        values = [_score(trial, score) for trial in found]
        measured = _name(score, variant or "") + _place(at)
        return judge_exact(values, measured, value, within)


def _name(score: str, variant: str) -> str:
    return f"{score}, {variant}" if variant else score


def _place(at: str | None) -> str:
    return f" at {at}" if at else ""


@dataclass(frozen=True)
class Table:
    """Mean and standard deviation of scores over the seeds.

    Args:
        trials: the `Trials`.
        scores: names of the scores, a column each.
    """

    trials: Trials
    scores: tuple[str, ...]

    def rows(self) -> list[list[str]]:
        """Cells as text, the head first."""
        several = len(self.trials.conditions) > 1
        head = ["condition"] * several + ["variant", *self.scores, "n"]
        body = []
        nothing = "not run" if self.trials.left_out else "failed"
        for condition in self.trials.conditions:
            for variant in self.trials.variants:
                found = self.trials.select(variant, condition)
                cells = [
                    _spread([_score(trial, score) for trial in found])
                    if found
                    else nothing
                    for score in self.scores
                ]
                place = [condition] * several + [variant or "all"]
                body.append([*place, *cells, str(len(found))])
        return [head, *body]


def _spread(values: list[float]) -> str:
    mean = float(np.mean(values))
    # Equal numbers may have a mean that is off by a rounding.
    if np.ptp(values) <= 1e-12 * abs(mean):
        text = f"{mean:,.0f}" if mean == int(mean) else f"{mean:.4g}"
        text += " ± 0" * (len(values) > 1)
    else:
        deviation = float(np.std(values, ddof=1))
        # Two digits of the deviation say how many of the mean mean anything.
        digits = max(1 - int(np.floor(np.log10(deviation))), 0)
        is_tiny = digits > 6 and abs(mean) < 1e-4
        style = ".1e" if is_tiny else f",.{min(digits, 6)}f"
        text = f"{mean:{style}} ± {deviation:{style}}"
    return text.replace("-", "−")
