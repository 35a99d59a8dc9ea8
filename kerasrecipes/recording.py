"""Records a recipe's results, and checks what was recorded."""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from kerasrecipes import catalogue
from kerasrecipes.catalogue import Recipe
from kerasrecipes.engine import engine, processor, versions
from kerasrecipes.experiment.report import Report
from kerasrecipes.experiment.trials import (
    MissingTrialError,
    Session,
    trial_key,
    use,
)
from kerasrecipes.files import cannot_write, check_writable, write_file
from kerasrecipes.options import UsageError, parameters, size_settings
from kerasrecipes.running import (
    as_json,
    by_key,
    describe,
    figure_files,
    follow,
    journal_of,
    progress_for,
    say_cost,
    say_failures,
    show,
)
from kerasrecipes.text import markdown, report_lines

EXAMPLE = "iris_baseline"  # whose run the README shows


def data_hashes(main: Callable) -> dict[str, str]:
    """Hash of every data set whose loader the recipe imports.

    Raises:
        UsageError: where a file of them is missing or damaged.
    """
    names = [
        name.removeprefix("load_")
        for name, value in main.__globals__.items()
        if getattr(value, "__module__", "").startswith("kerasrecipes.datasets")
        and name.startswith("load_")
    ]
    datasets = sys.modules.get("kerasrecipes.datasets")
    try:
        return {name: datasets.data_hash(name) for name in sorted(names)}
    except (OSError, ValueError) as error:
        raise UsageError(str(error)) from None


def record(
    recipe: Recipe, main: Callable[..., Report], seeds: int, jobs: int | None
) -> int:
    """Runs FULL and writes what a reader sees without running anything.

    Trials that are recorded already are kept where nothing that they depend
    on has changed: a new claim or figure costs no training.

    Args:
        recipe: the recipe, in a checkout.
        main: its function of that name.
        seeds: number of seeds, unless FULL asks for more.
        jobs: see `Session`.

    Returns:
        The exit status.
    """
    target = recipe.results(engine())
    check_writable(target.parent)
    settings = recording_settings(recipe, seeds)
    stored = catalogue.load_results(recipe, engine())
    known = by_key(stored) if stored and still_true(stored, recipe) else {}
    data = data_hashes(main)
    say_cost(stored)
    session = Session(jobs=jobs, progress=progress_for(sys.stderr))
    start = time.perf_counter()
    with journal_of(session, recipe, settings, known):
        report = follow(main, settings, session)
        if say_failures(session):
            print("Nothing was recorded.", file=sys.stderr)
            return 1
        found = describe(recipe, settings, session, report, start)
        found["data"] = data
        if known:
            # What recording everything costs, not what was new this time.
            new = by_key(found).keys() - known.keys()
            fresh = found["seconds"] if new else 0
            found["seconds"] = round(stored["seconds"] + fresh, 1)
        try:
            figures = figure_files(target.parent, target.stem, report)
            names = [path.name for path in figures]
            text = markdown(recipe.title, report.to_dict(), names)
            write_file(target.with_suffix(".md"), text.encode())
            write_file(target, catalogue.seal(as_json(found)).encode())
            write_indexes()
        except OSError as error:
            raise cannot_write(target.parent, error) from None
    show(recipe, found, None, figures)
    print(f"Recorded: {target}")
    return 0


def write_indexes() -> None:
    """Brings recipes/README.md and the README's questions up to date."""
    for path, text in indexes().items():
        write_file(path, text.encode())


def indexes() -> dict[Path, str]:
    """What the generated index files should contain."""
    recipes = catalogue.all_recipes()
    readme = catalogue.RECIPES.parent / "README.md"
    text = readme.read_text(encoding="utf-8")
    parts = {
        "questions": index_by_question(recipes, "recipes/"),
        "run": "".join(example_run(r) for r in recipes if r.topic == EXAMPLE),
    }
    for name, part in parts.items():
        text = put_between(text, name, part)
    return {
        catalogue.RECIPES / "README.md": index_by_chapter(recipes),
        readme: text,
    }


def put_between(text: str, name: str, part: str) -> str:
    """Puts a part between its two marks in a Markdown text.

    Args:
        text: has the lines `<!-- NAME -->` and `<!-- end of NAME -->`.
        name: the name in them.
        part: what is to stand between them, in whole lines.
    """
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    head, _, rest = text.partition(begin)
    return f"{head}{begin}{part}{end}{rest.partition(end)[2]}"


def example_run(recipe: Recipe) -> str:
    """Markdown of what a recorded run of a recipe printed."""
    results = catalogue.load_results(recipe)
    if results is None:
        return ""
    lines = [f"$ kerasrecipes run {recipe.topic} --full", ""]
    lines += [line for line, _ in report_lines(results)]
    return "\n".join(["```", *lines, "```", ""])


def index_by_question(recipes: list[Recipe], prefix: str = "") -> str:
    """Markdown table of the recipes' questions, the simplest first."""
    rows = ["| question | recipe | level |", "| --- | --- | --- |"]
    for recipe in sorted(
        recipes, key=lambda r: catalogue.LEVELS.index(r.level)
    ):
        link = f"[{recipe.name}]({prefix}{recipe.name}.py)"
        rows.append(f"| {recipe.question} | {link} | {recipe.level} |")
    return "\n".join(rows) + "\n"


def index_by_chapter(recipes: list[Recipe]) -> str:
    """The text of recipes/README.md: every recipe, by chapter."""
    parts = ["# Recipes\n", "By question:\n", index_by_question(recipes)]
    for chapter in dict.fromkeys(recipe.chapter for recipe in recipes):
        parts.append(f"## {chapter}\n")
        parts += [
            f"- [{r.title}]({r.name}.py) "
            f"([results](../data/results/{r.name}.md)): {r.question}"
            for r in recipes
            if r.chapter == chapter
        ]
        parts.append("")
    return "\n".join(parts)


def still_true(stored: dict, recipe: Recipe) -> bool:
    """Whether recorded trials are what training would give here and now."""
    now = catalogue.fingerprint(recipe.path), versions(), processor()
    return now == tuple(
        stored[mark] for mark in ("fingerprint", "versions", "processor")
    )


def recording_settings(recipe: Recipe, seeds: int) -> dict:
    """Settings of a recording: FULL, with that many seeds at least."""
    settings = size_settings(recipe.path, "FULL")
    if any(p.name == "seeds" for p in parameters(recipe.path)):
        settings["seeds"] = max(seeds, settings.get("seeds", 0))
    return settings


def check_recording(recipe: Recipe, main: Callable[..., Report]) -> list[str]:
    """What is wrong with a recipe's recorded results, without training.

    Args:
        recipe: the recipe.
        main: its function of that name.

    Returns:
        A line for each fault; none where all is well.
    """
    stored = catalogue.load_results(recipe, engine())
    if stored is None:
        return [f"{recipe.name} has no recorded results."]
    faults = []
    if stored["fingerprint"] != catalogue.fingerprint(recipe.path):
        faults.append("what its trials depend on has changed")
    defaults = {p.name: p.default for p in parameters(recipe.path)}
    wanted = {**defaults, **recording_settings(recipe, 10)}
    kept = stored["settings"]
    if "seeds" in wanted:  # more of them are as good
        wanted["seeds"] = max(wanted["seeds"], kept.get("seeds", 0))
    if kept != wanted:
        faults.append(f"its settings are now {wanted}, and were {kept}")
    if stored["data"] != data_hashes(main):
        faults.append("its data has changed")
    replay = {}
    if set(kept) == set(defaults):
        try:
            with use(Session(recorded=by_key(stored))):
                replay = main(**kept).to_dict()
        except MissingTrialError as error:
            faults.append(f"it has no recorded trial {error}")
        except KeyError as error:
            faults.append(f"its trials do not serve it: {error.args[0]}")
    for part, value in replay.items():
        # Through JSON, as the stored one was.
        if json.loads(json.dumps(value)) != stored[part]:
            faults.append(f"its {part} differ from what the trials say")
    return [f"{recipe.name}: {fault}." for fault in faults]


class _Kept:
    """A journal in memory: the trials it does not know are trained."""

    def __init__(self, trials: dict[str, dict]):
        self.trials = trials
        self.new: dict[str, dict] = {}

    def add(self, key: str, trial: dict) -> None:
        self.new[key] = trial


def retrain_one(recipe: Recipe, main: Callable[..., Report]) -> list[str]:
    """Trains a recorded trial again and compares its scores.

    Equal to six digits on the processor and versions of the recording, else
    within the range of the recorded seeds, widened by its own width.

    Args:
        recipe: the recipe.
        main: its function of that name.

    Returns:
        A line for each score that is off.
    """
    stored = catalogue.load_results(recipe, engine())
    same = (stored["processor"], stored["versions"]) == (
        processor(),
        versions(),
    )
    runs = [one for one in stored["runs"] if not one["timing"]]
    longest = max(runs, key=lambda one: len(one["trials"]))
    old = longest["trials"][0]
    key = trial_key(longest["function"], longest["settings"], old)
    known = by_key(stored)
    del known[key]
    again = _Kept(known)
    session = Session(jobs=1, journal=again)
    with use(session):
        main(**stored["settings"])
    if session.failures:
        return session.failures
    faults = []
    for score, value in again.new[key]["scores"].items():
        seen = [
            trial["scores"][score]
            for trial in longest["trials"]
            if (trial["variant"], trial["condition"])
            == (old["variant"], old["condition"])
        ]
        width = max(seen) - min(seen)
        off = abs(value - old["scores"][score])
        good = off <= 1e-6 * abs(value) + 1e-9
        if not same:
            good = min(seen) - width <= value <= max(seen) + width
        if not good:
            faults.append(
                f"{recipe.name}: {key}: {score} was {old['scores'][score]}, "
                f"and is now {value}."
            )
    return faults
