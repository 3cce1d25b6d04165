"""Bytes to validated frames, and the way of an upload."""
