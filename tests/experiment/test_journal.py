"""A killed run goes on: nothing finished is lost, nothing trained twice."""

import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kitchen import (
    defaults,
    errors,
    lines,
    members,
    start,
    wait_until,
    workers,
    write_recipe,
)

from kerasrecipes.catalogue import read_recipe
from kerasrecipes.engine import cache_folder
from kerasrecipes.experiment.journal import Journal
from kerasrecipes.experiment.trials import Session
from kerasrecipes.running import follow, journal_of

HERE = Path(__file__).parent

needs_locks = pytest.mark.skipif(
    os.name != "posix", reason="locks and kills are POSIX"
)
needs_processes = pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="looks at /proc"
)
few = settings(max_examples=30, deadline=None)
floats = st.floats(allow_nan=False, allow_infinity=False)
finished_trials = st.dictionaries(
    st.text(min_size=1), floats, min_size=1, max_size=4
)


def made_of(score):
    return {"scores": {"score": score}, "curves": {}, "seconds": 0.5}


def write_journal(path, trials):
    journal = Journal(path)
    for key, trial in trials.items():
        journal.add(key, trial)
    journal.close(discard=False)


def read_journal(path):
    journal = Journal(path)
    journal.close(discard=False)
    return journal.trials


# The file


@few
@given(finished_trials)
def test_every_number_comes_back_exactly(scores):
    trials = {key: made_of(score) for key, score in scores.items()}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "deep", "journal")
        write_journal(path, trials)
        assert read_journal(path) == trials


def test_an_empty_journal(tmp_path):
    assert read_journal(tmp_path / "journal") == {}
    assert read_journal(tmp_path / "journal") == {}


def test_what_was_added_is_known_at_once(tmp_path):
    journal = Journal(tmp_path / "journal")
    journal.add("key", made_of(1 / 3))
    assert journal.trials == {"key": made_of(1 / 3)}
    # On disk as well, before `add` returns.
    assert b"0.3333333333333333" in (tmp_path / "journal").read_bytes()
    journal.close(discard=False)


def test_the_latest_of_two_lines_counts(tmp_path):
    path = tmp_path / "journal"
    write_journal(path, {"key": made_of(1.0)})
    write_journal(path, {"key": made_of(2.0)})
    assert read_journal(path) == {"key": made_of(2.0)}


def test_close_keeps_or_discards(tmp_path):
    path = tmp_path / "journal"
    Journal(path).close(discard=False)
    assert path.exists()
    Journal(path).close(discard=True)
    assert not path.exists()


FOUR = {f"trial {number}": made_of(number / 7) for number in range(4)}


def four_trials(folder):
    """A journal of four trials, its bytes, and where each line ends."""
    path = Path(folder, "journal")
    write_journal(path, FOUR)
    content = path.read_bytes()
    ends = [
        position + 1
        for position, byte in enumerate(content)
        if byte == ord("\n") and content[position + 1 : position + 2] != b"\n"
    ]
    assert len(ends) == 4
    return path, content, ends


@few
@given(st.floats(0, 1))
def test_a_cut_costs_the_torn_line_at_most(share):
    with tempfile.TemporaryDirectory() as folder:
        path, content, ends = four_trials(folder)
        cut = round(share * len(content))
        path.write_bytes(content[:cut])
        whole = sum(end <= cut for end in ends)
        expected = dict(list(FOUR.items())[:whole])
        found = read_journal(path)
        # Cut within the line's own end it may still be whole.
        assert found in (expected, dict(list(FOUR.items())[: whole + 1]))
        # What is written afterwards does not glue itself to the torn line.
        write_journal(path, {"new": made_of(9.0)})
        assert read_journal(path) == {**found, "new": made_of(9.0)}


@few
@given(st.floats(0, 1, exclude_max=True), st.integers(1, 255))
def test_a_flipped_byte_costs_one_line_at_most(share, change):
    with tempfile.TemporaryDirectory() as folder:
        path, content, ends = four_trials(folder)
        place = int(share * len(content))
        damaged = bytearray(content)
        damaged[place] ^= change
        path.write_bytes(damaged)
        own = sum(end <= place for end in ends)
        found = read_journal(path)
        for number, (key, trial) in enumerate(FOUR.items()):
            # Never a wrong number: the right one, or for its line none.
            assert found.get(key, trial) == trial
            # A line's end may be what was flipped: the next one is lost then.
            assert key in found or number in (own, own + 1)
        assert set(found) <= set(FOUR)
        assert len(found) >= len(FOUR) - 1


def test_every_byte_of_a_line_break_may_flip(tmp_path):
    # The rarest hit for hypothesis, and the one that could glue two lines.
    path, content, _ = four_trials(tmp_path)
    for place, byte in enumerate(content):
        if byte != ord("\n"):
            continue
        damaged = bytearray(content)
        damaged[place] ^= 64
        path.write_bytes(damaged)
        assert len(read_journal(path)) >= 3, place


def test_rubbish_is_no_trial(tmp_path):
    path = tmp_path / "journal"
    path.write_bytes(b"\x00\xff\n\n 12\nrubbish\ndeadbeef {}\n")
    write_journal(path, {"key": made_of(1.0)})
    assert read_journal(path) == {"key": made_of(1.0)}


@needs_locks
def test_one_writer_at_a_time(tmp_path):
    path = tmp_path / "journal"
    journal = Journal(path)
    journal.add("key", made_of(1.0))
    with pytest.raises(BlockingIOError):
        Journal(path)
    journal.close(discard=False)
    assert read_journal(path) == {"key": made_of(1.0)}


@needs_locks
def test_the_lock_goes_with_its_holder(tmp_path):
    path = tmp_path / "journal"
    text = (
        "import sys, time; from kerasrecipes.experiment.journal import *;"
        "journal = Journal(sys.argv[1]);"
        "journal.add('key', {}); print('locked', flush=True); time.sleep(99)"
    )
    words = [sys.executable, "-c", text, str(path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as holder:
        holder.stdout.readline()
        with pytest.raises(BlockingIOError):
            Journal(path)
        holder.kill()
    assert read_journal(path) == {"key": {}}


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError):
        Journal(tmp_path / "file" / "journal")


# Runs with a journal


@pytest.fixture
def kitchen_at(tmp_path, monkeypatch):
    """A recipe and its module, with cache and log in a folder of its own."""
    path = write_recipe(tmp_path)
    for name, value in defaults(tmp_path).items():
        monkeypatch.setenv(name, value)
    specification = importlib.util.spec_from_file_location("dice", path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return read_recipe(path), module


def follow_with_journal(recipe, main, given, session):
    with journal_of(session, recipe, given):
        return follow(main, given, session)


def run_with_journal(recipe, module, seeds=3, **more):
    session = Session(jobs=1, **more)
    given = {"seeds": seeds}
    return session, follow_with_journal(recipe, module.main, given, session)


def journals(folder):
    return sorted((folder / "cache" / "kerasrecipes" / "journals").iterdir())


def places(session):
    return [
        (trial["variant"], trial["condition"], trial["seed"])
        for trial in session.runs[0]["trials"]
    ]


def results(runs):
    return [
        {part: trial[part] for part in trial if part != "seconds"}
        for trial in runs[0]["trials"]
    ]


def logged(folder):
    """The trials that were started: variant, condition and seed."""
    return [tuple(json.loads(line)[:3]) for line in lines(folder / "log.txt")]


def test_the_journal_goes_when_the_run_succeeds(tmp_path, kitchen_at):
    session, _ = run_with_journal(*kitchen_at)
    assert session.failures == []
    assert journals(tmp_path) == []
    # Asked again, it trains again: no stale trial answers.
    run_with_journal(*kitchen_at)
    assert len(logged(tmp_path)) == 24


def test_the_journal_stays_after_a_failure(tmp_path, kitchen_at, monkeypatch):
    deadly = ("loaded", "few", 1)
    monkeypatch.setenv("RAISING_TRIAL", json.dumps(deadly))
    session, _ = run_with_journal(*kitchen_at)
    assert len(session.failures) == 1
    assert deadly not in places(session)
    (kept,) = journals(tmp_path)
    assert len(read_journal(kept)) == 11
    monkeypatch.delenv("RAISING_TRIAL")
    before = len(logged(tmp_path))
    again, report = run_with_journal(*kitchen_at)
    assert logged(tmp_path)[before:] == [deadly]
    assert journals(tmp_path) == []
    fresh, expected = run_with_journal(*kitchen_at)
    assert report.to_dict() == expected.to_dict()
    assert places(again) == places(fresh)
    assert again.progress.done == again.progress.total == 12


def test_the_journal_stays_when_main_raises(tmp_path, kitchen_at):
    recipe, module = kitchen_at

    def main(seeds):
        module.main(seeds)
        raise ArithmeticError("in a claim, after hours of training")

    session = Session(jobs=1)
    with pytest.raises(ArithmeticError):
        follow_with_journal(recipe, main, {"seeds": 2}, session)
    (kept,) = journals(tmp_path)
    assert len(read_journal(kept)) == 8


def test_other_settings_have_another_journal(tmp_path, kitchen_at, monkeypatch):
    monkeypatch.setenv("RAISING_TRIAL", json.dumps(["fair", "few", 0]))
    run_with_journal(*kitchen_at, seeds=2)
    run_with_journal(*kitchen_at, seeds=3)
    assert len(journals(tmp_path)) == 2
    assert len(logged(tmp_path)) == 8 + 12


def test_another_fingerprint_has_another_journal(
    tmp_path, kitchen_at, monkeypatch
):
    recipe, module = kitchen_at
    monkeypatch.setenv("RAISING_TRIAL", json.dumps(["fair", "few", 0]))
    run_with_journal(recipe, module)
    other = tmp_path / "other" / "dice.py"
    other.parent.mkdir()
    other.write_text(recipe.path.read_text().replace("/ 7", "/ 8"))
    run_with_journal(read_recipe(other), module)
    assert len(journals(tmp_path)) == 2


def test_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "kerasrecipes"
    # An empty variable counts as none, by the custom of its inventors.
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert cache_folder().name == "kerasrecipes"
    assert cache_folder().is_relative_to(Path.home())


def test_no_journal_unless_asked_for(tmp_path, kitchen_at):
    _, module = kitchen_at
    follow(module.main, {"seeds": 1}, Session(jobs=1))
    assert not (tmp_path / "cache" / "kerasrecipes").exists()


@needs_locks
def test_a_second_run_beside_it_keeps_no_journal(tmp_path, kitchen_at, capfd):
    recipe, module = kitchen_at
    sessions = []

    def main(seeds):
        # Within the first run, at its start, the same run once more.
        if not sessions:
            sessions.append(Session(jobs=1))
            given = {"seeds": seeds}
            follow_with_journal(recipe, main, given, sessions[0])
        return module.main(seeds)

    first = Session(jobs=1)
    follow_with_journal(recipe, main, {"seeds": 3}, first)
    (second,) = sessions
    assert second.journal is None
    assert capfd.readouterr().err.count("keeps no journal") == 1
    assert places(first) == places(second)
    assert first.failures == second.failures == []
    assert journals(tmp_path) == []


@needs_processes
def test_two_runs_at_the_same_time(tmp_path):
    gate = tmp_path / "gate"
    options = ("--seeds", "2", "--jobs", "1", "--json", "--full")
    processes = []
    for number in range(2):
        folder = tmp_path / str(number)
        folder.mkdir()
        recipe = write_recipe(folder)
        processes.append(
            start(
                recipe,
                *options,
                XDG_CACHE_HOME=str(tmp_path / "cache"),
                TRIAL_GATE=str(gate),
            )
        )
        # The first holds its journal when the second starts, and waits.
        assert wait_until((folder / "log.txt").exists), errors(recipe)
    gate.touch()
    assert [process.wait() for process in processes] == [0, 0]
    told = "keeps no journal"
    assert told not in (tmp_path / "0" / "err.txt").read_text()
    assert told in (tmp_path / "1" / "err.txt").read_text()
    first, second = (
        json.loads((tmp_path / str(number) / "out.txt").read_text())
        for number in range(2)
    )
    assert first["claims"] == second["claims"]
    assert first["failures"] == second["failures"] == []
    assert journals(tmp_path) == []


# Kills


def check_nothing_was_trained_twice(folder):
    """No trial began while a journal held it already."""
    assert [
        line for line in lines(folder / "log.txt") if json.loads(line)[4]
    ] == []


@needs_processes
def test_killed_sixteen_times_at_random_moments(tmp_path):
    kills = 16
    write_recipe(tmp_path)
    words = [sys.executable, HERE / "killed_again.py", tmp_path, str(kills)]
    found = subprocess.run(
        words,
        env={
            **os.environ,
            **defaults(tmp_path),
            "PYTHONPATH": str(tmp_path),
            "TRIAL_SECONDS": "0.01",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    told = json.loads(found.stdout)
    assert told["final"] == told["undisturbed"]
    assert len(told["final"]) == 120
    assert told["journals left"] == 0
    check_nothing_was_trained_twice(tmp_path)
    *killed, (last, done, _) = told["seen"]
    assert last == 0
    # A trial counts as done in one of these runs, or in none where the kill
    # came between its line in the journal and that.
    assert 120 - kills <= done <= 120
    assert {status for status, _, _ in killed} == {-signal.SIGKILL}
    assert len(killed) >= 12
    for _, finished, kept in killed:
        assert finished <= kept
    # The kills came early and late, not all before the first trial.
    assert len({finished for _, finished, _ in killed}) >= 3
    # Cut short each time, the run still came to its end: not 120 a time.
    trained = len(lines(tmp_path / "log.txt"))
    assert 120 <= trained <= 120 + kills


@needs_processes
def test_workers_and_parents_killed_at_random_moments(tmp_path, kitchen_at):
    undisturbed = Session(jobs=1)
    _, module = kitchen_at
    follow(module.main, {"seeds": 12}, undisturbed)
    (tmp_path / "log.txt").unlink()
    generator = np.random.RandomState(1)
    path = tmp_path / "dice.py"
    options = ("--seeds", "12", "--jobs", "2", "--json", "--full")

    def wait_for_the_end(process):
        assert wait_until(lambda: members(process) == [], 10)

    def wait_a_moment(process):
        known = len(logged(tmp_path))
        assert wait_until(lambda: len(logged(tmp_path)) > known), errors(path)
        time.sleep(generator.uniform(0.0, 0.2))
        assert wait_until(lambda: workers(process)), errors(path)

    kept = {}
    for worker_kills, parent_dies in ((1, True), (2, False)):
        process = start(path, *options, TRIAL_SECONDS="0.05")
        for _ in range(worker_kills):
            wait_a_moment(process)
            # One that is gone already was of a pool whose end has come.
            with contextlib.suppress(ProcessLookupError):
                os.kill(generator.choice(workers(process)), signal.SIGKILL)
        if parent_dies:
            wait_a_moment(process)
            process.kill()
            wait_for_the_end(process)
            (journal,) = journals(tmp_path)
            now = read_journal(journal)
            assert kept.items() <= now.items()
            kept = now
        status = process.wait()
    assert status == 0, errors(path)
    check_nothing_was_trained_twice(tmp_path)
    report = json.loads((tmp_path / "out.txt").read_text())
    assert report["failures"] == []
    assert results(report["runs"]) == results(undisturbed.runs)
    assert journals(tmp_path) == []
