"""The same numbers from every process, and no process left behind."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import joblib
import pytest
import small_network
from kitchen import (
    errors,
    lines,
    members,
    start,
    wait_until,
    workers,
    write_recipe,
)
from tiny_trials import die_once, report_process, return_as, score_by_seed

from kerasrecipes import engine
from kerasrecipes.engine import quiet_import
from kerasrecipes.experiment import run_trials
from kerasrecipes.experiment.trials import Session, use

HERE = Path(__file__).parent
IN_A_NEW_PROCESS = """
import json
import small_network
from kerasrecipes.experiment.trials import Session, use

with use(Session(jobs=1)) as session:
    small_network.main(seeds=1)
print(json.dumps(session.runs))
"""

needs_processes = pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="looks at /proc"
)


def results(runs):
    """Scores and curves of every trial, without the seconds it took."""
    return [
        {part: trial[part] for part in trial if part != "seconds"}
        for one in runs
        for trial in one["trials"]
    ]


def run_in(session, *arguments, **settings):
    with use(session):
        return run_trials(*arguments, **settings)


def start_python(*words, folder):
    """Starts Python without what this process has set for its engine."""
    variables = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("OMP_", "TF_", "XLA_", "JAX_"))
    }
    return subprocess.Popen(
        [sys.executable, *words],
        cwd=folder,
        env={**variables, "PYTHONPATH": str(HERE)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_equal_to_the_last_bit_wherever_a_trial_runs(tmp_path):
    words = ("-c", IN_A_NEW_PROCESS)
    new = start_python(*words, folder=tmp_path)
    path = HERE / "small_network.py"
    words = (path, "--seeds", "1", "--jobs", "1", "--json", "--out", "report")
    script = start_python(*words, folder=tmp_path)
    with use(Session(jobs=1)) as here:
        small_network.main()
    with use(Session(jobs=2)) as workers:
        small_network.main()
    expected = results(here.runs)
    assert len(expected) == 2
    assert expected[0]["scores"] != expected[1]["scores"]
    assert results(workers.runs) == expected
    out, err = new.communicate()
    assert new.returncode == 0, err
    assert results(json.loads(out)) == expected[:1]
    out, err = script.communicate()
    assert script.returncode == 0, err
    assert results(json.loads(out)["runs"]) == expected[:1]
    stored = json.loads((tmp_path / "report" / "report.json").read_bytes())
    assert results(stored["runs"]) == expected[:1]


def test_workers_are_other_processes():
    trials = run_in(Session(jobs=2), report_process, seeds=8)
    processes = set(trials.scores("process").values())
    assert os.getpid() not in processes
    assert len(processes) <= 2


def test_one_trial_needs_no_worker():
    trials = run_in(Session(jobs=2), report_process, seeds=1)
    assert trials.scores("process") == {0: os.getpid()}


def test_short_runs_stay_here_unless_jobs_are_asked_for():
    # Starting a worker costs seconds, these trials nothing.
    trials = run_in(Session(jobs=None), report_process, seeds=8)
    assert set(trials.scores("process").values()) == {os.getpid()}


def test_default_jobs(monkeypatch):
    cores = joblib.cpu_count()
    monkeypatch.setattr(engine, "gpus", list)
    assert 1 <= engine.default_jobs() <= cores
    monkeypatch.setattr(engine, "WORKER_BYTES", 1.0)
    assert engine.default_jobs() == cores
    # Where memory is short there is one job still, in this process.
    monkeypatch.setattr(engine, "WORKER_BYTES", 1e18)
    assert engine.default_jobs() in (1, cores)  # unknown outside Linux
    monkeypatch.setattr(engine, "WORKER_BYTES", 1.0)
    monkeypatch.setattr(engine, "gpus", lambda: ["gpu:0"])
    assert engine.default_jobs() == 1


def test_a_trial_that_raises_in_a_worker_is_named():
    session = Session(jobs=2)
    trials = run_in(session, return_as, kind="raises", seeds=4)
    assert [failure.splitlines()[-1] for failure in session.failures] == [
        "return_as (seed 1): RuntimeError: the oven"
    ]
    assert list(trials.scores("score")) == [0, 2, 3]


def test_order_of_the_trials_is_that_of_the_seeds_not_of_their_end():
    variants = {"plain": {}, "better": {"gain": 1.0}}
    workers, here = Session(jobs=2), Session(jobs=1)
    run_in(workers, score_by_seed, variants, seeds=20)
    run_in(here, score_by_seed, variants, seeds=20)
    assert results(workers.runs) == results(here.runs)


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX")
def test_a_killed_worker_costs_no_trial(tmp_path):
    marker = tmp_path / "marker"
    marker.write_text("")
    expected = run_in(Session(jobs=1), die_once, seeds=6, marker=str(marker))
    marker.unlink()
    session = Session(jobs=2)
    trials = run_in(session, die_once, seeds=6, marker=str(marker))
    assert int(marker.read_text()) != os.getpid()
    assert session.failures == []
    assert trials.scores("score") == expected.scores("score")
    assert session.progress.done == 6


@needs_processes
def test_a_trial_that_always_kills_its_worker_fails_alone(tmp_path):
    # The first one: all others are still to come when it dies.
    recipe = write_recipe(tmp_path)
    options = ("--seeds", "2", "--jobs", "2", "--json")
    deadly = json.dumps(["fair", "few", 0])
    process = start(recipe, *options, DEADLY_TRIAL=deadly, TRIAL_SECONDS="0.2")
    assert process.wait() == 1
    report = json.loads((tmp_path / "out.txt").read_text())
    (failure,) = report["failures"]
    assert failure.startswith(
        "train (variant 'fair', condition 'few', seed 0): "
    )
    assert "its worker process died" in failure
    assert failure in errors(recipe)
    assert len(report["runs"][0]["trials"]) == 7


# The end of a run


def start_pool(folder, **variables):
    """Starts a run with two workers, and waits until both are at work."""
    recipe = write_recipe(folder)
    options = ("--seeds", "20", "--jobs", "2", "--json", "--full")
    process = start(recipe, *options, TRIAL_SECONDS="0.3", **variables)
    log = folder / "log.txt"

    def both_work():
        return len({json.loads(line)[3] for line in lines(log)}) == 2

    assert wait_until(both_work), errors(recipe)
    return recipe, process


@needs_processes
def test_killing_the_parent_leaves_no_worker(tmp_path):
    _, process = start_pool(tmp_path)
    assert len(members(process)) >= 3
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert wait_until(lambda: members(process) == [], 10)
    trained = len(lines(tmp_path / "log.txt"))
    assert trained < 80


def check_stopped(recipe, process):
    """Exit 130, one line on what is done, no process and no traceback."""
    assert process.wait() == 130
    assert wait_until(lambda: members(process) == [], 10)
    text = errors(recipe)
    assert " of 80 trials done: they are kept" in text
    assert "Traceback" not in text, text
    assert not (recipe.parent / "report" / "report.json").exists()


@needs_processes
def test_interrupting_the_parent_alone(tmp_path):
    recipe, process = start_pool(tmp_path)
    process.send_signal(signal.SIGINT)
    check_stopped(recipe, process)


@needs_processes
def test_ctrl_c_in_a_terminal_reaches_the_workers_too(tmp_path):
    recipe, process = start_pool(tmp_path)
    os.killpg(process.pid, signal.SIGINT)
    check_stopped(recipe, process)


def is_deaf_to_ctrl_c(number):
    """Whether a process blocks or ignores the signal of Ctrl-C."""
    status = Path(f"/proc/{number}/status").read_text()
    sets = dict(line.split(":\t", 1) for line in status.splitlines())
    bit = 1 << (signal.SIGINT - 1)
    return any(int(sets[name], 16) & bit for name in ("SigBlk", "SigIgn"))


@needs_processes
def test_ctrl_c_while_the_workers_start(tmp_path):
    # They take seconds to load the engine: a likely moment for a typo seen.
    recipe = write_recipe(tmp_path)
    process = start(recipe, "--seeds", "20", "--jobs", "2", "--full")
    assert wait_until(lambda: len(workers(process)) == 2), errors(recipe)
    # From their first moment: else each prints where its imports were.
    assert all(map(is_deaf_to_ctrl_c, workers(process)))
    # They inherit it from their parent, which is deaf while it starts them.
    assert wait_until(lambda: not is_deaf_to_ctrl_c(process.pid))
    os.killpg(process.pid, signal.SIGINT)
    check_stopped(recipe, process)


# Silence while an engine loads


def test_an_import_is_quiet(capfd):
    with quiet_import():
        os.write(2, b"chatter of C++\n")
        print("on stdout")
    os.write(2, b"afterwards\n")
    captured = capfd.readouterr()
    assert captured.err == "afterwards\n"
    assert captured.out == "on stdout\n"


def test_an_import_that_fails_shows_what_was_printed(capfd):
    with pytest.raises(ImportError, match="broken"), quiet_import():
        os.write(2, b"chatter of C++\n")
        raise ImportError("broken")
    os.write(2, b"afterwards\n")
    assert capfd.readouterr().err == "chatter of C++\nafterwards\n"


@needs_processes
def test_an_import_leaves_no_file_open():
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(40):
        with quiet_import():
            pass
    # Other threads may open one or two meanwhile.
    assert len(os.listdir("/proc/self/fd")) < before + 20
