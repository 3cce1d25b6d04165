"""The momentum memory: rows that follow the batches, in place of a prompt (method.md 8.1)."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor


def moved_rows(
    memory: Tensor, v: Tensor, labels: Tensor, momentum: float, *, towards: Literal["mean", "hardest"]
) -> Tensor:
    """Move the rows of a batch's identities towards it: M_y <- mu M_y + (1 - mu) b, normalised (method.md 8.1).

    Args:
        memory: (Y, d) float32, rows of length 1.
        v: (B, d) float, of the batch's clips, of any length.
        labels: (B,) int64 in 0..Y-1.
        momentum: mu, what the old row weighs.
        towards: b is the `mean` of the identity's normalised clips, or the `hardest` of them: that whose cosine with
            the old row is least.

    Returns:
        (Y, d) float32, rows of length 1; those of identities that the batch has not are as they were.
    """
    clips = F.normalize(v.float(), dim=1)
    identities, owners = torch.unique(labels, return_inverse=True)
    own = owners == torch.arange(len(identities), device=labels.device).unsqueeze(1)
    rows = memory[identities]
    if towards == "hardest":
        alike = (rows @ clips.T).masked_fill(~own, torch.inf)
        batch = clips[alike.argmin(dim=1)]
    else:
        batch = own.float() @ clips / own.sum(dim=1, keepdim=True)
    moved = memory.clone()
    moved[identities] = F.normalize(momentum * rows + (1 - momentum) * batch, dim=1)
    return moved
