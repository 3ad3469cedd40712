"""Settings of the test suite."""

import torch
from hypothesis import settings

# Timing belongs to the benchmarks: a slow machine is no failure.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

# The nets of the tests are small, and threads that wait for each other take longer than one.
torch.set_num_threads(1)
