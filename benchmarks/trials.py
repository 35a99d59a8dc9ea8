"""Trials over processes: seconds and memory, at home and on a Dask cluster.

The cluster is a scheduler and workers on this machine, as many as it has cores,
so that what differs is what Dask costs. The extra ``dask`` brings ``psutil``,
which measures the memory.
"""

import importlib.util
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import joblib
import psutil

from benchmarks.timing import curve, tell

RECIPE, SEEDS = "dropout", (1, 3)


def run(recipe, seeds, *how, beside=()):
    """Runs a recipe; returns its report and the most memory, in GB.

    Args:
        recipe: its name.
        seeds: number of seeds.
        *how: further words of the command line.
        beside: processes whose memory counts as well.
    """
    with tempfile.TemporaryDirectory() as out:
        words = ["run", recipe, "--seeds", str(seeds), "--json", "--out", out]
        process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "kerasrecipes", *words, *how],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        most = 0

        def watch():
            nonlocal most
            while process.poll() is None:
                most = max(most, sum(map(memory, (process, *beside))))
                time.sleep(0.5)

        watching = threading.Thread(target=watch)
        watching.start()
        report = json.loads(process.stdout.read())
        watching.join()
    return report, most


def memory(process):
    """Memory of a process and of all that it has started, in GB."""
    total = 0
    try:
        family = psutil.Process(process.pid)
        for one in (family, *family.children(recursive=True)):
            total += one.memory_info().rss
    except psutil.NoSuchProcess:
        pass  # it has just ended, and is counted the next time
    return total / 1e9


def start_cluster(folder, workers):
    """Starts a scheduler and workers; returns processes and address."""
    file = Path(folder, "scheduler.json")
    bare = ["--no-dashboard", "--host", "127.0.0.1"]
    bare += ["--scheduler-file", str(file)]
    commands = [["dask_scheduler", "--port", "0", *bare]]
    worker = ["dask_worker", "--no-nanny", "--nthreads", "1", *bare]
    processes = []
    for module, *words in commands + workers * [worker]:
        processes.append(
            subprocess.Popen(  # noqa: S603
                [sys.executable, "-m", f"distributed.cli.{module}", *words],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        )
        while not file.exists():
            time.sleep(0.1)
    return processes, json.loads(file.read_text())["address"]


def readme_table(rows):
    """Markdown of what was measured, for README.md.

    Args:
        rows: the curves that `main` prints.
    """
    head = ["trials", *(found["subject"] for found in rows)]
    lines = [head, ["---"] * len(head)]
    for place, trials in enumerate(rows[0]["x"]):
        cells = [str(trials)]
        for found in rows:
            seconds = found["seconds"][place]
            cells.append(
                f"{seconds:.0f} s, {60 * trials / seconds:.0f} a minute, "
                f"{found['gigabytes'][place]:.1f} GB"
            )
        lines.append(cells)
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def main():
    processes = joblib.cpu_count()
    with tempfile.TemporaryDirectory() as folder:
        ways = {
            "one process": ("--jobs", "1"),
            f"{processes} processes": ("--jobs", str(processes)),
        }
        cluster = []
        if importlib.util.find_spec("distributed"):
            cluster, address = start_cluster(folder, processes)
            ways[f"{processes} Dask workers"] = ("--cluster", address)
        runs = {way: [] for way in ways}
        for count in SEEDS:
            for way, words in ways.items():
                beside = cluster if "--cluster" in words else ()
                report, gigabytes = run(RECIPE, count, *words, beside=beside)
                trials = sum(len(one["trials"]) for one in report["runs"])
                runs[way].append((trials, report["seconds"], gigabytes))
        for process in cluster:
            process.terminate()
            process.wait()
    for way, found in runs.items():
        trials, seconds, gigabytes = zip(*found, strict=True)
        tell(
            curve(way, "trials", f"of {RECIPE}", trials, seconds)
            | {"gigabytes": [round(each, 1) for each in gigabytes]}
        )


if __name__ == "__main__":
    main()
