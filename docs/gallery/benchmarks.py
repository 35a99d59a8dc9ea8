"""The page of benchmarks: tables out of what was measured."""

import html
import json

from gallery.markup import figure, heading, raw
from kerasrecipes import catalogue
from kerasrecipes.text import short

FOLDER = catalogue.RESULTS / "benchmarks"
# The groups in the page's order: title, what is to be said, and figures.
GROUPS = {
    "peers": (
        "Helpers and their peers",
        "A training step computes all gradients once, compiled as Keras would "
        "by default. Sizes are those of the inputs, the batch first.\n\n"
        "On PyTorch nothing is compiled by default, and every operation of "
        "Keras costs some microseconds of Python before PyTorch begins, in a "
        "recurrent layer at each step again. How much of a ratio that is, say "
        "the rows of layers of Keras beside the same ones of PyTorch. On "
        "TensorFlow an execution of one step has such a cost as well: "
        "`steps_per_execution` pays it once for many steps. `ValidationF1` "
        "and its peer make the same one pass over the held-out data, and cost "
        "the same.",
        (),
    ),
    "growth": (
        "How the cost of a step grows",
        "The slope in logarithmic axes is the exponent: 1 is linear growth, 0 "
        "a cost that does not depend on the size.",
        ("normalization", "cells"),
    ),
    "programs": (
        "Starting",
        "What a reader waits for before anything happens.",
        (),
    ),
    "cookbook": (
        "The whole cookbook",
        "Every recipe's quick run, as a process of its own: with the harness "
        "and as a bare script that calls the recipe's functions, and on each "
        "backend. The recipes stand for the repetitions, and quick runs are "
        "mostly starting and compiling: JAX compiles all of a model by XLA, "
        "which a short run does not earn back, and TensorFlow does so where "
        "there is a GPU.",
        (),
    ),
    "trials": (
        "Trials over processes",
        "Seconds of a recipe's trials over their number, and the most memory "
        "that the run and the cluster held.",
        ("trials",),
    ),
}


def benchmarks() -> str:
    """Tables and figures of all groups that have been measured."""
    parts = []
    for group, (title, words, pictures) in GROUPS.items():
        path = FOLDER / f"{group}.json"
        if not path.exists():
            continue
        found = json.loads(path.read_text(encoding="utf-8"))
        parts += [heading(title), f"{words}\n"]
        for name in pictures:
            parts.append(figure(FOLDER / f"{name}.png", title))
        rows = [one for one in found["rows"] if "ratio" in one]
        curves = [one for one in found["rows"] if "slope" in one]
        parts += [table(rows)] * bool(rows) + [slopes(curves)] * bool(curves)
        versions = ", ".join(f"{k} {v}" for k, v in found["versions"].items())
        machine = f"{found['processor']}, {found['cores']} cores"
        parts.append(f".. rst-class:: small\n\n{machine}; {versions}\n")
    return "\n".join(parts)


def table(rows: list[dict]) -> str:
    """The pairs of a group.

    Args:
        rows: what was measured.
    """
    head = ("ours", "peer", "sizes", "backend", "ours, ms", "peer, ms", "ratio")
    body = []
    for one in rows:
        low, ratio, high = (f"{value:.2f}" for value in one["ratio"])
        words = [one["subject"], one["peer"], one["setting"], one["backend"]]
        numbers = [
            short(1000 * one["ours"][1]),
            short(1000 * one["theirs"][1]),
            f"{ratio} ({low} to {high})",
        ]
        body.append((words, numbers))
    return _table(head, body)


def slopes(curves: list[dict]) -> str:
    """The curves of a group, as numbers.

    Args:
        curves: what was measured.
    """
    head = ["what", "over", "backend", "from, ms", "to, ms", "slope"]
    memory = any("gigabytes" in one for one in curves)
    body = []
    for one in curves:
        first, last = one["x"][0], one["x"][-1]
        words = [one["subject"], f"{one['over']} {first} to {last}"]
        numbers = [short(1000 * one["seconds"][i]) for i in (0, -1)]
        numbers.append(f"{one['slope']:.2f}")
        if memory:
            numbers.append(f"{max(one['gigabytes'])}")
        body.append(([*words, one["backend"]], numbers))
    return _table([*head, *["GB"] * memory], body)


def _table(head, body) -> str:
    lines = ['<div class="scroll"><table class="table">', "<thead><tr>"]
    lines += [f"<th>{html.escape(name)}</th>" for name in head]
    lines += ["</tr></thead>", "<tbody>"]
    for words, numbers in body:
        cells = [f"<td>{html.escape(word)}</td>" for word in words]
        cells += [f'<td class="number">{number}</td>' for number in numbers]
        lines.append(f"<tr>{''.join(cells)}</tr>")
    lines += ["</tbody></table></div>"]
    return raw("\n".join(lines))
