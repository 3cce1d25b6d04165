"""Frames to descriptors: backends behind one protocol, and the batcher."""
