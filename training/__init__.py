"""Learns TF-CLIP weights. Empty so far: the data readers, losses and the training loop come here."""
