"""The makers of the gallery's pages, as functions of recipes and results."""

import io
import json
import re
import sys
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("sphinx", reason="needs the extra `docs`")
sys.path.insert(0, str(Path(__file__).parents[2] / "docs"))

import gallery
from gallery import (
    benchmarks,
    docstrings,
    evidence,
    findings,
    ledger,
    markup,
    mathml,
    overview,
    recipe_pages,
    reference,
)
from gallery import entries as gathering

from kerasrecipes import catalogue
from kerasrecipes.text import plain_text

ENTRIES = {entry.recipe.name: entry for entry in gathering.gather()}
RECORDED = {name: entry for name, entry in ENTRIES.items() if entry.recorded}
HELPERS = {helper.name: helper for helper in reference.helpers()}

every_recipe = pytest.mark.parametrize("name", ENTRIES)
every_recorded = pytest.mark.parametrize("name", RECORDED)
every_helper = pytest.mark.parametrize("name", HELPERS)


def claim(outcome="supported", **other):
    """A recorded claim for the tests."""
    return {
        "text": "A <b> is better",
        "notes": "Title, heading",
        "outcome": outcome,
        "measured": "accuracy, a − b",
        "effect": 0.25,
        "low": 0.125,
        "high": 0.375,
        "n": 10,
        "reason": "",
        "exact": False,
        "words": "Borne out here.",
        **other,
    }


def rendered(text):
    """HTML of reStructuredText, which must be without a fault."""
    from docutils import nodes
    from docutils.core import publish_parts
    from docutils.parsers.rst import roles

    def link(name, rawtext, text, *_):
        return [nodes.literal(rawtext, text)], []

    for name in ("doc", "download"):
        roles.register_local_role(name, link)
    # Directives of Sphinx that docutils alone does not know.
    text = re.sub(r"(?s)\.\. toctree::\n(?:   .*?\n|\n)+?(?=\S|\Z)", "", text)
    text = re.sub(r"\.\. rst-class::", ".. class::", text)
    text = re.sub(r"\.\. code-block:: \w+", "::", text)
    settings = {"halt_level": 2, "report_level": 2, "math_output": "LaTeX"}
    return publish_parts(text, writer="html5", settings_overrides=settings)[
        "body"
    ]


# ----------------------------------------------------------------------
# Small pieces


@pytest.mark.parametrize("text", ["a*b", "f(**kwargs)", "x_", "`a`", "|a|"])
def test_escaped_text_is_itself(text):
    assert f"<p>{text}</p>" in rendered(markup.escape(text))


def test_counts_come_in_the_order_of_verdicts():
    claims = [claim("contradicted"), claim(), claim("inconclusive"), claim()]
    said = markup.count_words(claims)
    assert said == "2 supported, 1 inconclusive, 1 contradicted"
    bar = markup.bar(claims)
    grown = re.findall(r'class="([\w-]+)" style="flex-grow: (\d)"', bar)
    assert grown == [
        ("supported", "2"),
        ("inconclusive", "1"),
        ("contradicted", "1"),
    ]


def test_effect_and_interval():
    assert markup.effect_and_interval(claim()) == ("0.250", "[0.125, 0.375]")
    nothing = claim(effect=None, low=None, high=None)
    assert markup.effect_and_interval(nothing) == ("–", "–")
    assert markup.effect_and_interval(claim(low=None))[1] == "–"


def test_tables_are_escaped():
    table = markup.html_table([["a<b"], ["1 & 2"]])
    assert "a&lt;b" in table and "1 &amp; 2" in table


def test_formulas_become_mathml():
    found = mathml.to_mathml(r"\Big(\frac{a}{b}\Big)_1, \dots", block=True)
    assert "<mfrac>" in found and 'display="block"' in found
    lines = mathml.to_mathml(r"a &= b \\ c &= d", block=True)
    assert lines.count("<mtr>") == 2


@every_recipe
def test_all_formulas_of_a_recipe_can_be_shown(name):
    text = recipe_pages.recipe_page(ENTRIES[name])
    formulas = re.findall(r":math:`([^`]*)`", text)
    formulas += re.findall(r"\.\. math::[ \n]*((?:.+\n)(?:\n? +.*)*)", text)
    for formula in formulas:
        assert "<math" in mathml.to_mathml(formula.strip(), block=True)


# ----------------------------------------------------------------------
# A recipe's page


@every_recipe
def test_a_page_has_all_lines_of_its_recipe_in_order(name):
    """Prose and code come in the file's order, and nothing is left out."""
    path = ENTRIES[name].recipe.path
    page = recipe_pages.recipe_page(ENTRIES[name])
    end = catalogue.syntax_tree(path).body[0].end_lineno
    place = 0
    for line in path.read_text(encoding="utf-8").splitlines()[end:]:
        words = re.sub(r"^# ?(%%)?", "", line).strip()
        found = page.find(words, place)
        assert found >= 0, line
        place = found + len(words)


@every_recorded
def test_a_page_says_what_was_recorded(name):
    entry = RECORDED[name]
    page = rendered(recipe_pages.recipe_page(entry))
    results = entry.recorded
    assert plain_text(entry.recipe.question) in _plain(page)
    for one in results["claims"]:
        assert one["text"] in _plain(page)
        assert one["measured"] in _plain(page)
    assert page.count('class="verdict') >= len(results["claims"])
    for cell in results["tables"][0][1]:
        assert f"<td>{cell}</td>" in page
    assert "<img" in page
    for version in results["versions"].values():
        assert version in page
    assert results["processor"] in page
    assert f"{results['seconds']:,.0f} seconds" in page
    for address in re.findall(
        r"https?://[^\s;]+", entry.recipe.fields.get("papers", "")
    ):
        assert address in page
    assert f"kerasrecipes copy {entry.recipe.topic}" in page


def _plain(page):
    import html

    return html.unescape(re.sub(r"<[^>]+>", "", page)).replace("’", "'")


def test_the_box_comes_before_the_story_and_the_code():
    entry = RECORDED["regularization/dropout"]
    page = recipe_pages.recipe_page(entry)
    places = [
        page.index(words)
        for words in (
            "container:: findings",
            entry.recipe.story[:40],
            "import keras",
            "def main(",
            "What the recorded run printed",
            "What to make of it",
            "How it was recorded",
            "dropout --to myproject",
        )
    ]
    assert places == sorted(places)


def test_exact_claims_are_folded_up_unless_one_fails():
    entry = gathering.Entry(ENTRIES["regularization/dropout"].recipe)
    good = [claim(exact=True), claim(exact=True), claim()]
    entry.results = {"tensorflow": {"claims": good}}
    box = findings.findings(entry)
    assert "exactly: 2 of 2 do" in box and '<details class="exact">' in box
    entry.results["tensorflow"]["claims"][0]["outcome"] = "contradicted"
    box = findings.findings(entry)
    assert "exactly: 1 of 2 do" in box and '<details class="exact" open>' in box
    assert "A &lt;b&gt; is better" in box


def test_a_claim_without_verdict_says_why():
    few = claim("inconclusive", reason="fewer than three seeds say too little")
    assert "fewer than three" in findings.measured(few)
    wide = claim("inconclusive", reason="the interval contains 0")
    assert findings.measured(wide) == wide["measured"]


def test_other_backends_stand_side_by_side():
    page = findings.other_backends(RECORDED["recurrent/stateful_lstm"])
    assert "TensorFlow" in page and "JAX" in page and "PyTorch" in page
    assert "contradicted" in page
    assert findings.other_backends(RECORDED["regularization/dropout"]) == ""


def test_before_and_after_are_linked_both_ways():
    first = ENTRIES["foundations/iris_baseline"]
    second = ENTRIES["regularization/dropout"]
    assert first.recipe in second.before and second.recipe in first.after
    assert "Read after" in recipe_pages.read_on(first)
    assert ":doc:`LocalResponseNormalization" in recipe_pages.read_on(
        ENTRIES["normalization/local_response"]
    )


@every_recipe
def test_downloads(name):
    recipe = ENTRIES[name].recipe
    files = dict(gathering.downloads(recipe))
    script = files[f"{recipe.topic}.py"]
    compile(script, name, "exec")
    assert b"Licence: MIT-0" in script and b"def main(" not in script
    assert files == dict(gathering.downloads(recipe))
    if f"{recipe.topic}.zip" in files:
        content = io.BytesIO(files[f"{recipe.topic}.zip"])
        with zipfile.ZipFile(content) as archive:
            assert archive.read(f"{recipe.topic}.py") == script
            folder = gathering.HELPERS_FOLDER
            assert any(n.startswith(folder) for n in archive.namelist())
    else:
        assert gathering.HELPERS_FOLDER.encode() not in script


# ----------------------------------------------------------------------
# Gallery and ledger


def test_cards_can_be_filtered_and_lead_to_their_pages():
    page = overview.cards([*ENTRIES.values()])
    assert page.count("<article") == len(ENTRIES)
    entry = ENTRIES["regularization/dropout_variants"]
    assert "SeedGenerator" in entry.symbols
    card = overview.card(entry)
    assert 'data-level="intermediate"' in card
    assert 'data-backends="tensorflow jax torch"' in card
    assert " SeedGenerator " in card
    assert "dropout_variants>`" in card
    assert "regularization/dropout_variants.png" in card


def test_symbols_are_those_of_packages():
    used = ENTRIES["regularization/dropout"].symbols
    assert {"Dropout", "Sequential", "load_digits", "run_trials"} <= set(used)
    assert not {"seed", "epochs", "Path", "train"} & set(used)


def test_every_question_is_in_its_index():
    page = overview.questions([*ENTRIES.values()])
    places = [page.index(level.capitalize()) for level in catalogue.LEVELS]
    assert places == sorted(places)
    for entry in ENTRIES.values():
        assert markup.escape(entry.recipe.question) in page
        assert f"</{entry.page}>" in page


def test_the_ledger_has_every_claim():
    entries = [*ENTRIES.values()]
    page = ledger.ledger(entries)
    count = sum(len(entry.claims) for entry in entries)
    assert page.count("<tr data-chapter") == count
    row = ledger.row(entries[0], claim(effect=None, low=None, high=None))
    assert 'data-sort=""' in row and "A &lt;b&gt;" in row


def test_expected_false_verdicts():
    entry = gathering.Entry(ENTRIES["regularization/dropout"].recipe)
    claims = [claim() for _ in range(40)] + [
        claim(exact=True, low=None, high=None),
        claim("no difference", low=0.0, high=0.0),
    ]
    entry.results = {"tensorflow": {"claims": claims}}
    page = ledger.expectation([entry])
    assert "40 of these verdicts" in page
    assert "about 2 of the 40" in page and "about 1 would be" in page
    assert "<td>41</td>" in page and "<td>42</td>" in page


# ----------------------------------------------------------------------
# The reference


def test_a_docstring_in_markdown():
    text = docstrings.docstring_rest(
        "Adds `a` and\n`b *c*`.\n\nSee [a `page`](\nhttps://a.org/b_c) *now*, "
        "2 * 3, x_:\n- one\n- two\n\n.. math:: a_i \\cdot\n    b\n\n"
        "Args:\n    a: Integer, the `first`.\n        Defaults to `1`.\n"
        "    *b: others.\n\nExample:\n\n```python\nadd(1)\n```\n"
    )
    page = rendered(text)
    assert "<li><p>one</p></li>" in page and "2 * 3, x_:" in page
    assert '<a class="reference external" href="https://a.org/b_c">' in page
    assert "<em>now</em>" in page
    assert page.count("<dt>") == 2 and "*b</span>" in page
    assert "add(1)" in page and "Args" in page
    assert "a_i" in page and "``" not in page


@every_helper
def test_pages_of_helpers(name):
    helper = HELPERS[name]
    page = reference.helper_page(helper, [*ENTRIES.values()])
    shown = rendered(page)
    assert f"from kerasrecipes.{helper.room} import {name}" in page
    for word in ("Args:", "Returns:", "Raises:", "Input shape:"):
        assert not re.search(rf"(?m)^{word}$", page)
    assert "`" not in re.sub(r"(?s)<(pre|code)\b.*?</\1>|<[^>]+>", "", shown)
    assert helper.docstring or name == "FOLDS"


def test_a_helper_names_the_recipes_that_use_it():
    uses = reference.uses(HELPERS["ResetStates"], [*ENTRIES.values()])
    assert "</recipes/recurrent/stateful_lstm>" in uses
    assert "</recipes/regularization/dropout>" not in uses
    (line,) = [
        line
        for line in reference.uses(
            HELPERS["load_digits"], [*ENTRIES.values()]
        ).splitlines()
        if "</recipes/regularization/dropout>" in line
    ]
    assert "through another" not in line


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("load_iris", "load_iris(examples=None, fold=0)"),
        ("ResetStates", "ResetStates(every=None, each_epoch=True)"),
        ("Claim", "Claim(text, verdict, notes)"),
        ("Report", "Report(*parts)"),
    ],
)
def test_signatures(name, said):
    assert reference.signature(HELPERS[name].node, name) == said


def test_the_reference_lists_every_public_helper():
    from kerasrecipes import copying

    assert copying.helper_names().keys() <= HELPERS.keys()
    page = reference.contents([*HELPERS.values()])
    for name in HELPERS:
        assert f"</helpers/{name}>" in page


# ----------------------------------------------------------------------
# Evidence, and what is written


@every_recorded
def test_good_results_have_no_fault(name):
    assert evidence.quick_faults(RECORDED[name]) == []


def test_a_changed_verdict_is_a_fault(monkeypatch):
    """The others are replayed by tests/recipes/test_evidence.py."""
    entry = RECORDED["foundations/iris_baseline"]
    assert evidence.replayed_faults(entry) == []
    changed = json.loads(json.dumps(entry.recorded))
    changed["claims"][0]["outcome"] = "inconclusive"
    monkeypatch.setattr(catalogue, "load_results", lambda *_: changed)
    (fault,) = evidence.replayed_faults(entry)
    assert "claims" in fault


def test_faults_are_seen():
    entry = gathering.Entry(ENTRIES["regularization/dropout"].recipe)
    assert "no recorded results" in evidence.quick_faults(entry)[0]
    entry.results = {
        "tensorflow": {"fingerprint": "old"},
        "jax": {"fingerprint": "old"},
    }
    stale, other, figure = evidence.quick_faults(entry)
    assert "TensorFlow" in stale and "JAX" in other and "figure" in figure


def test_what_was_good_is_not_replayed(tmp_path, monkeypatch):
    entry = RECORDED["regularization/dropout"]
    replayed = []
    monkeypatch.setattr(
        evidence, "replayed_faults", lambda one: replayed.append(one) or []
    )
    memory = tmp_path / "kept" / "evidence.json"
    for _ in range(2):
        assert evidence.find_faults([entry], memory) == []
    assert replayed == [entry]
    monkeypatch.setattr(evidence, "state", lambda one: "changed")
    evidence.find_faults([entry], memory)
    assert replayed == [entry, entry]


def test_only_what_changed_is_written(tmp_path):
    known = RECORDED["regularization/dropout"]
    results = {"tensorflow": dict(known.recorded)}
    entry = gathering.Entry(known.recipe, results)
    stray = tmp_path / "recipes/old/gone.rst"
    stray.parent.mkdir(parents=True)
    stray.write_text("no longer made")
    gallery.write_pages(tmp_path, [entry])
    assert not stray.exists()
    times = _times(tmp_path)
    entry.downloads.clear()
    gallery.write_pages(tmp_path, [entry])
    assert _times(tmp_path) == times
    # New results: the page is made anew although its source is the same.
    entry.results["tensorflow"]["seconds"] = 12345
    entry.downloads.clear()
    gallery.write_pages(tmp_path, [entry])
    now = _times(tmp_path)
    changed = [name for name in now if now[name] != times[name]]
    assert changed == ["recipes/regularization/dropout.rst"]


def _times(folder):
    return {
        path.relative_to(folder).as_posix(): path.stat().st_mtime_ns
        for path in folder.rglob("*")
        if path.is_file()
    }


# ----------------------------------------------------------------------
# Benchmarks


def test_a_page_of_benchmarks(monkeypatch, tmp_path):
    pair = {
        "subject": "<Ours>",
        "peer": "theirs",
        "backend": "jax",
        "setting": "4 × 4",
        "ours": [0.001, 0.002, 0.003],
        "theirs": [0.004, 0.004, 0.004],
        "ratio": [0.25, 0.5, 0.75],
        "repetitions": 20,
    }
    curve = {
        "subject": "layer",
        "over": "width",
        "backend": "torch",
        "setting": "small",
        "x": [16, 64],
        "seconds": [0.001, 0.004],
        "slope": 1.0,
    }
    stored = {"processor": "P", "cores": 2, "versions": {"keras": "3"}}
    for group, rows in (("peers", [pair]), ("growth", [curve])):
        path = tmp_path / f"{group}.json"
        path.write_text(json.dumps({**stored, "rows": rows}))
    monkeypatch.setattr(benchmarks, "FOLDER", tmp_path)
    text = benchmarks.benchmarks()
    assert "&lt;Ours&gt;" in text and "<Ours>" not in text
    assert "0.50 (0.25 to 0.75)" in text
    assert "width 16 to 64" in text and ">4<" in text
    assert text.count("P, 2 cores; keras 3") == 2
    titles = [benchmarks.GROUPS[group][0] for group in benchmarks.GROUPS]
    assert [title in text for title in titles] == [True, True, *[False] * 3]
