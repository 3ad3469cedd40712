"""Errors as ratios to those of the best rival, over many tables: who leads, and where it fails."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from scipy.stats import gmean

from benchmarks.families import FAMILIES
from benchmarks.records import Record
from benchmarks.unseen_tables import UNSEEN

PREFIX, PAPER = "GNR", "GNR of the paper"
# What labels say of methods that know on which side of a column values go missing.
TOLD = ("known sign", "told above", "told both")


def is_told(label: str) -> bool:
    """Tell whether a method knows on which side values go missing."""
    return any(word in label for word in TOLD)


def kind_of(dataset: str) -> str:
    """Say which kind of table it is; means are over one kind."""
    if dataset in FAMILIES:
        return "synthetic"
    return "unseen" if dataset in UNSEEN else "UCI"


class Ratios(NamedTuple):
    """Ratios to the best rival on some tables: their geometric mean, and the worst of them."""

    mean: float
    worst: float
    worst_dataset: str
    n_datasets: int
    n_rivals: int

    def __str__(self) -> str:
        return (
            f"{self.mean:.2f}, worst {self.worst:.2f} on {self.worst_dataset} "
            f"(tables: {self.n_datasets}, rivals: {self.n_rivals})"
        )


def rivals(label: str, labels: Iterable[str]) -> list[str]:
    """Whom a method is compared with: the project's other proposals do not count.

    The paper's model does. Who is told nothing has rivals that are told nothing; who is told the
    side has all.
    """
    told = is_told(label)
    return [
        other
        for other in labels
        if other != label
        and (not other.startswith(PREFIX) or other == PAPER)
        and (told or not is_told(other))
    ]


def ratio_to_best(record: Record, others: list[Record]) -> float | None:
    """Error of one cell as a ratio to the lowest of others, each over the seeds that both ran."""
    found = []
    for other in others:
        seeds = record["runs"].keys() & other["runs"].keys()
        if seeds:
            own, its = (
                np.mean([r["runs"][s]["value"] for s in sorted(seeds)]) for r in (record, other)
            )
            found.append(own / its)
    return float(max(found)) if found else None


def ratios(records: list[Record], label: str) -> dict[tuple[str, str], Ratios]:
    """RMSE of a method as ratios to the best rival's, by (kind of tables, setting).

    Parameters
    ----------
    records : list of dict
        Records of one benchmark and one protocol.
    label : str
        The method.

    Returns
    -------
    ratios : dict
        The kind of tables is that of :func:`kind_of`. ``n_rivals`` is the fewest on any table.
    """
    records = [r for r in records if r["metric"] == "rmse"]
    against = rivals(label, dict.fromkeys(r["method"] for r in records))
    groups: dict[tuple[str, str], dict[str, tuple[float, int]]] = {}
    for record in records:
        if record["method"] != label:
            continue
        where = (record["dataset"], record["setting"])
        others = [
            r for r in records if r["method"] in against and (r["dataset"], r["setting"]) == where
        ]
        ratio = ratio_to_best(record, others)
        if ratio is not None:
            group = groups.setdefault((kind_of(record["dataset"]), record["setting"]), {})
            group[record["dataset"]] = (ratio, len(others))
    summary = {}
    for key, group in groups.items():
        worst = max(group, key=lambda dataset: group[dataset][0])
        summary[key] = Ratios(
            mean=float(gmean([ratio for ratio, _ in group.values()])),
            worst=group[worst][0],
            worst_dataset=worst,
            n_datasets=len(group),
            n_rivals=min(n_others for _, n_others in group.values()),
        )
    return summary


def table(records: list[Record]) -> list[str]:
    """Lines of a table in Markdown: a row for each GNR, mechanism and kind, a column for each rate.

    There are none if no GNR has a rival on record.
    """
    rows: dict[tuple[str, str, str], dict[str, Ratios]] = {}
    for label in dict.fromkeys(r["method"] for r in records if r["method"].startswith(PREFIX)):
        for (kind, setting), found in ratios(records, label).items():
            mechanism, _, rate = setting.rpartition(", ")
            rows.setdefault((label, mechanism or "above", kind), {})[rate] = found
    rates = sorted({rate for row in rows.values() for rate in row}, key=lambda r: float(r[:-1]))
    if not rates:
        return []
    return [
        "### RMSE as a ratio to the best rival's, geometric mean over tables",
        "",
        "Rivals are all other methods but variants of GNR, that of the paper excepted; those that "
        "know the side which goes missing are rivals of those alone that are told it too. Each is "
        "compared over the seeds that both ran.",
        "",
        "| method | missing | tables | " + " | ".join(rates) + " |",
        "|---" * (len(rates) + 3) + "|",
        *(
            "| " + " | ".join([*key, *(str(row.get(rate, "")) for rate in rates)]) + " |"
            for key, row in rows.items()
        ),
        "",
    ]
