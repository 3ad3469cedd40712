"""Settings as text that tells them from others."""

import functools
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from gnr_sklearn._identity import identity_of


def scaled(factor):
    return lambda step: factor * step


def with_default(step, rate=0.5):
    return rate * step


def with_another_default(step, rate=0.25):
    return rate * step


with_another_default.__qualname__ = with_default.__qualname__


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (lambda step: 0.1, lambda step: 0.9),
        (lambda step: step.real, lambda step: step.imag),
        (lambda step: [0.1 for _ in step], lambda step: [0.9 for _ in step]),
        (lambda step: step in {1, 2}, lambda step: step in {1, 3}),
        (scaled(0.1), scaled(0.9)),
        (scaled(np.array([1.0])), scaled(np.array([2.0]))),
        (with_default, with_another_default),
        (functools.partial(round, ndigits=1), functools.partial(round, ndigits=2)),
    ],
    ids=["constant", "name", "inner", "set", "closure", "array", "default", "partial"],
)
def test_functions_differ_by_what_they_compute_with(one, other):
    of_one, of_other = (identity_of(function, "net_params") for function in (one, other))
    assert of_one != of_other
    assert of_one == identity_of(one, "net_params")


@pytest.mark.parametrize("state", [np.random.RandomState(0), np.random.default_rng(0), object()])
def test_what_is_written_with_its_address_is_refused(state):
    with pytest.raises(
        ValueError, match="checkpoint must be None where prior holds what cannot be"
    ):
        identity_of([state], "prior")


def test_functions_that_call_one_another():
    def one(step):
        return two(step)

    def two(step):
        return one(step)

    first = identity_of(one, "net_params")
    assert first == identity_of(one, "net_params")
    assert first != identity_of(two, "net_params")

    def unfinished(step):
        return later(step)

    assert "unfinished" in identity_of(unfinished, "net_params")

    def later(step):
        return step


def test_a_function_is_the_same_in_another_process():
    """Whatever the order of its sets of strings."""
    program = """
        from gnr_sklearn._identity import identity_of
        def chosen(name, factor=2.0):
            return factor * (name in {"a", "b", "c", "d", "e"})
        print(identity_of({"of": chosen}, "net_params"))
    """
    printed = {
        subprocess.run(
            [sys.executable, "-c", textwrap.dedent(program)],
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(printed) == 1
    assert "chosen" in printed.pop()
