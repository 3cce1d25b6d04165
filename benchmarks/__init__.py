"""Benchmarks: each prints one table. Nothing in tests/ asserts a time."""
