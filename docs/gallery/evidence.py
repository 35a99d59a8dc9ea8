"""Whether what the gallery shows is what the recipes say today."""

import hashlib
import importlib
import json
import os
from pathlib import Path

from gallery.entries import ENGINES, Entry
from kerasrecipes import catalogue
from kerasrecipes.catalogue import DATA, PACKAGE


def state(entry: Entry) -> str:
    """Hash of all files that a recipe's results and their replay depend on."""
    recipe = entry.recipe
    files = [
        recipe.path,
        *sorted(PACKAGE.rglob("*.py")),
        *sorted(DATA.glob("*.csv")),
        *(recipe.results(backend) for backend in entry.results),
    ]
    hashes = [hashlib.sha256(file.read_bytes()).digest() for file in files]
    return hashlib.sha256(b"".join(hashes)).hexdigest()


def quick_faults(entry: Entry) -> list[str]:
    """What can be seen without an engine: missing or outdated results.

    Args:
        entry: the recipe.

    Returns:
        A line for each fault.
    """
    name = entry.recipe.name
    if "tensorflow" not in entry.results:
        return [f"{name} has no recorded results."]
    faults = []
    current = catalogue.fingerprint(entry.recipe.path)
    for backend, results in entry.results.items():
        if results["fingerprint"] != current:
            faults.append(
                f"{name} has changed since it was recorded on "
                f"{ENGINES[backend]}."
            )
    if not entry.figures:
        faults.append(f"{name} has no recorded figure.")
    return faults


def replayed_faults(entry: Entry) -> list[str]:
    """What a replay of the recorded trials says otherwise than the results.

    This loads TensorFlow, and trains nothing.

    Args:
        entry: a recipe that has results.

    Returns:
        A line for each fault.
    """
    # The engine that results are recorded with, whatever the reader's is.
    os.environ["KERAS_BACKEND"] = "tensorflow"
    from kerasrecipes import engine, recording

    engine.prepare_engine()
    with engine.quiet_import():
        import keras  # noqa: F401
    name = f"kerasrecipes.recipes.{entry.recipe.name.replace('/', '.')}"
    main = importlib.import_module(name).main
    return recording.check_recording(entry.recipe, main)


def find_faults(entries: list[Entry], memory: Path) -> list[str]:
    """Faults of all recipes; what was found good before is not replayed.

    Args:
        entries: the recipes.
        memory: file that keeps the state of those that were found good.

    Returns:
        A line for each fault.
    """
    known = json.loads(memory.read_text()) if memory.exists() else {}
    good, faults = {}, []
    for entry in entries:
        now = state(entry)
        found = quick_faults(entry)
        if not found and known.get(entry.recipe.name) != now:
            found = replayed_faults(entry)
        if not found:
            good[entry.recipe.name] = now
        faults += found
    memory.parent.mkdir(parents=True, exist_ok=True)
    memory.write_text(json.dumps(good, indent=1))
    return faults
