"""Serves TF-CLIP weights: tracklets in over HTTP, ranked tracklets out."""
