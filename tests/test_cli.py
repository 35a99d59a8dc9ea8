"""The command line: what is typed, what comes back, and what is left alone."""

import errno
import importlib.metadata
import importlib.util
import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import keras
import pytest

from kerasrecipes import (
    catalogue,
    cli,
    copying,
    engine,
    files,
    recording,
    running,
)
from kerasrecipes.datasets import series
from kerasrecipes.experiment import journal as journal_module
from kerasrecipes.experiment import pool
from kerasrecipes.options import Options, guarded
from kerasrecipes.running import as_json

ROOT = Path(__file__).parents[1]
IRIS = "iris_baseline"
ESCAPE = "\x1b"

HEADER = '''"""
A recipe for the tests
======================

It counts: ``score`` is :math:`a + b` and needs no *training*.

Its second paragraph.

:question: Does the command line work?
:level: advanced
:notes: Deep Neural Nets Basics, Perceptron
:backends: tensorflow, jax, torch
"""
'''
TEMPORARY = (
    HEADER
    + '''
import keras
from matplotlib.figure import Figure

from kerasrecipes.experiment import Claim, Count, Report, cook, run_trials

VARIANTS = {"plain": {}, "other": {"shift": 1.0}, "third": {"shift": 2.0}}
QUICK = {"seeds": 1, "variants": ["plain", "other"]}
FULL = {"seeds": 10}


def train(seed: int, limit: int, shift: float = 0.0) -> dict:
    """Adds up a few numbers."""
    if shift == 1.0 and seed >= limit:
        raise ValueError("this seed is above the limit")
    if seed >= 2 * limit:
        raise KeyboardInterrupt
    return {"score": shift * (2 + seed % 3) + seed / 8}


def draw(trials) -> Figure:
    """The first seed's scores; there is none of a trial that failed."""
    figure = Figure()
    first = [trials.scores("score", one)[0] for one in trials.variants]
    figure.subplots().plot(first)
    return figure


def main(seeds: Count = 4, limit: Count = 100) -> Report:
    """Compares the variants.

    Args:
        seeds: repetitions.
        limit: the seed at which a trial fails.
    """
    trials = run_trials(train, VARIANTS, seeds=seeds, limit=limit)
    notes = "Deep Neural Nets Basics, Perceptron"
    return Report(
        trials.table("score"),
        draw(trials),
        Claim(
            "The other is higher than the plain one by ± 1 × 2",
            trials.is_higher("score", "other", than="plain"),
            notes,
        ),
    )


if __name__ == "__main__":
    cook(main)
'''
)


class Answer(NamedTuple):
    """What a command said."""

    status: int
    out: str
    err: str

    def refuses(self, *words):
        """One clear line and exit 2: what bad input is answered with."""
        lines = self.err.splitlines()
        said = [line for line in lines if not line.startswith("loading ")]
        assert len(said) == 1 and said[0].startswith("kerasrecipes: "), self
        for word in words:
            assert word in said[0], self
        assert self.status == 2
        assert self.out == ""
        return True


@pytest.fixture
def folder(tmp_path):
    """The folder in which a command is given, empty."""
    folder = tmp_path / "here"
    folder.mkdir()
    return folder


@pytest.fixture
def settings(tmp_path):
    """Settings of the system that make no difference between machines."""
    return {
        "KERAS_BACKEND": keras.backend.backend(),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "COLUMNS": "80",
        "TERM": "xterm-256color",
    }


@pytest.fixture
def call(folder, settings, monkeypatch, capsys):
    """Gives a command in this process."""
    monkeypatch.chdir(folder)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)

    def call(*words):
        capsys.readouterr()
        catalogue.syntax_tree.cache_clear()  # a process has read no file yet
        try:
            status = guarded(cli.dispatch, list(words))
        except KeyboardInterrupt:  # it would end pytest
            pytest.fail("Ctrl-C came through as a traceback")
        return Answer(status, *capsys.readouterr())

    return call


@pytest.fixture
def shell(folder, settings):
    """Gives a command in a process of its own, through pipes."""
    dropped = ("FORCE_COLOR", "NO_COLOR", "PYTHONUNBUFFERED", "KERAS_BACKEND")
    kept = {k: v for k, v in os.environ.items() if k not in dropped}

    def shell(*words, **more):
        answer = subprocess.run(
            [sys.executable, *map(str, words)],
            cwd=folder,
            env={**kept, **settings, **more},
            capture_output=True,
        )
        encoding = more.get("PYTHONIOENCODING", "utf-8")
        out, err = answer.stdout.decode(encoding), answer.stderr.decode()
        return Answer(answer.returncode, out, err)

    return shell


@pytest.fixture
def house(tmp_path, monkeypatch):
    """A checkout with one recipe, `temporary`; returns that file's path."""
    house = tmp_path / "house"
    path = house / "recipes/foundations/temporary.py"
    path.parent.mkdir(parents=True)
    path.write_text(TEMPORARY, encoding="utf-8")
    markers = "<!-- questions -->\n<!-- end of questions -->\n"
    (house / "README.md").write_text(markers, encoding="utf-8")
    monkeypatch.setattr(catalogue, "RECIPES", house / "recipes")
    monkeypatch.setattr(catalogue, "RESULTS", house / "data/results")
    monkeypatch.setattr(catalogue, "IN_CHECKOUT", True)

    def load(recipe):
        spec = importlib.util.spec_from_file_location("temporary", recipe.path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    monkeypatch.setattr(cli, "load", load)
    return path


@pytest.fixture
def no_engine(monkeypatch):
    """Fails where a command loads the engine before it looks at the words."""

    def load(recipe):
        pytest.fail("it loads the engine first, which takes seconds")

    monkeypatch.setattr(cli, "load", load)


# ----------------------------------------------------------------------
# Bad input


@pytest.mark.parametrize(
    ("line", "words"),
    [
        # A recipe's own options.
        ("run iris_baselin", ["'iris_baselin'", "Did you mean iris_baseline?"]),
        ("run foundation/iris_baseline", ["foundations/iris_baseline?"]),
        ("run zzz", ["'zzz'", "`list`"]),
        ("run iris_baseline --epochs 0", ["--epochs", '"0"', ">= 1"]),
        ("run iris_baseline --epochs=-3", ["--epochs", '"-3"']),
        ("run iris_baseline --epochs ten", ["--epochs", '"ten"']),
        ("run iris_baseline --epochs 2.5", ["--epochs", "2.5"]),
        ("run iris_baseline --epochs inf", ["--epochs", "inf"]),
        ("run iris_baseline --epochs", ["--epochs"]),
        ("run iris_baseline --epochs 1 --epochs 2", ["--epochs"]),
        ("run iris_baseline --epoch 3", ["--epoch", "Did you mean --epochs?"]),
        ("run iris_baseline --zzz", ["--zzz"]),
        ("run iris_baseline 3", ["'3'"]),
        # Options of every recipe.
        ("run iris_baseline --jobs 0", ["--jobs"]),
        ("run iris_baseline --backend theano", ["--backend", "tensorflow"]),
        ("run iris_baseline --device gpu", ["--device", "cpu"]),
        ("run iris_baseline --cluster x --jobs 2", ["--cluster", "--jobs"]),
        ("run iris_baseline --quick --full", ["--quick, --full and --recor"]),
        ("run iris_baseline --full --recorded", ["--recorded"]),
        ("run iris_baseline --quick --recorded", ["--recorded"]),
        ("run iris_baseline --recorded --seeds 3", ["--seeds"]),
        ("run --quick", ["--quick"]),
        # The other commands.
        ("rn iris_baseline", ["rn", 'Did you mean "run"?']),
        ("--zzz", ["--zzz"]),
        ("list --chapter zzz", ["--chapter", "foundations", "zzz"]),
        ("list --level expert", ["--level", "beginner", "expert"]),
        ("list --search", ["--search"]),
        ("list --zzz", ["--zzz"]),
        ("list zzz", ["zzz"]),
        ("show", ["show"]),
        ("show iris_base", ["'iris_base'", "iris_baseline?"]),
        ("show iris_baseline zzz", ["zzz"]),
        ("record iris_baseline --seeds 3", ["--seeds", "10", "3"]),
        ("record iris_baseline --seeds 10.5", ["--seeds", "10.5"]),
        ("record iris_baseline --backend zzz", ["--backend", "zzz"]),
        ("record zzz", ["'zzz'"]),
        ("copy", ["recipe or a helper"]),
        ("copy zzz", ["'zzz'"]),
        ("copy ../iris_baseline", ["iris_baseline"]),
        ("copy iris_baseline --helpers ../x", ["--helpers", "../x"]),
        ("copy iris_baseline --helpers import", ["--helpers", "import"]),
        ("copy iris_baseline ResetStates --notebook", ["ResetStates"]),
        ("copy iris_baseline --copies 3", ["--copies"]),
        ("copy iris_baseline --to /dev/null", ["--to", "/dev/null"]),
        ("copy iris_baseline --to /proc/none", ["/proc/none"]),
    ],
)
def test_bad_input(line, words, call, folder, no_engine):
    assert call(*line.split()).refuses(*words)
    assert not list(folder.iterdir())


@pytest.mark.parametrize("line", ["run zzz", "rn", "list --chapter zzz"])
def test_bad_input_in_a_process_of_its_own(line, shell, folder):
    assert shell("-m", "kerasrecipes", *line.split()).refuses()
    assert not list(folder.iterdir())


def test_unknown_backend_of_the_environment(call, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "theano")
    assert call("run", IRIS).refuses("KERAS_BACKEND", "theano", "jax")


def test_info_with_an_unknown_backend(shell):
    answer = shell("-m", "kerasrecipes", "info", KERAS_BACKEND="theano")
    assert answer.refuses("KERAS_BACKEND", "theano", "jax")


@pytest.mark.parametrize(
    "words",
    [
        ["run", IRIS, "--quick", "--backend", "jax"],
        ["record", IRIS, "--backend", "jax"],
    ],
    ids=lambda words: words[0],
)
def test_backend_that_is_not_installed(words, call, monkeypatch, folder):
    find_spec = importlib.util.find_spec

    def find(name, *rest):
        return None if name == "jax" else find_spec(name, *rest)

    monkeypatch.setattr(cli.importlib.util, "find_spec", find)
    answer = call(*words)
    assert answer.refuses("JAX is not", "pip install 'kerasrecipes[jax]'")
    assert not list(folder.iterdir())


def test_backend_that_the_recipe_does_not_run_on(house, call, folder):
    others = [one for one in catalogue.BACKENDS if one != engine.engine()]
    line = f":backends: {others[0]} (it is about the others)"
    text = re.sub(":backends: .*", line, TEMPORARY)
    house.write_text(text, encoding="utf-8")
    assert call("run", "temporary").refuses(others[0], engine.engine())
    assert not list(folder.iterdir())


def test_extra_that_is_not_installed(house, call, monkeypatch):
    text = TEMPORARY.replace(":level:", ":extras: graphs\n:level:")
    house.write_text(text, encoding="utf-8")

    def import_module(name):
        raise ModuleNotFoundError(f"No module {name}", name="networkx")

    monkeypatch.undo()
    monkeypatch.setattr(catalogue, "RECIPES", house.parents[1])
    monkeypatch.setattr(cli.importlib, "import_module", import_module)
    answer = call("run", "temporary")
    assert answer.refuses("networkx", "pip install 'kerasrecipes[graphs]'")


@pytest.mark.parametrize("place", ["file", "file/below/it"])
def test_out_that_cannot_be_written(place, house, call, folder):
    (folder / "file").write_text("mine")
    answer = call("run", "temporary", "--quick", "--out", place)
    assert answer.refuses("Cannot write to", place)
    assert [path.name for path in folder.iterdir()] == ["file"]
    assert (folder / "file").read_text() == "mine"


def test_recorded_without_results(house, call, folder):
    assert call("run", "temporary", "--recorded").refuses("temporary")
    assert not list(folder.iterdir())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"score"', '"points"'),
        ('"third"', '"fourth"'),
        ("limit", "bound"),
    ],
)
def test_recorded_of_a_recipe_that_has_changed(house, call, folder, old, new):
    assert call("record", "temporary").status == 0
    text = TEMPORARY.replace(old, new).replace(f"{old}:", f"{new}:")
    assert text != TEMPORARY
    house.write_text(text, encoding="utf-8")
    answer = call("run", "temporary", "--recorded")
    assert answer.refuses("changed since", "kerasrecipes record temporary")
    assert not list(folder.iterdir())


def test_recording_outside_of_a_checkout(house, call, monkeypatch):
    monkeypatch.setattr(catalogue, "IN_CHECKOUT", False)
    assert call("record", "temporary").refuses("checkout")
    assert not catalogue.RESULTS.exists()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("=====", "-----", ["title"]),
        (":question: Does", ":asks: Does", [":question:"]),
        (":level: adv", ":mood: good\n:level: adv", [":mood:"]),
        (":level: advanced", ":level: expert", ["expert", "beginner"]),
        ("tensorflow, jax", "tensorflow, theano", ["theano"]),
        (HEADER, "", ["docstring"]),
    ],
)
@pytest.mark.parametrize("command", ["list", "show", "run"])
def test_broken_header(command, old, new, words, house, call, folder):
    house.write_text(TEMPORARY.replace(old, new), encoding="utf-8")
    name = [] if command == "list" else ["temporary"]
    assert call(command, *name).refuses("foundations/temporary.py", *words)
    assert not list(folder.iterdir())


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("def main(", "def maine(", ["`main`"]),
        ("seeds: Count = 4", "seeds: Count", ["`seeds`", "default"]),
        ("seeds: Count = 4", "seeds: list = 4", ["`seeds`", "type"]),
        ("seeds: Count = 4", "seeds: Count = FULL", ["`seeds`", "default"]),
        ('VARIANTS = {"', 'VARIANTS = {}{"', ["line "]),
    ],
)
def test_broken_recipe(old, new, words, house, call, folder):
    assert old in TEMPORARY
    house.write_text(TEMPORARY.replace(old, new), encoding="utf-8")
    answer = call("run", "temporary", "--seeds", "2")
    assert answer.refuses("foundations/temporary.py", *words)
    assert not list(folder.iterdir())


def test_quick_settings_that_are_no_literal(house, call):
    text = TEMPORARY.replace('{"seeds": 1,', '{"seeds": int(1),')
    house.write_text(text, encoding="utf-8")
    answer = call("run", "temporary", "--quick")
    assert answer.refuses("foundations/temporary.py", "QUICK")


def test_a_file_that_is_no_text(house, call):
    house.write_bytes(b"\xff\xfe\x00")
    assert call("list").refuses("foundations/temporary.py")


# ----------------------------------------------------------------------
# Help, list, show, info


def test_the_program_is_installed():
    (script,) = importlib.metadata.entry_points(
        group="console_scripts", name="kerasrecipes"
    )
    assert script.load() is cli.main


def test_version(call):
    version = importlib.metadata.version("kerasrecipes")
    assert call("--version") == Answer(0, f"{version}\n", "")


@pytest.mark.parametrize("line", ["", "--help", "-h", "run", "run --help"])
def test_help(line, call):
    answer = call(*line.split())
    assert answer.status == 0 and answer.err == ""
    assert "Usage: kerasrecipes" in answer.out
    if "run" not in line:
        for command in ("list", "show", "run", "info", "record", "--version"):
            assert command in answer.out


@pytest.mark.parametrize("command", ["list", "show", "info", "record"])
def test_help_of_a_command(command, call):
    answer = call(command, "--help")
    assert answer.status == 0 and answer.err == ""
    assert f"Usage: kerasrecipes {command}" in answer.out


def test_help_of_a_recipe(house, call, no_engine):
    answer = call("run", "temporary", "--help")
    assert answer.status == 0 and answer.err == ""
    text = " ".join(answer.out.replace("│", " ").split())
    assert "Usage: kerasrecipes run temporary" in text
    assert "A recipe for the tests" in text
    assert "It counts: score is a + b and needs no training." in text
    assert "Its second paragraph" not in text
    assert "--seeds INT repetitions. [default: 4]" in text
    assert "[default: 100]" in text
    for option in Options.__dataclass_fields__:
        assert f"--{option}" in text
    assert call("run", "temporary", "--seeds", "0", "-h").status == 0


def test_list(house, call):
    answer = call("list")
    assert answer.status == 0 and answer.err == ""
    first, second, third = answer.out.splitlines()
    assert first == "foundations"
    assert second.split() == [
        "temporary",
        *("A", "recipe", "for", "the", "tests", "(advanced)"),
    ]
    assert third.strip() == "not recorded yet"


def test_list_knows_every_recipe(call):
    rows = json.loads(call("list", "--json").out)
    assert [row["name"] for row in rows] == list(catalogue.recipe_paths())
    for row in rows:
        assert call("show", row["topic"]).status == 0
        assert row["title"] in call("list").out


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("--chapter foundations", True),
        ("--level advanced", True),
        ("--level beginner", False),
        ("--uses subplots", True),
        ("--uses plots", False),
        ("--search COUNTS", True),
        ("--search 'the command line'", True),
        ("--search dropout", False),
        ("--search counts --level beginner", False),
    ],
)
def test_list_filters(line, found, house, call):
    words = [word.strip("'") for word in re.findall(r"'[^']*'|\S+", line)]
    answer = call("list", *words, "--json")
    assert answer.status == 0
    rows = json.loads(answer.out)
    assert [row["topic"] for row in rows] == ["temporary"] * found
    # What is found goes to stdout, that nothing is found does not.
    plain = call("list", *words)
    assert bool(plain.out) == found and bool(plain.err) != found


def test_show(house, call):
    answer = call("show", "foundations/temporary")
    assert answer.status == 0 and answer.err == ""
    assert answer.out.startswith("A recipe for the tests\n===")
    assert "It counts: `score` is a + b and needs no training." in answer.out
    assert "question: Does the command line work?" in answer.out
    assert "Not recorded yet." in answer.out


@pytest.mark.parametrize("name", catalogue.recipe_paths())
def test_show_without_markup(name, call):
    answer = call("show", name)
    assert answer.status == 0
    story = answer.out.partition("\nquestion: ")[0]
    assert not re.findall(r":\w+:`|``|\.\. \w+::|\\|[a-z]\{", story)


def test_show_source(house, call):
    answer = call("show", "temporary", "--source")
    assert answer == Answer(0, TEMPORARY, "")


def test_info(call):
    answer = call("info")
    assert answer.status == 0 and answer.err == ""
    lines = dict(line.split(maxsplit=1) for line in answer.out.splitlines())
    assert lines["keras"] == keras.__version__
    assert lines["backend"] == keras.backend.backend()
    assert {"devices", "floatx", "epsilon", "data", "python"} <= set(lines)


def test_a_backend_that_has_no_gpu_may_say_so_by_an_error(monkeypatch):
    """As JAX does, whose answer decides how many processes there are."""

    def list_devices(kind):
        raise RuntimeError(f"Unknown backend: '{kind}' requested")

    monkeypatch.setattr(keras.distribution, "list_devices", list_devices)
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    assert engine.gpus() == []


# ----------------------------------------------------------------------
# Copies


def test_a_copy(call, folder, no_engine):
    answer = call("copy", IRIS, "ResetStates", "--to", "mine")
    assert answer.status == 0 and answer.err == ""
    lines = answer.out.splitlines()
    assert lines[0] == f"mine/{IRIS}.py  (new)"
    for line in lines:
        assert (folder / line.partition("  (")[0]).is_file()
    names = {
        path.name for path in (folder / "mine" / "recipe_helpers").iterdir()
    }
    assert names == {"__init__.py", "bundled.py", "folds.py", "reset_states.py"}
    again = call("copy", IRIS, "--to", "mine")
    assert again.out.count("(up to date)") == 4
    assert "(new)" not in again.out


def test_a_copied_notebook(call, folder, no_engine):
    answer = call("copy", IRIS, "--notebook")
    assert answer.out == f"{IRIS}.ipynb  (new)\n"
    assert [path.name for path in folder.iterdir()] == [f"{IRIS}.ipynb"]


def test_helpers_under_another_name(call, folder, no_engine):
    call("copy", IRIS, "--helpers", "kitchen")
    text = (folder / f"{IRIS}.py").read_text("utf-8")
    assert "from kitchen.bundled import load_iris" in text
    assert (folder / "kitchen" / "bundled.py").is_file()


def test_a_dry_run_writes_nothing(call, folder, no_engine):
    answer = call("copy", IRIS, "--dry-run", "--to", "mine")
    assert answer.status == 0
    assert f"mine/{IRIS}.py  (new)" in answer.out
    assert not list(folder.iterdir())


def test_difference_to_the_newest_form(call, folder, no_engine):
    assert call("copy", IRIS, "--diff").status == 1  # nothing is there yet
    assert not list(folder.iterdir())
    call("copy", IRIS)
    assert call("copy", IRIS, "--diff").status == 0
    path = folder / f"{IRIS}.py"
    path.write_text(path.read_text("utf-8") + "mine = 1\n", "utf-8")
    before = path.read_bytes()
    answer = call("copy", IRIS, "--diff")
    assert answer.status == 1
    assert f"{IRIS}.py  (changed since it was copied)" in answer.out
    assert "\n-mine = 1\n" in answer.out
    assert path.read_bytes() == before
    assert call("copy", IRIS).refuses(path.name, "--diff", "--force")
    assert path.read_bytes() == before
    assert call("copy", IRIS, "--force").status == 0
    assert "mine = 1" not in path.read_text("utf-8")


# ----------------------------------------------------------------------
# Runs


def test_a_run(house, call, folder):
    answer = call("run", "temporary")
    assert answer.status == 0
    assert "12 of 12 trials done" in answer.err
    assert "A recipe for the tests" in answer.out
    assert "(seeds 4, limit 100)" in answer.out
    assert "SUPPORTED" in answer.out and "n = 4" in answer.out
    (out,) = (folder / "runs").iterdir()
    assert {path.name for path in out.iterdir()} == {
        "report.json",
        "temporary.png",
    }
    assert str(out.relative_to(folder) / "temporary.png") in answer.out


def test_settings_of_a_quick_run(house, call, folder):
    out = folder / "out"
    answer = call("run", "temporary", "--quick", "--json", f"--out={out}")
    assert answer.status == 0
    assert not answer.err.replace("loading", "").startswith("kerasrecipes")
    report = json.loads(answer.out)
    assert report == json.loads((out / "report.json").read_text("utf-8"))
    assert report["settings"] == {"seeds": 1, "limit": 100}
    variants = [trial["variant"] for trial in report["runs"][0]["trials"]]
    assert variants == ["plain", "other"]
    assert [path.name for path in folder.iterdir()] == ["out"]
    # What is typed counts more than what --quick sets.
    answer = call("run", "temporary", "--quick", "--seeds", "2", "--json")
    assert json.loads(answer.out)["settings"]["seeds"] == 2


def test_a_gpu_is_left_alone(house, call, monkeypatch):
    """The engine, loaded after that, and its workers see none."""
    names = {"CUDA_VISIBLE_DEVICES": "-1", "JAX_PLATFORMS": "cpu"}
    for name in names:
        monkeypatch.setenv(name, "")
    assert call("run", "temporary", "--quick").status == 0
    assert {os.environ[name] for name in names} == {""}
    words = ["run", "temporary", "--quick", "--device", "cpu"]
    assert call(*words).status == 0
    assert {name: os.environ[name] for name in names} == names


def test_a_cluster_without_dask(house, call, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    answer = call("run", "temporary", "--cluster", "tcp://127.0.0.1:8786")
    assert answer.refuses("pip install 'kerasrecipes[dask]'")


def test_a_failed_trial(house, call):
    answer = call("run", "temporary", "--limit", "2")
    assert answer.status == 1
    for seed in (2, 3):
        assert (
            f"train (variant 'other', seed {seed}): ValueError: this seed is "
            "above the limit" in answer.err
        )
    assert re.search(r"^third .* 4$", answer.out, re.MULTILINE)
    assert re.search(r"^other .* 2$", answer.out, re.MULTILINE)
    answer = call("run", "temporary", "--limit", "3", "--json")
    assert answer.status == 1
    (failure,) = json.loads(answer.out)["failures"]
    assert failure.startswith("train (variant 'other', seed 3): ValueError")


RAISES = 'raise ValueError("this seed is above the limit")'


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("raise MemoryError", "MemoryError"),
        ('raise SystemExit("enough")', "SystemExit: enough"),
        ("return", "a dict of scores. Received: NoneType"),
        ('return {"score": float("nan")}', "to be finite. Received: nan"),
        (
            'return {"store": 1.0}',
            "expected scores 'score' and curves none, as from most seeds. "
            "Received: scores 'store' and curves none",
        ),
        (
            'return {"score": 1.0, "more": 1.0}',
            "Received: scores 'more', 'score' and curves none",
        ),
        (
            'return {"score": 1.0, "curves": {"loss": [1.0]}}',
            "Received: scores 'score' and curves 'loss'",
        ),
    ],
)
def test_a_trial_that_does_not_give_what_the_others_do(
    fault, said, house, call
):
    """It is named, and what the others found is shown as ever."""
    assert RAISES in TEMPORARY
    house.write_text(TEMPORARY.replace(RAISES, fault), encoding="utf-8")
    answer = call("run", "temporary", "--limit", "3")
    assert answer.status == 1
    last = answer.err.splitlines()[-1]
    last = last.removeprefix("A trial failed: ")
    assert last.startswith("train (variant 'other', seed 3): ")
    assert said in last
    for variant, trials in (("plain", 4), ("other", 3), ("third", 4)):
        line = rf"^{variant} .* {trials}$"
        assert re.search(line, answer.out, re.MULTILINE)


def test_nothing_is_recorded_where_a_trial_fails(house, call):
    text = TEMPORARY.replace("limit: Count = 100", "limit: Count = 9")
    house.write_text(text, encoding="utf-8")
    answer = call("record", "temporary")
    assert answer.status == 1
    assert "train (variant 'other', seed 9): ValueError" in answer.err
    assert answer.err.splitlines()[-1] == "Nothing was recorded."
    assert not list(catalogue.RESULTS.rglob("*.*"))


def test_a_variant_whose_every_trial_failed(house, call):
    """The figure, which has nothing to draw for it, hides nothing."""
    text = TEMPORARY.replace("shift == 1.0 and seed >= limit", "shift == 1.0")
    house.write_text(text, encoding="utf-8")
    answer = call("run", "temporary", "--seeds", "1")
    assert answer.status == 1
    assert "train (variant 'other', seed 0): ValueError" in answer.err
    assert "Traceback" not in answer.out


@pytest.mark.parametrize("size", [[], ["--full"]], ids=["default", "full"])
def test_an_interrupted_run(size, house, call, tmp_path):
    words = ["run", "temporary", "--seeds", "10", "--limit", "4", *size]
    answer = call(*words)
    assert answer.status == 130
    assert "Traceback" not in answer.err.replace("A trial failed: Tr", "")
    last = answer.err.splitlines()[-1]
    assert re.match(r"Stopped with \d+ of 30 trials done: ", last)
    assert ("goes on from here" in last) == bool(size)
    # A full run keeps what is done.
    journals = tmp_path / "cache/kerasrecipes/journals"
    assert bool(size) == journals.exists()
    if size:
        (journal,) = journals.iterdir()
        assert len(journal.read_bytes().splitlines()) > 10


def test_an_interrupted_recording(house, call):
    text = TEMPORARY.replace("2 * limit", "limit // 20")
    house.write_text(text, encoding="utf-8")
    answer = call("record", "temporary")
    assert answer.status == 130
    last = answer.err.splitlines()[-1]
    assert re.match(r"Stopped with \d+ of 30 trials done: ", last)
    assert not list(catalogue.RESULTS.rglob("*.*"))


def test_interrupted_before_it_runs(house, call, monkeypatch):
    def load(recipe):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "load", load)
    answer = call("run", "temporary")
    assert answer.status == 130 and "Traceback" not in answer.err


def test_recording_and_what_comes_of_it(house, call, folder):
    answer = call("record", "temporary")
    assert answer.status == 0 and "Recorded: " in answer.out
    results = catalogue.RESULTS / "foundations"
    assert {path.name for path in results.iterdir()} == {
        "temporary.json",
        "temporary.md",
        "temporary.png",
    }
    answer = call("record", "temporary", "--check")
    assert answer.status == 0 and "as recorded" in answer.out

    (row,) = json.loads(call("list", "--json").out)
    assert row["verdicts"] == {"supported": 1} and row["seconds"] >= 0
    assert "1 supported; recorded in " in call("list").out

    shown = call("show", "temporary").out
    assert "SUPPORTED" in shown and "Recorded in" in shown
    assert "It has changed" not in shown

    replay = call("run", "temporary", "--recorded", "--json")
    assert replay.status == 0
    stored = json.loads((results / "temporary.json").read_text("utf-8"))
    again = json.loads(replay.out)
    for part in ("tables", "claims", "settings", "fingerprint", "runs"):
        assert again[part] == stored[part], part

    beside = call("run", "temporary", "--seeds", "3").out
    assert "recorded: supported" in beside

    # Scores that the training does not give.
    stored["runs"][0]["trials"][0]["scores"]["score"] += 1.0
    del stored["checksum"]
    sealed = catalogue.seal(as_json(stored))
    (results / "temporary.json").write_text(sealed, "utf-8")
    answer = call("record", "temporary", "--check")
    assert answer.status == 1 and "NOT as recorded" in answer.out
    assert "differ from what the trials say" in answer.err


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:-30],
        lambda text: "",
        lambda text: "{}",
        lambda text: "[1]",
        lambda text: text.replace('"seed": 1', '"seed": 2'),
        lambda text: text.replace('"n": 10', '"n": 11'),
        lambda text: text.replace("supported", "contradicted"),
        lambda text: text + "\n",
    ],
)
def test_results_that_are_damaged(damage, house, call, folder):
    assert call("record", "temporary").status == 0
    path = catalogue.RESULTS / "foundations/temporary.json"
    text = path.read_text("utf-8")
    assert damage(text) != text
    path.write_text(damage(text), "utf-8")
    for command in ("list", "show temporary", "run temporary"):
        answer = call(*command.split())
        # The story comes first, and is there whatever the results are.
        assert answer._replace(out="").refuses("temporary.json"), command
    assert not list(folder.iterdir())


def test_results_with_a_byte_that_is_another(house, call):
    """Whatever is wrong with the file, its numbers are right or not shown."""
    assert call("record", "temporary").status == 0
    recipe = catalogue.find_recipe("temporary")
    path = recipe.results()
    content, whole = path.read_bytes(), catalogue.load_results(recipe)
    generator = random.Random(0)  # noqa: S311
    for _ in range(300):
        start = generator.randrange(len(content))
        end = start + generator.choice([0, 1, 1, 1, 40, len(content)])
        change = generator.randbytes(generator.randrange(3))
        path.write_bytes(content[:start] + change + content[end:])
        try:
            # Another system's end of a line is none that matters.
            assert catalogue.load_results(recipe) == whole
        except catalogue.RecipeError as error:
            (line,) = str(error).splitlines()
            assert str(path) in line
    path.write_text("[" * 100_000, "utf-8")
    assert call("run", "temporary").refuses("temporary.json")


READS_DATA = TEMPORARY.replace(
    "import keras\n",
    "import keras\n\nfrom kerasrecipes.datasets import load_co2\n",
).replace("    if shift == 1.0", "    load_co2()\n    if shift == 1.0")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "co2.csv is missing: install kerasrecipes again."),
        (b"week,co2\n1958-03-29,31", "co2.csv is damaged: install kerasrecip"),
    ],
    ids=["missing", "damaged"],
)
def test_data_that_are_damaged(
    content, said, house, call, folder, tmp_path, monkeypatch
):
    house.write_text(READS_DATA, encoding="utf-8")
    monkeypatch.setattr(series.resources, "files", lambda package: tmp_path)
    if content:
        (tmp_path / "co2.csv").write_bytes(content)
    caches = series._rows, series.read_series
    for cache in caches:
        cache.cache_clear()
    try:
        assert call("record", "temporary").refuses(said)
        assert not list(catalogue.RESULTS.rglob("*.*"))
        answer = call("run", "temporary", "--seeds", "1", "--out", "out")
    finally:
        for cache in caches:
            cache.cache_clear()
    assert answer.status == 1
    for variant in ("plain", "other", "third"):
        place = rf"^train \(variant '{variant}', seed 0\): .*"
        assert re.search(place + re.escape(said), answer.err, re.MULTILINE)
    assert not list((folder / "out").glob("*.png"))


def test_show_says_that_a_recipe_has_changed(house, call):
    assert call("record", "temporary").status == 0
    house.write_text(TEMPORARY.replace("seed / 8", "seed / 9"), "utf-8")
    assert (
        "It has changed since it was recorded" in call("show", "temporary").out
    )
    live = call("run", "temporary", "--quick").out
    assert "has changed since its results were recorded" in live


# ----------------------------------------------------------------------
# A full disk, and folders that take no file


def full_disk(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.ENOSPC])
@pytest.mark.parametrize(
    "line", ["run temporary --full --out out", "record temporary", "copy iris"]
)
def test_a_folder_that_takes_no_file(
    line, number, house, call, monkeypatch, folder
):
    """It is seen before anything is trained; root may write everywhere."""

    def refuse(**_):
        raise OSError(number, os.strerror(number))

    if line == "copy iris":
        monkeypatch.setattr(catalogue, "RECIPES", ROOT / "recipes")
        monkeypatch.setattr(copying, "RECIPES", ROOT / "recipes")
        line = f"copy {IRIS}"
    monkeypatch.setattr(files.tempfile, "TemporaryFile", refuse)
    monkeypatch.setattr(pool, "run_one", lambda *_: pytest.fail("it trains"))
    answer = call(*line.split())
    assert answer.refuses("Cannot write to ", f"{os.strerror(number)}.")
    assert not [path for path in folder.rglob("*") if path.is_file()]
    assert not list(catalogue.RESULTS.rglob("*.*"))


@pytest.mark.skipif(
    os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere"
)
def test_a_folder_that_may_not_be_written(house, call, folder):
    (folder / "out").mkdir(mode=0o555)
    answer = call("run", "temporary", "--quick", "--out", "out")
    assert answer.refuses("Cannot write to out: Permission denied.")


def test_a_copy_on_a_full_disk(call, folder, no_engine, monkeypatch):
    monkeypatch.setattr(copying, "write_file", full_disk)
    assert call("copy", IRIS).refuses("No space left on device")
    assert not [path for path in folder.rglob("*") if path.is_file()]


def test_a_disk_that_is_full_at_the_end(house, call, monkeypatch, tmp_path):
    """The report is shown, and a full run can be finished later."""
    words = ["run", "temporary", "--full", "--out", "out"]
    with monkeypatch.context() as patch:
        patch.setattr(running, "write_file", full_disk)
        answer = call(*words)
    assert answer.status == 2 and "SUPPORTED" in answer.out
    last = "kerasrecipes: Cannot write to out: No space left on device."
    assert answer.err.splitlines()[-1] == last
    (journal,) = (tmp_path / "cache/kerasrecipes/journals").iterdir()
    assert len(journal.read_bytes().split()) > 30
    monkeypatch.setattr(pool, "run_one", lambda *_: pytest.fail("it trains"))
    assert call(*words).status == 0
    assert not journal.exists()


def test_a_recording_on_a_full_disk(house, call, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(recording, "write_file", full_disk)
        answer = call("record", "temporary")
    assert answer.status == 2
    assert answer.err.splitlines()[-1].endswith("No space left on device.")
    assert not list(catalogue.RESULTS.rglob("*.json"))
    monkeypatch.setattr(pool, "run_one", lambda *_: pytest.fail("it trains"))
    assert call("record", "temporary").status == 0


def test_a_journal_that_takes_no_more(house, call, monkeypatch):
    """The trials are what counts: the run goes on without it."""
    synchronised = []

    def fsync(number):
        synchronised.append(number)
        if len(synchronised) > 5:
            full_disk()

    monkeypatch.setattr(journal_module.os, "fsync", fsync)
    answer = call("run", "temporary", "--full")
    assert answer.status == 0 and "SUPPORTED" in answer.out
    assert answer.err.count("No journal is kept any more: ") == 1
    assert len(synchronised) == 6


@pytest.mark.parametrize("words", ["run temporary --full", "record temporary"])
def test_a_cache_folder_that_cannot_be_made(words, house, call, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", os.devnull)
    answer = call(*words.split())
    assert answer.status == 0 and "SUPPORTED" in answer.out
    assert answer.err.count("No journal is kept: ") == 1


def test_an_engine_whose_cache_cannot_be_made(shell, folder, tmp_path):
    """JAX keeps there what it compiled, and trains without it as well."""
    script = tmp_path / "foundations/temporary.py"
    script.parent.mkdir()
    script.write_text(EIGHT_MODELS, encoding="utf-8")
    answer = shell(script, "--seeds", "2", XDG_CACHE_HOME=os.devnull)
    assert answer.status == 0, answer.err
    assert "by +- 1 x 2" in answer.out or "by ± 1 × 2" in answer.out
    assert "Traceback" not in answer.err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="has no /dev/full")
@pytest.mark.parametrize(
    "line", ["list", "list --json", "show iris_baseline", "--help"]
)
def test_a_file_of_output_on_a_full_disk(line, folder, settings):
    with open("/dev/full", "w") as full:
        answer = subprocess.run(
            [sys.executable, "-m", "kerasrecipes", *line.split()],
            cwd=folder,
            env={**os.environ, **settings},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert answer.returncode == 2
    (said,) = answer.stderr.splitlines()
    assert said.startswith("kerasrecipes: ") and "No space left" in said


# ----------------------------------------------------------------------
# Processes


def test_a_run_in_a_process_of_its_own(shell, folder):
    """JSON and nothing else on stdout, though the engine loads and trains."""
    words = ["run", IRIS, "--quick", "--json", "--out", "out"]
    answer = shell("-m", "kerasrecipes", *words)
    assert answer.status == 0, answer.err
    report = json.loads(answer.out)
    assert report["recipe"] == "foundations/iris_baseline"
    assert ESCAPE not in answer.err
    (line,) = answer.err.splitlines()
    assert re.fullmatch(r"loading \w+ \.\.\.", line)
    assert [path.name for path in folder.iterdir()] == ["out"]


# Eight models: from the fifth on TensorFlow warns of retracing, though each
# is a new one.
EIGHT_MODELS = TEMPORARY.replace(
    '    """Adds up a few numbers."""\n',
    '''    """Predicts once, with a new model."""
    layers = [keras.layers.Input((1,)), keras.layers.Dense(1)]
    model = keras.Sequential(layers)
    model.predict(keras.ops.convert_to_numpy([[1.0]]), verbose=0)
''',
)


def test_a_script_in_a_process_of_its_own(shell, folder, tmp_path):
    """Plain lines in a pipe, on a console that knows neither ± nor −."""
    script = tmp_path / "foundations/temporary.py"
    script.parent.mkdir()
    assert EIGHT_MODELS != TEMPORARY
    script.write_text(EIGHT_MODELS, encoding="utf-8")
    words = ["--seeds", "3", "--limit", "2", "--jobs", "1"]
    answer = shell(script, *words, PYTHONIOENCODING="ascii")
    assert answer.status == 1
    assert "+-" in answer.out and "by +- 1 x 2" in answer.out
    assert "train (variant 'other', seed 2): ValueError" in answer.err
    assert ESCAPE not in answer.out + answer.err
    assert "9 of 9 trials done" in answer.err
    assert "retracing" not in answer.err
    assert [path.name for path in folder.iterdir()] == ["runs"]


def test_a_script_cannot_change_its_backend(shell, folder):
    script = ROOT / "recipes/foundations/iris_baseline.py"
    others = [one for one in catalogue.BACKENDS if one != engine.engine()]
    answer = shell(script, "--backend", others[-1])
    line = f"KERAS_BACKEND={others[-1]} python {script}"
    assert answer.status == 2 and answer.out == ""
    # TensorFlow talks while it loads, and only `kerasrecipes` hides that.
    said = answer.err.splitlines()[-1]
    assert said.startswith("kerasrecipes: ") and said.endswith(line)
    assert "Traceback" not in answer.err
    assert not list(folder.iterdir())


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
@pytest.mark.parametrize("line", [f"run {IRIS} --help", f"show {IRIS}"])
def test_a_console_with_few_signs(line, encoding, shell):
    words = ["-m", "kerasrecipes", *line.split()]
    answer = shell(*words, PYTHONIOENCODING=encoding, PYTHONUTF8="0")
    assert answer.status == 0 and answer.err == ""
    assert "logistic regression" in answer.out or "--epochs" in answer.out
    assert ESCAPE not in answer.out


@pytest.mark.parametrize(
    "line", ["list", "list --json", f"show {IRIS} --source", "--help"]
)
def test_a_reader_that_leaves(line, folder, settings):
    """As `| head -1` does: with a small text, before anything is flushed."""
    environment = {**os.environ, **settings}
    environment.pop("PYTHONUNBUFFERED", None)
    with subprocess.Popen(
        [sys.executable, "-m", "kerasrecipes", *line.split()],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
    # Rich, which prints the help, calls it a failure.
    assert process.returncode == 0 or line == "--help"
