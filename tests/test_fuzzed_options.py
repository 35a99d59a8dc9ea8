"""Every option of every recipe, given whatever a keyboard or a script sends."""

import contextlib
import dataclasses
import io
import itertools
import types
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from kerasrecipes import catalogue, cli, running
from kerasrecipes.catalogue import BACKENDS
from kerasrecipes.options import Options, guarded, parameters

RECIPES = catalogue.all_recipes()
SWITCHES = {"quick", "full", "recorded", "json"}

WORDS = st.one_of(
    st.text(max_size=20),
    st.integers().map(str),
    st.floats().map(str),
    st.sampled_from(
        [
            *("", " ", "-", "--", "---", "=", "\0", "\x1b[31m", "\ud800"),
            *("0", "1", "-0", "+3", "1_000", "٣", "0x10", "1e3", "2.0", "nan"),
            *("inf", "9" * 30, "9" * 5000, "true", "None", "[1]", "{}", "1,2"),
            *("--help", "-h", "--version", "--epochs", "--seeds=2", "@file"),
            *BACKENDS,
        ]
    ),
)


def options_of(recipe):
    """Every option that a recipe has, as it is typed."""
    known = [parameter.name for parameter in parameters(recipe.path)]
    known += [field.name for field in dataclasses.fields(Options)]
    return [f"--{name.replace('_', '-')}" for name in known]


def lines_of_options(recipe):
    """Strategy for the words after a recipe's name: some known options."""
    option = st.sampled_from(options_of(recipe))
    one = st.one_of(
        st.tuples(option, WORDS),
        st.tuples(option, WORDS).map(lambda pair: ("=".join(pair),)),
        st.tuples(option),
        st.tuples(WORDS),
    )
    return st.lists(one, min_size=1, max_size=3).map(
        lambda words: [word for group in words for word in group]
    )


def ask(words):
    """Gives a command; returns status, output, errors and what was called."""
    called = []
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_BACKEND", "tensorflow")
        patch.setattr(cli, "load", lambda _: types.SimpleNamespace(main=None))
        patch.setattr(
            running, "run", lambda *arguments: called.append(arguments)
        )
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = guarded(cli.dispatch, words)
    return status, out.getvalue(), err.getvalue(), called


def check_answer(recipe, words):
    """One line and exit 2, or help, or a call that the recipe can take."""
    status, out, err, called = ask(["run", recipe.name, *words])
    if status == 2:
        (line,) = err.split("\n")[:-1]
        assert line.startswith("kerasrecipes: ") and len(line) > 20
        assert out == "" and not called
        return
    assert status == 0 and err == ""
    if not called:
        assert {"--help", "-h"} & {*words} and recipe.title in out
        return
    ((received, _, chosen, options),) = called
    assert received.name == recipe.name and out == ""
    known = {parameter.name for parameter in parameters(recipe.path)}
    assert chosen.keys() <= known
    for value in (*chosen.values(), options.jobs or 1):
        assert type(value) is int and value >= 1
    assert options.backend in (None, *BACKENDS)
    assert options.out is None or isinstance(options.out, Path)
    assert all(type(getattr(options, name)) is bool for name in SWITCHES)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
@given(data=st.data())
@settings(
    max_examples=5,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
def test_options_of_a_recipe(recipe, data):
    check_answer(recipe, data.draw(lines_of_options(recipe)))


# Text, huge, negative, no number, empty, of another type.
WRONG = ["ten", "9" * 30, "-1", "nan", "", "[1]", "2.5"]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_every_option_of_a_recipe(recipe):
    """Each with another one of these; the recipes begin at another place."""
    words = itertools.cycle(WRONG)
    for _ in range(RECIPES.index(recipe)):
        next(words)
    for option in options_of(recipe):
        check_answer(recipe, [option, next(words)])


@given(words=lines_of_options(RECIPES[0]))
@example(words=["--seeds", "9" * 5000])
@example(words=["--seeds=\ud800"])
@example(words=["--", "--seeds", "3"])
@settings(max_examples=200, deadline=None, derandomize=True)
def test_options_of_one_recipe_in_depth(words):
    check_answer(RECIPES[0], words)


@given(words=st.lists(WORDS, max_size=3))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_an_unknown_command(words):
    """Unless help or the version is asked for, which is no mistake."""
    assume(not {"--help", "-h", "--version"} & {*words})
    status, out, err, called = ask(["zzz", *words])
    assert status == 2 and out == "" and not called
    assert err.startswith("kerasrecipes: ") and err.count("\n") == 1
