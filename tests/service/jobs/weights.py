"""Small untrained models, as files."""

from pathlib import Path

from model import ModelConfig, new_model, save_model


def make_weights(path: Path, seed: int) -> str:
    """Write the weights of a model that differs by its seed, and return its id."""
    return save_model(
        new_model(ModelConfig.preset("tiny"), seed=seed), path, {"trained": False, "name": f"seed-{seed}"}
    )
