"""The torch side: networks, densities, models, bounds and their training.

Nothing in this subpackage knows scikit-learn, missing-value markers or data frames.
It works on tensors: ``x`` with zeros in place of the missing values and ``mask``,
which is 1 where a value is observed and 0 where it is missing (eq. 1 of the paper).
"""
