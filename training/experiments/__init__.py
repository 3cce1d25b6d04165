"""Experiments: many trainings that differ in one thing each, and a table of what came out."""
