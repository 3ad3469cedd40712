"""Small changes to the code that everything rests on, and whether a test notices each of them.

``mutmut`` (``pip install -e ".[dev]"``) changes one expression at a time and runs the tests that go
through it, on a copy of the sources in ``build/mutants``, where a run that was cut off goes on, and
one after tests were added tries those again that made none fail. What no test noticed is listed in
``results/mutants.txt``.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from benchmarks.records import RecordFile

ROOT = Path(__file__).parent.parent
COPIED = ("gnr_sklearn", "tests", "benchmarks", "docs", "README.md", "DEPENDENCIES.md")

# What mutmut notes of a mutant: 0 where all tests pass, 33 where none goes through it, 1 or 3 where
# one fails, and others where one hangs, be it for the load of the machine, or crashes.
SURVIVED, UNTESTED = 0, 33
FAILED = (1, 3)


class Target(NamedTuple):
    """A file, and the tests that are to notice changes to it."""

    path: str
    tests: tuple[str, ...]
    chosen: str = ""


MODELS = ("models", "model_parts", "selection_models", "layers", "categories", "value_model")
TARGETS = (
    Target("nn/bounds.py", ("bounds", "adaptive")),
    Target("nn/models.py", MODELS),
    Target("nn/selection.py", MODELS),
    Target("metrics.py", ("metrics", "frames")),
    Target(
        "_base.py",
        (
            "base",
            "frames",
            "classical",
            "contract",
            "contract_state",
            "extremes",
            "documentation",
            "persistence",
            "partial_fit",
        ),
        # What all imputers have in common is tested by one of them as well as by all. A mutant is a
        # method more, without documentation.
        "not (methods_are_documented or test_contract or test_extremes or test_partial_fit)"
        " or Mean and not methods_are_documented or empty_at_first or indicators_mark",
    ),
)


def main(options: argparse.Namespace) -> None:
    """Run what was asked for, and record it."""
    records = RecordFile("mutants", options.results)
    survivors = options.results / "mutants.txt"
    listed = dict(
        part.split("\n", 1) for part in survivors.read_text().split("\n## ")[1:]
    ) if survivors.exists() else {}  # fmt: skip
    for target in TARGETS:
        if options.datasets and target.path not in options.datasets:
            continue
        folder = ROOT / "build" / "mutants" / target.path.replace("/", ".")
        run(target, folder, options.jobs)
        outcome = json.loads(meta_of(target, folder).read_text())["exit_code_by_key"]
        unnoticed = [name for name, code in outcome.items() if code in (SURVIVED, UNTESTED)]
        key = {
            "protocol": "-", "dataset": target.path, "setting": "-", "method": "tests",
        }  # fmt: skip
        values = {
            "mutants": len(outcome),
            "noticed": 100.0 * (1.0 - len(unnoticed) / len(outcome)),
        }
        print(target.path, values, flush=True)
        records.replace(key, values)
        listed[target.path] = "\n".join(differences(target, folder, unnoticed))
        pages = [f"## {path}\n{lines.strip()}\n" for path, lines in sorted(listed.items())]
        survivors.write_text("\n" + "\n".join(pages))


def run(target: Target, folder: Path, jobs: int) -> None:
    """Run mutmut on a copy of the sources."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(
                source, folder / name, dirs_exist_ok=True,
                ignore=shutil.ignore_patterns("__pycache__", "results", "generated"),
            )  # fmt: skip
        else:
            shutil.copy(source, folder)
    tests = [f"tests/test_{name}.py" for name in target.tests]
    arguments = ["-o", "addopts=--import-mode=importlib --strict-markers -p no:xdist"]
    arguments += ["-k", target.chosen] if target.chosen else []
    settings = {
        "source_paths": ["gnr_sklearn"],
        "only_mutate": [f"gnr_sklearn/{target.path}"],
        "also_copy": [name for name in COPIED if name not in ("gnr_sklearn", "tests")],
        "pytest_add_cli_args": arguments,
        # Threads of polars and torch do not survive that a process is forked which has used them.
        "process_isolation": "forkserver",
        "pytest_add_cli_args_test_selection": tests,
    }
    lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
    text = (ROOT / "pyproject.toml").read_text()
    (folder / "pyproject.toml").write_text("\n".join([text, "[tool.mutmut]", *lines, ""]))
    meta = meta_of(target, folder)
    if meta.exists():
        noted = json.loads(meta.read_text())
        outcome = noted["exit_code_by_key"]
        noted["exit_code_by_key"] = {
            name: code if code in FAILED else None for name, code in outcome.items()
        }
        meta.write_text(json.dumps(noted))
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "mutmut", "run", "--max-children", str(jobs)]
    subprocess.run(command, cwd=folder, env=environment, check=True, stdin=subprocess.DEVNULL)


def meta_of(target: Target, folder: Path) -> Path:
    return folder / "mutants" / "gnr_sklearn" / f"{target.path}.meta"


def differences(target: Target, folder: Path, names: list[str]) -> list[str]:
    """Return the changed lines of mutants."""
    diff_of = import_module("mutmut.mutation.diff_apply").get_diff_for_mutant
    lines = []
    before = os.getcwd()
    os.chdir(folder)
    try:
        for name in names:
            lines += ["", name.rpartition(".")[2]]
            changed = diff_of(name, path=f"gnr_sklearn/{target.path}").splitlines()[2:]
            lines += [line for line in changed if line[0] in "+-"]
    finally:
        os.chdir(before)
    return lines
