"""Settings of the test suite."""

from hypothesis import settings

# Timing belongs to the benchmarks: a slow machine is no failure.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
