"""Runs a recipe for a reader: training, report, figures, exit status."""

import contextlib
import hashlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TextIO

from kerasrecipes import catalogue
from kerasrecipes.catalogue import Recipe
from kerasrecipes.engine import (
    cache_folder,
    engine,
    gpus,
    processor,
    versions,
)
from kerasrecipes.experiment.journal import Journal
from kerasrecipes.experiment.report import Report
from kerasrecipes.experiment.trials import (
    MissingTrialError,
    Session,
    trial_key,
    use,
)
from kerasrecipes.files import cannot_write, check_writable, write_file
from kerasrecipes.options import (
    Options,
    UsageError,
    parameters,
    parse,
    size_settings,
)
from kerasrecipes.progress import Bar, Lines, Progress
from kerasrecipes.text import report_lines


def run_script(
    main: Callable[..., Report], path: Path, tokens: list[str]
) -> int:
    """Runs a recipe whose file was started directly.

    Args:
        main: its function of that name.
        path: its file.
        tokens: the words of the command line.

    Returns:
        The exit status.
    """
    recipe = catalogue.read_recipe(path)
    parsed = parse(recipe, tokens, f"python {path.name}")
    if parsed is None:
        return 0
    settings, options = parsed
    if options.backend not in (None, engine()):
        raise UsageError(
            "Keras is loaded already. Say KERAS_BACKEND="
            f"{options.backend} python {sys.argv[0]}"
        )
    if options.device == "cpu" and gpus():
        raise UsageError(
            "Keras sees a GPU already. Say CUDA_VISIBLE_DEVICES=-1 "
            f"JAX_PLATFORMS=cpu python {sys.argv[0]}"
        )
    return run(recipe, main, settings, options)


def run(
    recipe: Recipe,
    main: Callable[..., Report],
    settings: dict,
    options: Options,
) -> int:
    """Runs a recipe and shows its report.

    Args:
        recipe: the recipe.
        main: its function of that name.
        settings: the options of `main` that were given.
        options: the others.

    Returns:
        The exit status: 0, or 1 where a trial failed.
    """
    if engine() not in recipe.backends:
        raise UsageError(
            f"{recipe.name} runs on {', '.join(recipe.backends)}. "
            f"Received: backend {engine()}"
        )
    recorded = catalogue.load_results(recipe, engine())
    if options.recorded and recorded is None:
        raise UsageError(
            f"{recipe.name} has no recorded results on {engine()} yet."
        )
    if options.recorded:
        check_replayable(recipe, recorded)
    out = options.out or _new_folder(Path("runs"), recipe.topic)
    check_writable(out)
    silent = options.json or options.recorded
    session = Session(
        jobs=options.jobs,
        cluster=options.cluster is not None,
        progress=Progress() if silent else progress_for(sys.stderr),
    )
    if options.recorded:
        settings, session.recorded = recorded["settings"], by_key(recorded)
    elif options.quick:
        quick = size_settings(recipe.path, "QUICK")
        for kind in ("variants", "conditions"):
            if kind in quick:
                session.only[kind] = quick.pop(kind)
        settings = {**quick, **settings}
        session.jobs, session.times = options.jobs or 1, False
    elif options.full:
        settings = {**size_settings(recipe.path, "FULL"), **settings}
        say_cost(recorded)
    journal = contextlib.nullcontext()
    if options.full:
        journal = journal_of(session, recipe, settings)
    start = time.perf_counter()
    with connected(options.cluster), journal:
        try:
            report = follow(main, settings, session)
        except MissingTrialError:
            raise stale(recipe) from None
        except Exception:
            if not session.failures:
                raise
            # A report may be impossible without the trials that failed.
            return say_failures(session)
        found = describe(recipe, settings, session, report, start)
        figures: list[Path] = []
        try:
            figures = write_report(out, recipe, found, report)
        finally:  # what was found is shown even where no file can be written
            if options.json:
                print(json.dumps(found, indent=1))
            else:
                show(recipe, found, recorded, figures)
    return say_failures(session)


@contextlib.contextmanager
def connected(address: str | None) -> Iterator[None]:
    """Connects to a Dask cluster as long as the block lasts.

    Args:
        address: of its scheduler; None needs no cluster.

    Raises:
        UsageError: where Dask is not installed, or no scheduler answers.
    """
    if address is None:
        yield
        return
    try:
        from distributed import Client
    except ModuleNotFoundError:
        raise UsageError(
            "--cluster needs Dask. Say: pip install 'kerasrecipes[dask]'"
        ) from None
    try:
        client = Client(address, timeout=10)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UsageError(
            f"No Dask scheduler answers at {address}: {reason}"
        ) from None
    with client:
        yield


def say_failures(session: Session) -> int:
    """Names the trials that failed; returns the exit status."""
    for failure in session.failures:
        print(f"A trial failed: {failure}", file=sys.stderr)
    return 1 if session.failures else 0


def stale(recipe: Recipe) -> UsageError:
    """The error for recorded results that no longer fit their recipe."""
    return UsageError(
        f"{recipe.name} has changed since it was recorded. Run it, or "
        f"`kerasrecipes record {recipe.topic}`."
    )


def check_replayable(recipe: Recipe, recorded: dict) -> None:
    """Refuses recorded trials that the recipe would not give today."""
    names = {parameter.name for parameter in parameters(recipe.path)}
    current = catalogue.fingerprint(recipe.path)
    if (
        recorded["fingerprint"] != current
        or recorded["settings"].keys() - names
    ):
        raise stale(recipe)


@contextlib.contextmanager
def journal_of(
    session: Session,
    recipe: Recipe,
    settings: dict,
    known: dict[str, dict] | None = None,
) -> Iterator[None]:
    """Keeps finished trials until all that is done with them has succeeded.

    Args:
        session: how the trials are run.
        recipe: the recipe.
        settings: the arguments of its `main`.
        known: trials that need not be trained, by key.
    """
    session.journal = _open_journal(recipe, settings)
    if session.journal:
        session.journal.trials |= known or {}
    finished = False
    try:
        yield
        finished = not session.failures
    finally:
        if session.journal:
            session.journal.close(discard=finished)


def follow(
    main: Callable[..., Report], settings: dict, session: Session
) -> Report:
    """Calls a recipe's `main` within a session.

    Args:
        main: the function.
        settings: its arguments.
        session: how its trials are run.
    """
    try:
        with use(session):
            return main(**settings)
    except KeyboardInterrupt:
        kept = "nothing was kept; run it again"
        if session.journal:
            kept = "they are kept; the same command goes on from here"
        done, total = session.progress.done, session.progress.total
        print(
            f"\nStopped with {done} of {total} trials done: {kept}.",
            file=sys.stderr,
        )
        raise


def _open_journal(recipe: Recipe, settings: dict) -> Journal | None:
    """The journal of this very run; None where another one holds it."""
    marks = [catalogue.fingerprint(recipe.path), settings, versions()]
    text = json.dumps(marks, sort_keys=True).encode()
    name = f"{recipe.topic}-{hashlib.sha256(text).hexdigest()[:12]}.jsonl"
    folder = cache_folder() / "journals"
    try:
        return Journal(folder / name)
    except BlockingIOError:
        print(
            "The same run is under way elsewhere: this one keeps no journal.",
            file=sys.stderr,
        )
    except OSError as error:
        print(f"No journal is kept: {error}", file=sys.stderr)
    return None


def progress_for(stream: TextIO) -> Progress:
    """A bar for a terminal, plain lines for a pipe."""
    return Bar() if stream.isatty() else Lines()


def say_cost(recorded: dict | None) -> None:
    """Says what a full run costs before it starts."""
    cost = "how long it takes is not known yet"
    if recorded:
        cost = f"it took {recorded['seconds']:.0f} s when it was recorded, "
        cost += f"on {recorded['cores']} cores"
    print(f"A full run: {cost}.", file=sys.stderr)


def _new_folder(runs: Path, topic: str) -> Path:
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    return runs / f"{topic}-{stamp}-{os.getpid()}"


def by_key(results: dict) -> dict[str, dict]:
    """The trials of recorded results, by their keys."""
    return {
        trial_key(run["function"], run["settings"], trial): {
            part: trial[part] for part in ("scores", "curves", "seconds")
        }
        for run in results["runs"]
        for trial in run["trials"]
    }


def describe(
    recipe: Recipe,
    settings: dict,
    session: Session,
    report: Report,
    start: float,
) -> dict:
    """Everything about a run that goes into its report.json.

    Args:
        recipe: the recipe.
        settings: the arguments that its `main` was given.
        session: how its trials were run.
        report: what it found.
        start: when it started, by `time.perf_counter`.
    """
    defaults = {p.name: p.default for p in parameters(recipe.path)}
    return {
        "recipe": recipe.name,
        "title": recipe.title,
        "fingerprint": catalogue.fingerprint(recipe.path),
        "settings": {**defaults, **settings},
        "backend": engine(),
        "versions": versions(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "seconds": round(time.perf_counter() - start, 1),
        **report.to_dict(),
        "failures": [text.splitlines()[-1] for text in session.failures],
        "runs": session.runs,
    }


def figure_files(folder: Path, topic: str, report: Report) -> list[Path]:
    """Draws the figures into a folder; returns their paths.

    Args:
        folder: the folder.
        topic: the first figure's name; a second one's has a number.
        report: the report.
    """
    paths = []
    for number, figure in enumerate(report.figures, 1):
        path = folder / (
            f"{topic}_{number}.png" if number > 1 else f"{topic}.png"
        )
        with tempfile.TemporaryFile() as file:
            # No version in the file: the same trials give the same bytes.
            figure.savefig(file, dpi=120, metadata={"Software": None})
            file.seek(0)
            write_file(path, file.read())
        paths.append(path)
    return paths


def write_report(
    folder: Path, recipe: Recipe, found: dict, report: Report
) -> list[Path]:
    """Writes report.json and the figures; returns the figures' files.

    Args:
        folder: the folder.
        recipe: the recipe.
        found: what `describe` returned.
        report: the report.

    Raises:
        UsageError: where the folder cannot be written.
    """
    try:
        write_file(folder / "report.json", as_json(found).encode())
        return figure_files(folder, recipe.topic, report)
    except OSError as error:
        raise cannot_write(folder, error) from None


def as_json(found: dict) -> str:
    """Results as JSON, a trial a line: short files, and readable diffs."""
    runs = []
    for one in found["runs"]:
        trials = ",\n".join(json.dumps(trial) for trial in one["trials"])
        head = json.dumps({k: v for k, v in one.items() if k != "trials"})
        runs.append(f'{head[:-1]}, "trials": [\n{trials}\n]}}')
    head = {k: v for k, v in found.items() if k != "runs"}
    text = json.dumps(head, indent=1, ensure_ascii=False)
    body = ",\n".join(runs)
    return f'{text[:-2]},\n "runs": [\n{body}\n]\n}}\n'


def show(
    recipe: Recipe, found: dict, recorded: dict | None, figures: list[Path]
) -> None:
    """Prints a report, in colour where the terminal has it.

    Args:
        recipe: the recipe.
        found: what `describe` returned.
        recorded: the recorded results to set beside it, or None.
        figures: the figures' files.
    """
    from rich.console import Console
    from rich.text import Text

    console = Console(soft_wrap=True)

    def say(line: str, colour: str = "") -> None:
        console.print(Text(line, style=colour))

    settings = ", ".join(f"{k} {v}" for k, v in found["settings"].items())
    say(f"\n{recipe.title}", "bold")
    say(f"{recipe.name} on {found['backend']} ({settings})\n")
    for line, colour in report_lines(found, recorded):
        say(line, colour)
    say("\nA verdict is about this data and this network.")
    if recorded and recorded["fingerprint"] != found["fingerprint"]:
        say("The recipe has changed since its results were recorded.")
    for path in figures:
        say(f"Figure: {path}")
