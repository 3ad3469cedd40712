"""Measurements: ``python -m benchmarks NAME``. Records are kept in ``benchmarks/results``."""
