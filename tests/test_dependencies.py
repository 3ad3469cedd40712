"""The list of dependencies is whole."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_every_dependency_is_listed_with_a_licence():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    wanted = [*project["dependencies"], *(each for extra in extras for each in extra)]
    names = {re.match(r"[A-Za-z0-9_-]+", each)[0] for each in wanted} - {project["name"]}
    rows = re.findall(
        r"^\| ([\w-]+) \| .* \| ([^|]+) \|$", (ROOT / "DEPENDENCIES.md").read_text(), re.M
    )
    listed = {name: licence for name, licence in rows if name not in ("package", "---")}
    assert set(listed) == names
    assert all(licence.strip() for licence in listed.values())
