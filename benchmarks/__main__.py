"""Runs the benchmarks, prints one table, and keeps what was found.

``python -m benchmarks`` runs all of them, for more than an hour;
``python -m benchmarks peers programs`` runs some. A machine that does nothing
else gives the truest numbers. What is not installed is left out: the extras
``jax``, ``torch``, ``parity`` and ``dask`` bring it.
"""

import argparse
import importlib.metadata
import importlib.util
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

from benchmarks.figures import growth_figures, png, trial_figures
from kerasrecipes.engine import prepare_engine, processor
from kerasrecipes.files import write_file
from kerasrecipes.recording import put_between
from kerasrecipes.text import short

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "data" / "results" / "benchmarks"
BACKENDS = ("tensorflow", "jax", "torch")
# What runs once on every backend, and what runs once.
GROUPS = {
    "peers": BACKENDS,
    "growth": BACKENDS,
    "programs": ("",),
    "trials": ("",),
    "cookbook": ("",),
}
FIGURES = {"growth": growth_figures, "trials": trial_figures}
PACKAGES = ("keras", *BACKENDS, "numpy", "torchrecurrent", "distributed")


def run(group, backend):
    """Runs a group's file, and yields the rows and curves that it prints."""
    environment = dict(os.environ)
    if backend:
        environment["KERAS_BACKEND"] = backend
    with subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", f"benchmarks.{group}"],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        for text in process.stdout:
            yield json.loads(text)
    if process.returncode:
        sys.exit(f"benchmarks.{group} failed ({backend or 'no backend'}).")


def line(found):
    """A row of the table, or a curve, as text."""
    place = " ".join(filter(None, (found["setting"], found["backend"])))
    if "slope" in found:
        return (
            f"{found['subject']:28} over {found['over']:29} {place:36} "
            f"{spread(found['seconds'])}, slope {found['slope']:.2f}"
        )
    low, ratio, high = found["ratio"]
    return (
        f"{found['subject']:28} {found['peer']:34} {place:36} "
        f"{short(1000 * found['ours'][1]):>8} "
        f"{short(1000 * found['theirs'][1]):>8} "
        f"{ratio:6.2f} ({low:.2f} to {high:.2f})"
    )


def spread(seconds):
    """The first and the last of some times, as text."""
    first, last = (short(1000 * one) for one in (seconds[0], seconds[-1]))
    return f"{first} to {last} ms"


def versions():
    """Versions of Python and of the packages that are there."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "groups", nargs="*", metavar="GROUP", help=f"of {', '.join(GROUPS)}"
    )
    groups = parser.parse_args().groups or list(GROUPS)
    for group in groups:
        if group not in GROUPS:
            parser.error(f"GROUP is one of {', '.join(GROUPS)}, not {group!r}")
    prepare_engine()
    print("Milliseconds, ours and the peer's; their ratio (quartiles)")
    for group in groups:
        rows = []
        for backend in GROUPS[group]:
            if backend and importlib.util.find_spec(backend) is None:
                print(f"{group}: {backend} is not installed")
                continue
            for found in run(group, backend):
                print(line(found), flush=True)
                rows.append(found)
        stored = {"processor": processor(), "cores": os.cpu_count()}
        stored |= {"versions": versions(), "rows": rows}
        text = json.dumps(stored, indent=1, ensure_ascii=False) + "\n"
        write_file(RESULTS / f"{group}.json", text.encode())
        if group in FIGURES:
            for name, figure in FIGURES[group](rows).items():
                write_file(RESULTS / f"{name}.png", png(figure))
        if group == "trials":
            from benchmarks.trials import readme_table

            readme = ROOT / "README.md"
            text = readme.read_text(encoding="utf-8")
            text = put_between(text, group, readme_table(rows))
            write_file(readme, text.encode())


if __name__ == "__main__":
    main()
