"""What is run and in which order, how trials pair, and what they answer."""

import json
import os

import numpy as np
import pytest
import tiny_trials
from scipy import stats
from tiny_trials import (
    note_call,
    report_process,
    return_as,
    score_by_seed,
    succeed_or_not,
)

from kerasrecipes.experiment import Claim, Report, Trials, run_trials
from kerasrecipes.experiment.journal import Journal
from kerasrecipes.experiment.statistics import (
    CONTRADICTED,
    INCONCLUSIVE,
    SAME,
    SMALLER,
    SUPPORTED,
    judge,
)
from kerasrecipes.experiment.trials import (
    MissingTrialError,
    Session,
    trial_key,
    use,
)
from kerasrecipes.progress import Progress
from kerasrecipes.running import as_json, by_key

VARIANTS = {"plain": {}, "better": {"gain": 2.0}}
CONDITIONS = {"small": {"size": 1}, "large": {"size": 5}}


def run_in(session, *arguments, **settings):
    with use(session):
        return run_trials(*arguments, **settings)


def run_here(*arguments, **settings):
    return run_in(Session(jobs=1), *arguments, **settings)


def made_of(scores, conditions=("",), **more):
    """Trials with these scores, given by (variant, condition, seed)."""
    trials = [
        {
            "variant": variant,
            "condition": condition,
            "seed": seed,
            "scores": {"score": score},
            "curves": {},
            "seconds": 0.0,
        }
        for (variant, condition, seed), score in scores.items()
    ]
    variants = {variant: {} for variant, _, _ in scores}
    if not isinstance(conditions, dict):
        conditions = {condition: {} for condition in conditions}
    return Trials(trials, variants, conditions, **more)


def two_variants(plain, better, **more):
    """Trials of two variants from their scores, seed by seed."""
    scores = {("plain", "", s): score for s, score in enumerate(plain)}
    scores |= {("better", "", s): score for s, score in enumerate(better)}
    return made_of(scores, **more)


# What is run


def test_order_and_arguments():
    tiny_trials.CALLS.clear()
    trials = run_here(
        note_call, VARIANTS, CONDITIONS, seeds=2, epochs=7, rate=0.5
    )
    expected = [
        {"seed": seed, **condition, **variant, "epochs": 7, "rate": 0.5}
        for seed in range(2)
        for condition in CONDITIONS.values()
        for variant in VARIANTS.values()
    ]
    assert expected == tiny_trials.CALLS
    places = [
        (trial["seed"], trial["condition"], trial["variant"])
        for trial in trials.trials
    ]
    assert places == [
        (seed, condition, variant)
        for seed in range(2)
        for condition in CONDITIONS
        for variant in VARIANTS
    ]


def test_one_variant_without_a_name():
    trials = run_here(score_by_seed, seeds=3)
    assert [trial["seed"] for trial in trials.trials] == [0, 1, 2]
    assert list(trials.scores("score")) == [0, 1, 2]
    assert trials.curves("loss").shape == (3, 2)


def test_without_a_session():
    trials = run_trials(score_by_seed, VARIANTS, seeds=3)
    again = run_here(score_by_seed, VARIANTS, seeds=3)
    for variant in VARIANTS:
        scores = trials.scores("score", variant)
        assert scores == again.scores("score", variant)


def test_sessions_do_not_leak():
    session = Session(jobs=1)
    with use(session):
        run_trials(score_by_seed)
        with use(Session(jobs=1)):
            run_trials(score_by_seed, seeds=2)
        run_trials(score_by_seed, seeds=3)
    run_trials(score_by_seed, seeds=4)
    assert [len(one["trials"]) for one in session.runs] == [1, 3]


def test_the_session_keeps_what_was_run():
    session = Session(jobs=1)
    run_in(session, score_by_seed, VARIANTS, seeds=2, scale=2.0)
    (one,) = session.runs
    assert one["function"] == "score_by_seed"
    assert one["settings"] == {"scale": 2.0}
    assert one["timing"] is False
    assert len(one["trials"]) == 4
    assert set(one["trials"][0]) == {
        "variant",
        "condition",
        "seed",
        "scores",
        "curves",
        "seconds",
    }
    assert one["trials"][0]["seconds"] >= 0


def test_progress_is_told_of_every_trial():
    session = Session(jobs=1)
    run_in(session, score_by_seed, VARIANTS, CONDITIONS, seeds=2)
    assert (session.progress.done, session.progress.total) == (8, 8)
    kinds = {kind: {"kind": kind} for kind in ("good", "none")}
    run_in(session, return_as, kinds)
    # A trial that failed is over as well.
    assert (session.progress.done, session.progress.total) == (10, 10)


def test_a_trial_counts_as_done_when_it_is_in_the_journal(tmp_path):
    path = tmp_path / "journal"
    lines = []

    class Watching(Progress):
        def advance(self):
            super().advance()
            lines.append(path.read_text().count('{"key"'))

    session = Session(jobs=1, journal=Journal(path), progress=Watching())
    run_in(session, score_by_seed, VARIANTS, seeds=2)
    session.journal.close(discard=True)
    assert lines == [1, 2, 3, 4]


def test_a_variant_that_sets_what_the_run_sets_is_refused():
    # One of the two would silently win, and the variant be the baseline.
    variants = {"plain": {}, "large": {"scale": 3.0}}
    with pytest.raises((TypeError, ValueError)):
        run_here(score_by_seed, variants, seeds=1, scale=2.0)


def test_the_same_names_for_other_trials_are_not_mixed_up(tmp_path):
    # Both runs have a trial "better" from seed 0; a journal and a recording
    # know trials by such names. An error would do as well.
    session = Session(jobs=1, journal=Journal(tmp_path / "journal"))
    try:
        run_in(session, score_by_seed, {"better": {"gain": 2.0}})
        second = run_in(session, score_by_seed, {"better": {"gain": 7.0}})
    except ValueError:
        return
    finally:
        session.journal.close(discard=True)
    expected = run_here(score_by_seed, {"better": {"gain": 7.0}})
    assert second.scores("score", "better") == expected.scores(
        "score", "better"
    )


def test_the_same_trial_twice_in_a_run(tmp_path):
    session = Session(jobs=1, journal=Journal(tmp_path / "journal"))
    first = run_in(session, score_by_seed, VARIANTS, seeds=2)
    second = run_in(session, score_by_seed, VARIANTS, seeds=2)
    session.journal.close(discard=True)
    for variant in VARIANTS:
        assert first.scores("score", variant) == second.scores("score", variant)


def test_timing_trials_run_here_and_by_themselves():
    session = Session(jobs=2)
    trials = run_in(session, report_process, seeds=3, timing=True)
    assert set(trials.scores("process").values()) == {os.getpid()}
    assert session.runs[0]["timing"] is True


# Trials that fail


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("none", "a dict of scores. Received: NoneType"),
        ("nan", "'score' to be finite. Received: nan"),
        ("inf", "'score' to be finite. Received: -inf"),
        ("number", "a dict of scores. Received: float"),
        ("list", "a dict of scores. Received: list"),
        ("text", "'score' to be a number. Received: 'high'"),
        ("digits as text", "'score' to be a number. Received: '1.5'"),
        ("no number", "'score' to be a number. Received: None"),
        ("several", "'score' to be a number. Received: [1.5, 2.5]"),
        ("interrupts itself", "SystemExit: enough"),
        ("curve of text", ""),
        ("curve as a number", ""),
        ("curves as a list", ""),
    ],
)
def test_a_result_that_is_no_result_is_named(kind, message):
    session = Session(jobs=1)
    variants = {"good": {"kind": "good"}, "bad": {"kind": kind}}
    trials = run_in(session, return_as, variants, seeds=2)
    assert len(session.failures) == 2
    for seed, failure in enumerate(session.failures):
        last = failure.splitlines()[-1]
        assert last.startswith(f"return_as (variant 'bad', seed {seed}): ")
        assert message in last
    assert trials.scores("score", "good") == {0: 1.5, 1: 1.5}
    assert trials.scores("score", "bad") == {}


def test_a_raising_trial_is_named_and_the_others_go_on():
    session = Session(jobs=1)
    variants = {"good": {"kind": "good"}, "bad": {"kind": "raises"}}
    conditions = {"cold": {}, "warm": {}}
    trials = run_in(session, return_as, variants, conditions, seeds=3)
    assert [failure.splitlines()[-1] for failure in session.failures] == [
        f"return_as (variant 'bad', condition {condition!r}, seed 1): "
        "RuntimeError: the oven"
        for condition in conditions
    ]
    # Where it happened is there too, for who has to mend it.
    assert 'raise RuntimeError("the oven\\nis cold")' in session.failures[0]
    assert len(trials.trials) == len(session.runs[0]["trials"]) == 10
    assert trials.scores("score", "bad") == {0: 2.5, 2: 2.5}
    assert list(trials.scores("score", "good")) == [0, 1, 2]


def test_a_trial_with_another_key_is_named_and_the_others_go_on():
    session = Session(jobs=1)
    variants = {
        "two": {"kind": "two scores"},  # a variant may have more of them
        "good": {"kind": "good"},
        "bad": {"kind": "another key"},
    }
    conditions = {"cold": {}, "warm": {}}
    trials = run_in(session, return_as, variants, conditions, seeds=3)
    assert session.failures == [
        f"return_as (variant 'bad', condition {condition!r}, seed 1): "
        "expected scores 'score' and curves none, as from most seeds. "
        "Received: scores 'scroe' and curves none"
        for condition in conditions
    ]
    assert len(trials.trials) == len(session.runs[0]["trials"]) == 16
    assert trials.scores("score", "bad") == {0: 2.5, 2: 2.5}
    assert list(trials.scores("score", "good")) == [0, 1, 2]


def test_a_variant_without_a_score_is_named():
    """Where all of its seeds are like that, no seed is the odd one."""
    trials = run_here(score_by_seed, VARIANTS, CONDITIONS, seeds=2)
    for trial in trials.trials:
        if trial["variant"] == "better":
            del trial["scores"]["score"]
    place = "{'variant': 'better', 'condition': 'small', 'seed': 0}"
    said = f"no 'score' from {place}, but scores 'third' and curves 'loss'"
    for ask in (
        lambda: trials.is_higher("score", "better", than="plain"),
        lambda: trials.agrees("score", 0.0, within=1.0),
        lambda: trials.table("score").rows(),
    ):
        with pytest.raises(KeyError) as error:
            ask()
        assert error.value.args == (said,)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("numpy", 1.5),
        ("integer", 3.0),
        ("array of one", 1.5),
        ("bool", 1.0),
        ("numpy bool", 0.0),
    ],
)
def test_a_score_becomes_a_number_of_python(kind, expected):
    session = Session(jobs=1)
    trials = run_in(session, return_as, kind=kind)
    assert session.failures == []
    value = trials.scores("score")[0]
    assert value == expected
    assert type(trials.trials[0]["scores"]["score"]) is float
    json.dumps(trials.trials)


def test_failed_trials_leave_a_report():
    session = Session(jobs=1)
    variants = {"good": {"kind": "good"}, "bad": {"kind": "none"}}
    trials = run_in(session, return_as, variants, seeds=3)
    verdict = trials.is_higher("score", "good", than="bad")
    assert verdict.outcome == INCONCLUSIVE
    assert verdict.words() == "Undecided: nothing to compare in this run."
    assert trials.table("score").rows()[2] == ["bad", "failed", "0"]


# Pairing


def test_differences_pair_by_seed():
    trials = run_here(score_by_seed, VARIANTS, seeds=5)
    differences = trials.differences("score", "better", "plain")
    # The noise of a seed is the same for both, so it cancels.
    np.testing.assert_allclose(differences, [2.0] * 5)
    assert np.ptp(list(trials.scores("score", "plain").values())) > 1


def test_order_of_the_trials_does_not_matter():
    trials = two_variants([1.0, 2.0, 4.0], [1.5, 2.0, 3.0])
    expected = trials.differences("score", "better", "plain")
    assert expected == [0.5, 0.0, -1.0]
    trials.trials.reverse()
    assert trials.differences("score", "better", "plain") == expected


def test_a_missing_seed_is_left_out_of_pairs_only():
    scores = {("plain", "", seed): 10.0 + seed for seed in range(4)}
    scores |= {("better", "", seed): 20.0 + seed for seed in (0, 2, 3, 7)}
    trials = made_of(scores)
    assert trials.differences("score", "better", "plain") == [10.0] * 3
    assert list(trials.scores("score", "plain")) == [0, 1, 2, 3]
    assert list(trials.scores("score", "better")) == [0, 2, 3, 7]
    assert [row[-1] for row in trials.table("score").rows()] == ["n", "4", "4"]


def test_the_mean_of_the_conditions_is_taken_seed_by_seed():
    scores = {
        ("plain", "small", 0): 1.0,
        ("plain", "large", 0): 3.0,
        ("plain", "small", 1): 5.0,
        ("plain", "large", 1): 8.0,
        ("plain", "small", 2): 9.0,  # its other condition failed
    }
    trials = made_of(scores, CONDITIONS)
    assert trials.scores("score", "plain") == {0: 2.0, 1: 6.5}
    small = trials.scores("score", "plain", "small")
    assert small == {0: 1.0, 1: 5.0, 2: 9.0}
    assert trials.scores("score", "plain", "large") == {0: 3.0, 1: 8.0}


def test_equal_scores_in_another_order_are_no_difference():
    # Sums depend on the order of their terms, in the last digit.
    conditions = {"a": {}, "b": {}, "c": {}}
    scores = {}
    for seed in range(3):
        for variant, values in (
            ("plain", (0.1, 0.2, 0.3)),
            ("better", (0.3, 0.2, 0.1)),
        ):
            for condition, value in zip(conditions, values, strict=True):
                scores[variant, condition, seed] = value
    trials = made_of(scores, conditions)
    verdict = trials.is_higher("score", "better", than="plain")
    assert verdict.outcome == SAME


def test_an_unknown_score_is_an_error():
    trials = run_here(score_by_seed, VARIANTS, seeds=3)
    with pytest.raises(KeyError):
        trials.is_higher("scroe", "better", than="plain")
    with pytest.raises(KeyError):
        trials.table("scroe").rows()


@pytest.mark.parametrize(
    "question",
    [
        lambda trials: trials.is_higher("score", "beter", than="plain"),
        lambda trials: trials.is_higher("score", "better", than="pain"),
        lambda trials: trials.is_above("score", 0.0, "beter"),
        lambda trials: trials.is_above("score", 0.0, "better", at="smal"),
        lambda trials: trials.is_above("score", 0.0, "better", at="plain"),
        lambda trials: trials.is_above("score", 0.0),
        lambda trials: trials.agrees("score", 0.0, "beter", within=1.0),
        lambda trials: trials.share("score", "beter", at_least=0.5),
        lambda trials: trials.trend("score", "beter", over="size"),
    ],
)
def test_a_misspelt_variant_or_condition_is_an_error(question):
    # Else the claim is "nothing to compare in this run" for ever.
    trials = run_here(score_by_seed, VARIANTS, CONDITIONS, seeds=3)
    with pytest.raises((KeyError, ValueError)):
        question(trials)


# Verdicts


def test_higher_and_lower():
    trials = two_variants([1.0, 2.0, 3.0, 4.0], [3.0, 4.5, 5.0, 6.5])
    verdict = trials.is_higher("score", "better", than="plain")
    assert verdict.outcome == SUPPORTED
    assert verdict.measured == "score, better − plain"
    assert verdict.effect == 2.25
    assert verdict.n == 4
    differences = [2.0, 2.5, 2.0, 2.5]
    low, high = stats.ttest_1samp(differences, 0).confidence_interval(0.95)
    assert verdict.low == pytest.approx(low)
    assert verdict.high == pytest.approx(high)
    better = {"than": "plain", "variant": "better", "score": "score"}
    plain = {"than": "better", "variant": "plain", "score": "score"}
    assert trials.is_lower(**better).outcome == CONTRADICTED
    assert trials.is_lower(**plain).outcome == SUPPORTED
    assert trials.is_higher(**plain).outcome == CONTRADICTED
    assert trials.is_higher(by=1.5, **better).outcome == SUPPORTED
    assert trials.is_higher(by=2.2, **better).outcome == INCONCLUSIVE
    assert trials.is_higher(by=3.0, **better).outcome == SMALLER
    assert trials.is_lower(by=3.0, **plain).outcome == SMALLER
    assert trials.is_lower(by=1.5, **plain).outcome == SUPPORTED


def test_same():
    trials = two_variants([1.0, 2.0, 3.0, 4.0], [3.0, 4.5, 5.0, 6.5])
    answer = {
        within: trials.is_same(
            "score", "better", than="plain", within=within
        ).outcome
        for within in (1.0, 2.3, 3.0)
    }
    assert answer == {1.0: CONTRADICTED, 2.3: INCONCLUSIVE, 3.0: SUPPORTED}
    same = trials.is_same("score", "plain", than="plain", within=0.1)
    assert same.outcome == SUPPORTED


def test_no_difference_at_all():
    trials = two_variants([1.0, 2.0, 3.0], [1.0, 2.0, 3.0])
    verdict = trials.is_higher("score", "better", than="plain")
    assert verdict.outcome == SAME


def test_above_and_below():
    trials = two_variants([1.0, 2.0, 3.0], [9.0, 10.0, 11.0])
    above = trials.is_above("score", 7.0, "better")
    assert above.outcome == SUPPORTED
    assert above.effect == 10.0
    assert above.measured == "score, better"
    assert trials.is_above("score", 13.0, "better").outcome == CONTRADICTED
    assert trials.is_above("score", 9.0, "better").outcome == INCONCLUSIVE
    assert trials.is_below("score", 13.0, "better").outcome == SUPPORTED
    assert trials.is_below("score", 7.0, "better").outcome == CONTRADICTED
    assert trials.is_below("score", 11.0, "better").outcome == INCONCLUSIVE


@pytest.mark.parametrize("folds", [None, 10])
def test_folds_widen_every_interval(folds):
    size = {"a": {"size": 1}, "b": {"size": 2}}
    scores = {
        (variant, condition, seed): base + place + seed % 3
        for variant, base in (("plain", 0.0), ("better", 5.0))
        for place, condition in enumerate(size)
        for seed in range(6)
    }
    scores["better", "b", 0] += 1.0
    trials = made_of(scores, size, folds=folds)
    values = list(trials.scores("score", "better").values())
    differences = trials.differences("score", "better", "plain")
    rises = [2.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    for verdict, numbers in (
        (trials.is_higher("score", "better", than="plain"), differences),
        (trials.is_lower("score", "better", than="plain"), differences),
        (trials.is_above("score", 0.0, "better"), values),
        (trials.is_below("score", 0.0, "better"), values),
        (trials.trend("score", "better", over="size"), rises),
    ):
        expected = judge(numbers, "", above=0.0, folds=folds)
        assert verdict.low == pytest.approx(expected.low)
        assert verdict.high == pytest.approx(expected.high)
    same = trials.is_same("score", "better", than="plain", within=1.0)
    expected = judge(differences, "", within=1.0, folds=folds)
    assert (same.low, same.high) == (expected.low, expected.high)


def test_folds_reach_the_trials():
    assert run_here(score_by_seed, seeds=2, folds=10).folds == 10
    assert run_here(score_by_seed, seeds=2).folds is None


def test_share():
    variants = {"always": {"often": 10}, "once": {"often": 1}}
    trials = run_here(succeed_or_not, variants, seeds=10)
    always = trials.share("won", "always", at_least=0.65)
    assert always.outcome == SUPPORTED
    assert always.effect == 1.0
    assert always.low == pytest.approx(0.6915, abs=5e-5)
    assert always.measured == "share of won, always"
    once = trials.share("won", "once", at_least=0.5)
    assert once.outcome == CONTRADICTED
    assert once.effect == 0.1


def test_a_condition_that_failed_counts_as_lost():
    # Without `at` a seed has won where it won under every condition.
    scores = {("plain", "small", seed): 1.0 for seed in range(4)}
    scores |= {("plain", "large", seed): seed % 2 for seed in range(4)}
    trials = made_of(scores, CONDITIONS)
    assert trials.share("score", "plain", at_least=0.5).effect == 0.5
    won = trials.share("score", "plain", at_least=0.5, at="small")
    assert won.effect == 1.0


def test_at_a_condition():
    trials = run_here(score_by_seed, VARIANTS, CONDITIONS, seeds=4)
    verdict = trials.is_above("score", -9.0, "plain", at="large")
    assert verdict.measured == "score, plain at large"
    expected = [
        score_by_seed(seed, size=CONDITIONS["large"]["size"])["score"]
        for seed in range(4)
    ]
    assert verdict.effect == pytest.approx(np.mean(expected))


def test_agrees():
    trials = two_variants([1.0, 1.25], [0.5])
    held = trials.agrees("score", 1.0, "plain", within=0.25)
    assert held.outcome == SUPPORTED
    assert held.exact
    assert held.effect == 1.25
    # Without a variant's name every trial has to agree.
    every = trials.agrees("score", 1.0, within=0.25)
    assert every.outcome == CONTRADICTED
    assert every.effect == 0.5
    assert every.n == 3


def test_agrees_in_one_unnamed_trial():
    facts = run_here(score_by_seed)
    score = score_by_seed(0)["score"]
    assert facts.agrees("score", score, within=0.0).outcome == SUPPORTED


def test_agrees_at_a_condition():
    scores = {("plain", "small", 0): 1.0, ("plain", "large", 0): 2.0}
    trials = made_of(scores, CONDITIONS)
    at_large = trials.agrees("score", 2.0, "plain", within=0.0, at="large")
    assert at_large.outcome == SUPPORTED
    assert trials.agrees("score", 2.0, within=0.0).outcome == CONTRADICTED


# Trends

SIZES = {"one": {"size": 1}, "two": {"size": 2}, "four": {"size": 4}}


def sized(function, variant="plain", seeds=4):
    """Scores of one variant from its size and its seed."""
    return {
        (variant, condition, seed): function(arguments["size"], seed)
        for condition, arguments in SIZES.items()
        for seed in range(seeds)
    }


def test_linear_trend():
    # Lines whose slopes are 2.0, 2.1, 2.2 and 2.3.
    trials = made_of(sized(lambda x, seed: (2 + seed / 10) * x + 7), SIZES)
    verdict = trials.trend("score", "plain", over="size")
    assert verdict.outcome == SUPPORTED
    assert verdict.effect == pytest.approx(2.15)
    assert verdict.n == 4
    assert verdict.measured == "slope of score, plain over size"
    low, high = stats.ttest_1samp([2.0, 2.1, 2.2, 2.3], 0).confidence_interval(
        0.95
    )
    assert verdict.low == pytest.approx(low)
    assert verdict.high == pytest.approx(high)

    def found(**claim):
        return trials.trend("score", "plain", over="size", **claim).outcome

    assert found(falls=True) == CONTRADICTED
    assert found(by=1.5) == SUPPORTED
    assert found(by=9.0) == SMALLER
    assert found(slope=2.0, within=0.5) == SUPPORTED
    assert found(slope=3.0, within=0.5) == CONTRADICTED
    assert found(slope=2.0, within=0.2) == INCONCLUSIVE


def test_a_flat_line_is_within_zero():
    trials = made_of(sized(lambda x, seed: seed + x * seed / 999), SIZES)
    verdict = trials.trend("score", "plain", over="size", within=0.1)
    assert verdict.outcome == SUPPORTED


def test_falling_trend():
    trials = made_of(sized(lambda x, seed: -(2 + seed / 10) * x), SIZES)
    falling = {"over": "size", "falls": True}
    assert trials.trend("score", "plain", **falling).outcome == SUPPORTED
    assert trials.trend("score", "plain", over="size").outcome == CONTRADICTED


def test_points_off_the_line():
    generator = np.random.RandomState(0)
    noise = generator.normal(size=(5, 4))
    trials = made_of(sized(lambda x, seed: x + noise[x, seed]), SIZES)
    x = np.array([1, 2, 4])
    slopes = [
        np.polynomial.Polynomial.fit(x, x + noise[x, seed], 1).convert().coef[1]
        for seed in range(4)
    ]
    verdict = trials.trend("score", "plain", over="size")
    assert verdict.effect == pytest.approx(np.mean(slopes))


def test_log_log_trend():
    # Powers 1.5, 1.6, 1.7 and 1.8 of the size.
    trials = made_of(sized(lambda x, seed: 3 * x ** (1.5 + seed / 10)), SIZES)
    verdict = trials.trend("score", "plain", over="size", log=True)
    assert verdict.effect == pytest.approx(1.65)
    assert verdict.measured == "log-log slope of score, plain over size"
    about = trials.trend(
        "score", "plain", over="size", log=True, slope=1.6, within=0.5
    )
    assert about.outcome == SUPPORTED


def test_trend_of_a_difference():
    scores = sized(lambda x, seed: 10 * x + seed)
    scores |= sized(lambda x, seed: (13 + seed / 10) * x, "better")
    trials = made_of(scores, SIZES)
    verdict = trials.trend("score", "better", over="size", than="plain")
    assert verdict.effect == pytest.approx(3.15)
    assert verdict.measured == "slope of score, better − plain over size"


def test_a_seed_that_lacks_a_condition_has_no_trend():
    scores = sized(lambda x, seed: (2 + seed / 10) * x)
    del scores["plain", "two", 3]
    trials = made_of(scores, SIZES)
    verdict = trials.trend("score", "plain", over="size")
    assert verdict.n == 3
    assert verdict.effect == pytest.approx(2.1)
    scores |= sized(lambda x, seed: 9.0, "better")
    paired = made_of(scores, SIZES).trend(
        "score", "better", over="size", than="plain"
    )
    assert paired.n == 3


def test_one_condition_has_no_trend():
    conditions = {"one": {"size": 1}}
    trials = made_of({("plain", "one", s): 1.0 for s in range(4)}, conditions)
    verdict = trials.trend("score", "plain", over="size")
    assert verdict.outcome == INCONCLUSIVE
    assert verdict.words() == "Undecided: nothing to compare in this run."


@pytest.mark.parametrize("bad", [0.0, -1.0])
def test_a_score_without_a_logarithm_decides_nothing(bad):
    # An error of zero must not end hours of training with a traceback.
    scores = sized(lambda x, seed: 3.0 * x + seed)
    scores["plain", "two", 1] = bad
    trials = made_of(scores, SIZES)
    verdict = trials.trend("score", "plain", over="size", log=True)
    assert verdict.outcome == INCONCLUSIVE
    assert verdict.reason


# Tables


def test_table():
    trials = run_here(score_by_seed, VARIANTS, CONDITIONS, seeds=3)
    rows = trials.table("score", "third").rows()
    assert rows[0] == ["condition", "variant", "score", "third", "n"]
    places = [(row[0], row[1], row[-1]) for row in rows[1:]]
    assert places == [
        ("small", "plain", "3"),
        ("small", "better", "3"),
        ("large", "plain", "3"),
        ("large", "better", "3"),
    ]
    scores = [score_by_seed(seed)["score"] for seed in range(3)]
    mean, deviation = np.mean(scores), np.std(scores, ddof=1)
    assert rows[1][2] == f"{mean:.1f} ± {deviation:.1f}"


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([0.5, 0.6, 0.7], "0.60 ± 0.10"),
        ([-0.5, -0.6, -0.7], "−0.60 ± 0.10"),
        ([1200.0, 1300.0, 1400.0], "1,300 ± 100"),
        ([0.96, 0.97, 0.97], "0.9667 ± 0.0058"),
        ([0.5, 0.5], "0.5 ± 0"),
        ([3.104] * 10, "3.104 ± 0"),
        ([10_880.0] * 3, "10,880 ± 0"),
        ([2e-7, 3e-7, 4e-7], "3.0e−07 ± 1.0e−07"),
        ([0.5, 0.5 + 1e-9], "0.500000 ± 0.000000"),
        ([0.25], "0.25"),
        ([-0.25], "−0.25"),
    ],
)
def test_cells_of_a_table(values, text):
    trials = made_of({("plain", "", s): v for s, v in enumerate(values)})
    assert trials.table("score").rows() == [
        ["variant", "score", "n"],
        ["plain", text, str(len(values))],
    ]


def test_table_of_one_unnamed_variant():
    rows = run_here(score_by_seed).table("score").rows()
    assert rows[1][0] == "all"


# A quick run's subset


def test_a_subset_of_variants_and_conditions():
    only = {"variants": ["plain"], "conditions": ["large"]}
    session = Session(jobs=1, only=only)
    trials = run_in(session, score_by_seed, VARIANTS, CONDITIONS, seeds=3)
    assert len(trials.trials) == 3
    assert list(trials.variants) == ["plain"]
    assert list(trials.conditions) == ["large"]
    assert len(trials.table("score").rows()) == 2
    nothing = "nothing to compare in this run"
    for verdict in (
        trials.is_higher("score", "better", than="plain"),
        trials.is_same("score", "better", than="plain", within=1.0),
        trials.is_above("score", 0.0, "better"),
        trials.is_above("score", 0.0, "plain", at="small"),
        trials.trend("score", "plain", over="size"),
    ):
        assert verdict.outcome == INCONCLUSIVE
        assert verdict.reason == nothing
        assert verdict.effect is None
    exact = trials.agrees("score", 0.0, "better", within=1.0)
    assert exact.outcome == INCONCLUSIVE
    share = trials.share("score", "better", at_least=0.5)
    assert share.outcome == INCONCLUSIVE


def test_a_subset_does_not_touch_a_run_without_variants():
    only = {"variants": ["plain"], "conditions": ["large"]}
    trials = run_in(Session(jobs=1, only=only), score_by_seed, seeds=2)
    assert len(trials.trials) == 2


@pytest.mark.parametrize("seeds", [0, 3])
def test_trials_that_a_run_leaves_out_have_not_failed(seeds):
    session = Session(jobs=1, times=False)
    trials = run_in(
        session, score_by_seed, VARIANTS, CONDITIONS, seeds=seeds, timing=True
    )
    assert session.failures == []
    _, *rows = trials.table("score", "third").rows()
    for row in rows:
        assert row[2:] == ["not run", "not run", "0"]


# Replay


def make_report(seeds=4):
    trials = run_trials(
        score_by_seed, VARIANTS, CONDITIONS, seeds=seeds, scale=1 / 3
    )
    facts = run_trials(succeed_or_not, seeds=3)
    return Report(
        trials.table("score", "third"),
        facts.table("won"),
        Claim(
            "Better is higher",
            trials.is_higher("score", "better", than="plain"),
            "notes",
        ),
        Claim(
            "It rises",
            trials.trend("third", "better", over="size"),
            "notes",
        ),
        Claim("It wins", facts.share("won", at_least=0.5), "notes"),
        Claim("It is one", facts.agrees("won", 1.0, within=0.0), "notes"),
    )


def recorded_run():
    """A session and its report, and its trials after a way through JSON."""
    session = Session(jobs=1)
    with use(session):
        report = make_report()
    stored = json.loads(as_json({"title": "", "runs": session.runs}))
    return session, report, by_key(stored)


def test_replay_equals_the_live_report():
    session, report, recorded = recorded_run()
    assert len(recorded) == 19
    replay = Session(recorded=recorded)
    with use(replay):
        again = make_report()
    assert again.to_dict() == report.to_dict()
    assert replay.runs == session.runs
    assert (replay.progress.done, replay.progress.total) == (19, 19)


def test_replay_trains_nothing():
    session = Session(jobs=1)
    run_in(session, note_call, seeds=3)
    recorded = by_key({"runs": session.runs})
    tiny_trials.CALLS.clear()
    trials = run_in(Session(recorded=recorded), note_call, seeds=3)
    assert len(trials.trials) == 3
    assert tiny_trials.CALLS == []


def test_replay_of_a_part():
    _, _, recorded = recorded_run()
    with use(Session(recorded=recorded)):
        make_report(seeds=2)


def test_a_trial_that_was_not_recorded():
    _, _, recorded = recorded_run()
    with use(Session(recorded=recorded)), pytest.raises(MissingTrialError):
        make_report(seeds=5)
    with use(Session(recorded=recorded)), pytest.raises(MissingTrialError):
        run_trials(succeed_or_not, seeds=3, often=2)


def test_keys_tell_trials_apart():
    trial = {"variant": "a", "condition": "b", "seed": 1}
    others = [
        trial_key("train", {"epochs": 3}, trial),
        trial_key("test", {"epochs": 3}, trial),
        trial_key("train", {"epochs": 4}, trial),
        trial_key("train", {}, trial),
        *(
            trial_key("train", {"epochs": 3}, {**trial, name: value})
            for name, value in (
                ("variant", "b"),
                ("condition", "a"),
                ("seed", 2),
            )
        ),
    ]
    assert len(set(others)) == len(others)
    # The order in which settings were given is no difference.
    assert trial_key("f", {"x": 1, "y": 2}, trial) == trial_key(
        "f", {"y": 2, "x": 1}, trial
    )
