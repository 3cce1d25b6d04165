"""Descriptors to ranked rows: the index, its columns for filters, snapshots and generations."""
