"""What a recipe found: tables, figures and claims with their verdicts."""

from dataclasses import asdict, dataclass

from matplotlib.figure import Figure

from kerasrecipes.experiment.statistics import Verdict
from kerasrecipes.experiment.trials import Table


@dataclass(frozen=True)
class Claim:
    """A statement of the notes, and what was found out about it.

    Args:
        text: the statement, as one sentence without a full stop.
        verdict: what a method of `Trials` says about it.
        notes: title and heading in the notes that it is taken from.
    """

    text: str
    verdict: Verdict
    notes: str

    def to_dict(self) -> dict:
        """The claim and its verdict as plain values, for JSON."""
        verdict = asdict(self.verdict)
        verdict["words"] = self.verdict.words()
        return {"text": self.text, "notes": self.notes, **verdict}


class Report:
    """Tables, figures and claims, in the order in which they are given.

    Args:
        parts: `Table`, `matplotlib.figure.Figure` or `Claim` objects.

    Raises:
        TypeError: where a part is something else.
    """

    def __init__(self, *parts):
        for part in parts:
            if not isinstance(part, Table | Figure | Claim):
                raise TypeError(
                    "Invalid part of a report: expected a table, a figure or "
                    f"a claim. Received: {type(part).__name__}"
                )
        self.tables = [part for part in parts if isinstance(part, Table)]
        self.figures = [part for part in parts if isinstance(part, Figure)]
        self.claims = [part for part in parts if isinstance(part, Claim)]

    def to_dict(self) -> dict:
        """Tables and claims as plain values, for JSON."""
        return {
            "tables": [table.rows() for table in self.tables],
            "claims": [claim.to_dict() for claim in self.claims],
        }
