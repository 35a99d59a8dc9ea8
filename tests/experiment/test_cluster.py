"""Trials on a Dask cluster of two workers, one of which is killed."""

import json
import os
import signal
import subprocess
import sys

import pytest
from kitchen import (
    defaults,
    errors,
    lines,
    start,
    wait_until,
    write_recipe,
)

pytest.importorskip("distributed", reason="the extra `dask` is not installed")


@pytest.fixture
def cluster(tmp_path):
    """A scheduler and two workers, which know the stand-in for Keras.

    Returns the scheduler's address and the workers' processes.
    """
    write_recipe(tmp_path)
    file = tmp_path / "scheduler.json"
    where = ["--scheduler-file", str(file)]
    bare = ["--no-dashboard", "--host", "127.0.0.1", *where]
    commands = [["dask_scheduler", "--port", "0", *bare]]
    commands += 2 * [["dask_worker", "--no-nanny", "--nthreads", "1", *bare]]
    variables = {
        **os.environ,
        **defaults(tmp_path),
        "PYTHONPATH": str(tmp_path),
        "TRIAL_SECONDS": "0.3",
    }
    processes = []
    with open(tmp_path / "cluster.txt", "w") as log:
        for module, *words in commands:
            program = [sys.executable, "-m", f"distributed.cli.{module}"]
            processes.append(
                subprocess.Popen(
                    [*program, *words],
                    cwd=tmp_path,
                    env=variables,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            )
            assert wait_until(file.exists), log.name
    yield json.loads(file.read_text())["address"], processes[1:]
    for process in processes:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def report(folder):
    """The trials of a run that `start` began, but for their times."""
    found = json.loads((folder / "report/report.json").read_text())
    return [
        {part: trial[part] for part in trial if part != "seconds"}
        for trial in found["runs"][0]["trials"]
    ], found["failures"]


def test_a_killed_worker_costs_no_trial_and_changes_no_number(
    cluster, tmp_path
):
    address, workers = cluster
    path, log = tmp_path / "dice.py", tmp_path / "log.txt"
    process = start(path, "--cluster", address, "--seeds", "6")
    # Two processes beside the workers start first.
    assert wait_until(lambda: len(lines(log)) >= 6, 120), errors(path)
    os.kill(workers[0].pid, signal.SIGKILL)
    assert process.wait(timeout=120) == 0, errors(path)
    trials, failures = report(tmp_path)
    assert len(trials) == 24 and failures == []
    # Two processes had trials, and neither was a worker or the run itself.
    used = {json.loads(line)[3] for line in lines(log)}
    assert len(used) == 2
    assert not used & {process.pid, *(worker.pid for worker in workers)}
    # What the dead worker was at is done again, and nothing else.
    assert 24 <= len(lines(log)) <= 26

    here = start(path, "--jobs", "1", "--seeds", "6")
    assert here.wait(timeout=120) == 0, errors(path)
    assert report(tmp_path) == (trials, [])


def test_a_trial_that_kills_its_process_fails_alone(cluster, tmp_path):
    """The worker starts another process for the next trial."""
    address, workers = cluster
    path = tmp_path / "dice.py"
    deadly = json.dumps(["loaded", "few", 1])
    # The workers know of no deadly trial: the recipe is told by its words.
    asked = 'os.environ.get("DEADLY_TRIAL")'
    path.write_text(path.read_text().replace(asked, repr(deadly)))
    process = start(path, "--cluster", address)
    assert process.wait(timeout=120) == 1, errors(path)
    trials, (failure,) = report(tmp_path)
    assert len(trials) == 11
    assert "(variant 'loaded', condition 'few', seed 1)" in failure
    assert "its worker process died" in failure
    assert all(worker.poll() is None for worker in workers)


def test_no_scheduler_at_the_address(tmp_path):
    path = write_recipe(tmp_path)
    for address in ("tcp://127.0.0.1:9", "nowhere at all"):
        process = start(path, "--cluster", address)
        assert process.wait(timeout=60) == 2
        last = errors(path).splitlines()[-1]
        assert last.startswith("kerasrecipes: No Dask scheduler answers at ")
        assert "Traceback" not in errors(path)
        assert not (tmp_path / "log.txt").exists()
