"""Reports as text: numbers, tables, claims, Markdown."""

import re

import pytest

from kerasrecipes import catalogue
from kerasrecipes.text import (
    claim_numbers,
    markdown,
    plain_text,
    report_lines,
    short,
    table_lines,
)

ROWS = [
    ["variant", "accuracy", "n"],
    ["none", "0.90 ± 0.01", "10"],
    ["a|b", "failed", "0"],
]


def made_claim(**changes):
    claim = {
        "text": "Dropout narrows the gap",
        "notes": "Deep Neural Nets Basics, Dropout",
        "outcome": "supported",
        "measured": "gap, hidden − none",
        "effect": -0.0421,
        "low": -0.05,
        "high": -0.034,
        "n": 10,
        "reason": "",
        "exact": False,
        "words": "The notes' statement is borne out here.",
    }
    return {**claim, **changes}


def text_of(report, recorded=None):
    return [line for line, _ in report_lines(report, recorded)]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (1.0, "1"),
        (-3.0, "−3"),
        (56.0, "56"),
        (1617.0, "1,617"),
        (-99999.0, "−99,999"),
        (0.5, "0.500"),
        (0.96666, "0.967"),
        (-0.04213, "−0.0421"),
        (0.001, "0.0010"),
        (1.2345, "1.23"),
        (12.345, "12.3"),
        (123.45, "123"),
        (1234.5, "1,234"),
        (98765.4, "98,765"),
        (0.000999, "9.99e−04"),
        (-1.5e-9, "−1.50e−09"),
        (123456.7, "1.23e+05"),
        (1e300, "1.00e+300"),
    ],
)
def test_three_digits_and_a_true_minus(value, text):
    assert short(value) == text


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("exponent", range(-12, 13))
def test_no_number_loses_its_size(sign, exponent):
    value = sign * 4.321 * 10.0**exponent
    text = short(value)
    assert "-" not in text.replace("e-", "")
    back = float(text.replace("−", "-").replace(",", ""))
    # Half a unit in the last of three digits; four decimals at 0.001.
    assert back == pytest.approx(value, rel=0.012)


def test_table():
    assert table_lines(ROWS) == [
        "variant  accuracy     n",
        "-------  -----------  --",
        "none     0.90 ± 0.01  10",
        "a|b      failed       0",
    ]


def test_numbers_of_a_claim():
    assert claim_numbers(made_claim()) == (
        "gap, hidden − none: −0.0421 [−0.0500, −0.0340], n = 10"
    )
    # One seed has an effect and no interval; none has nothing.
    single = made_claim(low=None, high=None, n=1)
    assert claim_numbers(single) == "gap, hidden − none: −0.0421, n = 1"
    empty = made_claim(effect=None, low=None, high=None, n=0)
    assert claim_numbers(empty) == "gap, hidden − none: not measured"


def test_lines_of_a_report():
    claims = [made_claim(), made_claim(text="It is", outcome="inconclusive")]
    report = {"tables": [ROWS], "claims": claims}
    found = text_of(report)
    assert found[: len(ROWS) + 1] == table_lines(ROWS)
    assert "1. Dropout narrows the gap" in found
    assert "2. It is" in found
    (outcome,) = [line for line in found if "SUPPORTED" in line]
    assert outcome.endswith("The notes' statement is borne out here.")
    assert found.count(f"   {claim_numbers(made_claim())}") == 2
    assert not any("recorded" in line for line in found)


def test_colours_of_outcomes():
    outcomes = ["supported", "contradicted", "inconclusive"]
    claims = [made_claim(outcome=outcome) for outcome in outcomes]
    colours = {
        line.split()[0]: colour
        for line, colour in report_lines({"tables": [], "claims": claims})
        if line.strip().split(" ")[0].lower() in outcomes
    }
    assert colours == {
        "SUPPORTED": "green",
        "CONTRADICTED": "red",
        "INCONCLUSIVE": "yellow",
    }


def test_the_recorded_verdict_stands_beside():
    claims = [made_claim(), made_claim(text="A new claim")]
    report = {"tables": [], "claims": claims}
    before = made_claim(outcome="contradicted", effect=0.5, low=0.4, high=0.6)
    found = text_of(report, {"claims": [before]})
    (old,) = [line for line in found if "recorded: contradicted" in line]
    assert "0.500 [0.400, 0.600], n = 10" in old
    assert sum("not recorded yet" in line for line in found) == 1


def test_a_recorded_verdict_without_interval():
    report = {"tables": [], "claims": [made_claim()]}
    before = made_claim(
        outcome="inconclusive", effect=None, low=None, high=None, n=0
    )
    found = text_of(report, {"claims": [before]})
    assert any("recorded: inconclusive" in line for line in found)


def test_markdown():
    claim = made_claim(text="P(a|b) rises")
    report = {"tables": [ROWS], "claims": [claim]}
    text = markdown("Dropout", report, ["dropout.png"])
    found = text.splitlines()
    assert found[0] == "# Dropout"
    assert "![Dropout](dropout.png)" in found
    assert "| variant | accuracy | n |" in found
    assert "| --- | --- | --- |" in found
    # A bar within a cell would open another one.
    assert "| a\\|b | failed | 0 |" in found
    (row,) = [line for line in found if "**supported**" in line]
    assert row.startswith("| P(a\\|b) rises | **supported** | ")
    assert claim_numbers(claim) in row
    assert text.endswith("\n")


def test_every_row_of_markdown_has_as_many_cells_as_its_head():
    report = {"tables": [ROWS], "claims": [made_claim(text="a | b | c")]}
    text = markdown("Dropout", report, [])
    for table in text.split("\n\n"):
        rows = [line for line in table.splitlines() if line.startswith("|")]
        bars = {row.replace("\\|", "").count("|") for row in rows}
        assert len(bars) <= 1


@pytest.mark.parametrize(
    ("formula", "text"),
    [
        (r"\frac{a + b}{c}", "(a + b) / c"),
        (r"\frac 1 T \sum_{t=1}^T \bar p_t", "1 / T Σ_(t=1)^T p\u0304_t"),
        (r"\prod_{s=1}^t U", "Π_(s=1)^t U"),
        (r"\frac \lambda n", "lambda / n"),
        (r"\frac{\partial L}{\partial z}", "(∂L) / (∂z)"),
        (r"\alpha \approx -\infty + 1", "alpha ≈ -∞ + 1"),
        (r"\sqrt{\frac{a}{s n}}", "sqrt(a / (s n))"),
        (r"\frac{x}{\sqrt{y^2 + 1}}", "x / (sqrt(y^2 + 1))"),
        (r"\hat\rho_j \pm \tilde{h}", "hat rho_j ± h\u0303"),
        (r"\big(w^\top x\Big) \cdot \lVert v \rVert^2", "(wᵀ x) · ‖v‖^2"),
        (r"\mathrm{BN}(z), \quad -1 \le y", "BN(z),  -1 <= y"),
        (r"w \leftarrow \left(w\right)", "w ← (w)"),
    ],
)
def test_formulas_for_a_terminal(formula, text):
    assert plain_text(f"So :math:`{formula}` is.") == f"So {text} is."


@pytest.mark.parametrize("name", catalogue.recipe_paths())
def test_no_mark_of_latex_is_left_in_a_story(name):
    story = plain_text(catalogue.find_recipe(name).story)
    assert not re.search(r"[{}\\&]|\b(?:frac|sqrt|bar|[Bb]ig)\b[^(]", story)
