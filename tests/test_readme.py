"""The snippets of README.md run as they stand, one after the other."""

import re
from pathlib import Path

import numpy as np

README = Path(__file__).parents[1] / "README.md"


def test_snippets():
    snippets = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)
    assert len(snippets) == 5
    names: dict = {}
    for snippet in snippets:
        exec(snippet, names)
    assert not np.isnan(names["X_imputed"]).any()
    assert names["observed_proba"].shape == names["X"].shape
    assert names["draws"].shape == (5, *names["X"].shape)
    assert 0 < names["error"] < 2
    assert names["search"].best_params_["alpha"] in (0.01, 1, 100)
