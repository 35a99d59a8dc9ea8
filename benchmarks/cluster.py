"""Trials a minute, and memory: local processes against a Dask cluster.

Run with ``python -m benchmarks.cluster``, with the extra ``dask``. The cluster
is a scheduler and workers on this machine, as many as there are jobs, so that
what differs is what Dask costs.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil

RECIPE = "dropout"


def run(recipe, seeds, *how):
    """Runs a recipe; returns its report and the most memory, in GB."""
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
                most = max(most, memory())
                time.sleep(0.5)

        watching = threading.Thread(target=watch)
        watching.start()
        report = json.loads(process.stdout.read())
        watching.join()
    return report, most


def memory():
    """Memory of everything that this benchmark has started, in GB."""
    total = 0
    for process in psutil.Process().children(recursive=True):
        try:
            total += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue  # it has just ended
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


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 3, 10])
    jobs = parser.parse_args().jobs
    seeds = parser.parse_args().seeds
    with tempfile.TemporaryDirectory() as folder:
        cluster, address = start_cluster(folder, jobs)
        ways = {
            "one process": ("--jobs", "1"),
            f"{jobs} processes": ("--jobs", str(jobs)),
            f"{jobs} Dask workers": ("--cluster", address),
        }
        print(f"{RECIPE}: {'trials':>6} {'way':16} {'s':>6} {'per min':>8} GB")
        for count in seeds:
            for way, words in ways.items():
                report, gigabytes = run(RECIPE, count, *words)
                trials = sum(len(one["trials"]) for one in report["runs"])
                seconds = report["seconds"]
                print(
                    f"{'':{len(RECIPE)}}  {trials:6} {way:16} {seconds:6.1f} "
                    f"{60 * trials / seconds:8.1f} {gigabytes:.1f}"
                )
        for process in cluster:
            process.terminate()
            process.wait()


if __name__ == "__main__":
    main()
