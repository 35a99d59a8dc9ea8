"""The command `kerasrecipes`: list, show, run, copy and record recipes."""

import importlib
import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from kerasrecipes import catalogue
from kerasrecipes.catalogue import BACKENDS, LEVELS, Recipe
from kerasrecipes.options import Count, UsageError, bind, guarded, parse

TITLES = {"tensorflow": "TensorFlow", "jax": "JAX", "torch": "PyTorch"}

app = App(
    name="kerasrecipes",
    help="Deep learning recipes for Keras 3 that measure what they claim.",
    version=lambda: version(),  # looked up when asked for: it is slow
    result_action="return_value",
)
Text = Annotated[str | None, Parameter(show_default=False)]
Flag = Annotated[bool, Parameter(negative="")]
AsJson = Annotated[bool, Parameter(name="--json", negative="")]


def version() -> str:
    """The version that is installed."""
    import importlib.metadata

    return importlib.metadata.version("kerasrecipes")


def load(recipe: Recipe):
    """Imports a recipe, and with it Keras and its engine.

    Args:
        recipe: the recipe.

    Raises:
        UsageError: where the engine, or a package that the recipe needs, is
            not installed.
    """
    from kerasrecipes.engine import load_engine, quiet_import

    backend = prepare_backend()
    print(f"loading {TITLES[backend]} ...", file=sys.stderr, flush=True)
    load_engine()
    name = f"kerasrecipes.recipes.{recipe.chapter}.{recipe.topic}"
    try:
        with quiet_import():
            return importlib.import_module(name)
    except ModuleNotFoundError as error:
        extra = recipe.fields.get("extras")
        if extra is None or error.name.startswith("kerasrecipes"):
            raise
        raise UsageError(
            f"{recipe.name} needs {error.name}. "
            f"Say: pip install 'kerasrecipes[{extra}]'"
        ) from None


def prepare_backend() -> str:
    """Settles which engine Keras will load, and makes sure that it can.

    Returns:
        The engine's name.

    Raises:
        UsageError: where the engine is unknown or not installed.
    """
    from kerasrecipes.engine import prepare_engine

    backend = os.environ.get("KERAS_BACKEND") or "tensorflow"
    if backend not in BACKENDS:
        raise UsageError(
            f"Expected KERAS_BACKEND to be one of {', '.join(BACKENDS)}. "
            f"Received: {backend}"
        )
    os.environ["KERAS_BACKEND"] = backend
    if importlib.util.find_spec(backend) is None:
        raise UsageError(
            f"{TITLES[backend]} is not installed. "
            f"Say: pip install 'kerasrecipes[{backend}]'"
        )
    prepare_engine()
    return backend


@app.command(help_flags=[], version_flags=[])
def run(
    name: str,
    *tokens: Annotated[str, Parameter(allow_leading_hyphen=True)],
) -> int:
    """Trains a recipe's variants and prints what was found.

    `kerasrecipes run NAME --help` shows the recipe's story and options.

    Args:
        name: a topic, or chapter/topic; see `list`.
        tokens: the recipe's options.
    """
    recipe = catalogue.find_recipe(name)
    parsed = parse(recipe, list(tokens), f"kerasrecipes run {recipe.topic}")
    if parsed is None:
        return 0
    settings, options = parsed
    if options.backend:
        os.environ["KERAS_BACKEND"] = options.backend
    if options.device == "cpu":
        from kerasrecipes.engine import hide_gpus

        hide_gpus()
    module = load(recipe)
    from kerasrecipes import running

    return running.run(recipe, module.main, settings, options)


@app.command(name="list")
def list_recipes(
    *,
    chapter: Text = None,
    level: Literal[LEVELS] | None = None,
    uses: Text = None,
    search: Text = None,
    as_json: AsJson = False,
) -> int:
    """Lists the recipes by chapter, with what their recording found.

    Args:
        chapter: only the recipes of this chapter.
        level: only the recipes of this level.
        uses: only the recipes that use this name, such as SeedGenerator.
        search: only the recipes with this word in title, question or story.
        as_json: prints everything as JSON.
    """
    recipes = catalogue.all_recipes()
    chapters = dict.fromkeys(recipe.chapter for recipe in recipes)
    if chapter not in (None, *chapters):
        raise UsageError(
            f"Expected --chapter to be one of {', '.join(chapters)}. "
            f"Received: {chapter}"
        )

    def wanted(recipe: Recipe) -> bool:
        text = " ".join((recipe.title, recipe.question, recipe.story))
        return (
            chapter in (None, recipe.chapter)
            and level in (None, recipe.level)
            and (search is None or search.casefold() in text.casefold())
            and (uses is None or uses in catalogue.symbols(recipe.path))
        )

    rows = [summary(recipe) for recipe in recipes if wanted(recipe)]
    if as_json:
        print(json.dumps(rows, indent=1))
        return 0
    shown = None
    width = max((len(row["topic"]) for row in rows), default=0)
    for row in rows:
        if row["chapter"] != shown:
            print(f"{'' if shown is None else chr(10)}{row['chapter']}")
            shown = row["chapter"]
        print(f"  {row['topic'].ljust(width)}  {row['title']} ({row['level']})")
        print(f"  {' ' * width}  {row['found']}")
    if not rows:
        print("No recipe is like that.", file=sys.stderr)
    return 0


def summary(recipe: Recipe) -> dict:
    """What `list` says of a recipe."""
    row = {
        "name": recipe.name,
        "chapter": recipe.chapter,
        "topic": recipe.topic,
        "title": recipe.title,
        "question": recipe.question,
        "level": recipe.level,
        "backends": recipe.backends,
        "seconds": None,
        "verdicts": {},
        "found": "not recorded yet",
    }
    results = catalogue.load_results(recipe, trials=False)
    if results:
        counts: dict[str, int] = {}
        for claim in results["claims"]:
            outcome = claim["outcome"]
            counts[outcome] = counts.get(outcome, 0) + 1
        row["seconds"] = results["seconds"]
        row["verdicts"] = counts
        found = ", ".join(f"{n} {outcome}" for outcome, n in counts.items())
        row["found"] = f"{found}; recorded in {results['seconds']:.0f} s"
    return row


@app.command
def show(
    name: str,
    *,
    source: Flag = False,
) -> int:
    """Prints a recipe's story and its recorded results.

    Args:
        name: a topic, or chapter/topic.
        source: prints the recipe's file instead.
    """
    import shutil
    import textwrap

    from kerasrecipes.text import plain_text, report_lines

    recipe = catalogue.find_recipe(name)
    if source:
        print(recipe.path.read_text(encoding="utf-8"), end="")
        return 0
    width = min(shutil.get_terminal_size().columns, 80)
    print(f"{recipe.title}\n{'=' * len(recipe.title)}\n")
    for paragraph in plain_text(recipe.story).split("\n\n"):
        indented = paragraph.startswith(" ")
        print(paragraph if indented else textwrap.fill(paragraph, width))
        print()
    for field, value in recipe.fields.items():
        print(f"{field}: {value}")
    results = catalogue.load_results(recipe)
    print()
    if results is None:
        print(f"Not recorded yet. Say: kerasrecipes run {recipe.topic}")
        return 0
    for line, _ in report_lines(results):
        print(line)
    packages = ", ".join(f"{k} {v}" for k, v in results["versions"].items())
    print(
        f"\nRecorded in {results['seconds']:.0f} s on {results['cores']} cores"
    )
    print(f"of {results['processor']} with {packages}.")
    if results["fingerprint"] != catalogue.fingerprint(recipe.path):
        print("It has changed since it was recorded.")
    return 0


@app.command(name="copy")
def copy_files(
    *names: str,
    to: Path = Path(),
    helpers: str = "recipe_helpers",
    notebook: Flag = False,
    dry_run: Flag = False,
    diff: Flag = False,
    force: Flag = False,
) -> int:
    """Copies recipes or helpers into your project, as files that are yours.

    A recipe comes without its claims and its `main`, and brings the helpers
    that it uses. The copies need no kerasrecipes.

    Args:
        names: topics, or names of helpers such as LocalResponseNormalization.
        to: the folder that they go to.
        helpers: name of the package for helpers in that folder.
        notebook: writes each recipe as one notebook that stands alone.
        dry_run: lists what would be written, and writes nothing.
        diff: shows what is new since you copied, and writes nothing; the
            exit status is 1 where something is.
        force: overwrites files that differ.
    """
    from kerasrecipes import copying

    if not names:
        raise UsageError("Expected a recipe or a helper. See `list`.")
    planned = copying.plan(names, helpers, notebook)
    copying.check_places(planned, to)
    states = [copying.state(copy, to) for copy in planned]
    if not (dry_run or diff):
        copying.write_copies(planned, to, force)
    for copy, state in zip(planned, states, strict=True):
        print(f"{to / copy.path}  ({state})")
        difference = copying.difference(copy, to) if diff else ""
        if difference:
            print(difference)
    return 1 if diff and set(states) - {"up to date"} else 0


@app.command
def info() -> int:
    """Prints versions, backend, devices and Keras' settings."""
    from kerasrecipes import engine

    prepare_backend()
    with engine.quiet_import():
        import keras

        devices = engine.gpus() or [f"CPU: {engine.processor()}"]
    lines = engine.versions() | {
        "backend": engine.engine(),
        "devices": ", ".join(devices),
        "cores": os.cpu_count(),
        "floatx": keras.config.floatx(),
        "epsilon": keras.config.epsilon(),
        "data format": keras.config.image_data_format(),
        "recipes": catalogue.RECIPES,
    }
    for key, value in lines.items():
        print(f"{key:<12}  {value}")
    return 0


@app.command
def record(
    name: str,
    *,
    seeds: Count = 10,
    jobs: Count | None = None,
    backend: Literal[BACKENDS] | None = None,
    check: Flag = False,
) -> int:
    """Runs a recipe in full and stores its results, in a checkout.

    Args:
        name: a topic, or chapter/topic.
        seeds: number of seeds; 10 at least.
        jobs: processes at a time; by default what pays.
        backend: the engine under Keras; TensorFlow by default.
        check: compares the stored results with the recipe and trains one
            of its trials again, in place of recording.
    """
    recipe = catalogue.find_recipe(name)
    if not catalogue.IN_CHECKOUT:
        raise UsageError("Results are recorded in a checkout of kerasrecipes.")
    if seeds < 10:
        raise UsageError(f"Expected --seeds to be at least 10: {seeds}")
    if backend:
        os.environ["KERAS_BACKEND"] = backend
    module = load(recipe)
    from kerasrecipes import recording

    if not check:
        return recording.record(recipe, module.main, seeds, jobs)
    faults = recording.check_recording(recipe, module.main)
    faults = faults or recording.retrain_one(recipe, module.main)
    for fault in faults:
        print(fault, file=sys.stderr)
    print(f"{recipe.name}: {'NOT ' if faults else ''}as recorded")
    return 1 if faults else 0


@app.command(name="--install-completion")
def install_completion(
    *, shell: Literal["bash", "zsh", "fish"] | None = None
) -> int:
    """Sets up completion by the Tab key.

    Args:
        shell: the shell; the one in use by default.
    """
    path = app.install_completion(shell=shell)
    print(f"Written to {path}. Start a new shell to use it.")
    return 0


def main() -> None:
    """Runs the command line and ends with its exit status."""
    from kerasrecipes.engine import leave

    leave(guarded(dispatch, sys.argv[1:]))


def dispatch(tokens: list[str]) -> int | None:
    """Finds the command that the words name, and calls it."""
    if tokens in (["run"], ["run", "--help"], ["run", "-h"]):
        # `run` leaves --help to the recipe that follows it.
        return app.help_print(["run"])
    command, bound = bind(app, tokens)
    return command(*bound.args, **bound.kwargs)
