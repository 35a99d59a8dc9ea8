"""Every recipe's quick run: without the harness, with it, on three backends.

It takes half an hour. A recipe's ways are timed one after the other, with
another recipe on each other core, so that whatever slows the machine slows all
ways; and the recipes stand for the repetitions.
"""

import argparse
import importlib
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest import mock

import joblib
import numpy as np

from benchmarks.timing import row, tell
from kerasrecipes import catalogue
from kerasrecipes.engine import prepare_engine

BACKENDS = ("tensorflow", "jax", "torch")


def train_bare(name):
    """Trains what a quick run trains, as a script of the recipe's own would.

    Prints the seconds that went into finding out what that is.
    """
    module = importlib.import_module(
        f"kerasrecipes.recipes.{name.replace('/', '.')}"
    )
    start = time.perf_counter()
    calls = trials_of(name, module)
    print(time.perf_counter() - start)
    for function, arguments in calls:
        function(**arguments)
    sys.stdout.flush()
    os._exit(0)  # as the command line does: no last collection of garbage


def trials_of(name, module):
    """Functions and arguments of a quick run's trials."""
    from kerasrecipes import running
    from kerasrecipes.experiment import pool
    from kerasrecipes.options import Options

    calls = []

    def note(function, arguments):
        calls.append((function, arguments))
        return {"error": "", "traceback": ""}

    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.object(pool, "run_one", note),
        mock.patch.object(running, "say_failures"),
        mock.patch.object(running, "show"),
    ):
        options = Options(quick=True, jobs=1, out=Path(folder))
        running.run(catalogue.find_recipe(name), module.main, {}, options)
    return calls


def seconds_of(words, backend):
    """Seconds of a Python process, and what it prints."""
    start = time.perf_counter()
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", *words],
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        sys.exit(f"{' '.join(words)} failed:\n{done.stderr}")
    return time.perf_counter() - start, done.stdout


def measure(name):
    """Seconds of a recipe's quick run in every way that it can be run."""
    found = {}
    if "tensorflow" in catalogue.find_recipe(name).backends:
        words = ["benchmarks.cookbook", "--bare", name]
        whole, planning = seconds_of(words, "tensorflow")
        found["bare"] = whole - float(planning.split()[0])
    for backend in BACKENDS:
        if backend in catalogue.find_recipe(name).backends:
            with tempfile.TemporaryDirectory() as out:
                words = ["kerasrecipes", "run", name, "--quick", "--out", out]
                found[backend], _ = seconds_of(words, backend)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("recipes", nargs="*", help="all, where none is named")
    parser.add_argument("--bare", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    prepare_engine()
    if options.bare:
        train_bare(options.recipes[0])
    names = options.recipes or list(catalogue.recipe_paths())
    seconds = []
    with ThreadPoolExecutor(joblib.cpu_count()) as pool:
        for name, found in zip(names, pool.map(measure, names), strict=True):
            seconds.append(found)
            words = [f"{way} {s:.1f}" for way, s in found.items()]
            print(f"{name:45} {', '.join(words)}", file=sys.stderr)
    for way, than in (
        ("tensorflow", "bare"),
        ("jax", "tensorflow"),
        ("torch", "tensorflow"),
    ):
        pairs = [(s[way], s[than]) for s in seconds if {way, than} <= s.keys()]
        total, other = np.sum(pairs, axis=0)
        setting = f"{len(pairs)} recipes: {total:.0f} s, {other:.0f} s"
        subject, peer = f"quick runs, {way}", f"quick runs, {than}"
        tell(row(subject, peer, setting, pairs))


if __name__ == "__main__":
    main()
