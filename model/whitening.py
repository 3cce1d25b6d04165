"""Whitening: a linear map of descriptors, learned after training, by which cosines tell people apart better."""

import torch
from torch import Tensor, nn

_LEAST_PEOPLE = 2


class Whitening(nn.Module):
    """Takes the mean of descriptors off and stretches what is left: y = (x - mean) @ matrix.

    An affine map, so the mean over clips may be taken before or after it (method.md 1.4).

    Args:
        dimension: D.

    Attributes:
        mean: buffer (D,).
        matrix: buffer (D, D).
    """

    mean: Tensor
    matrix: Tensor

    def __init__(self, dimension: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dimension))
        self.register_buffer("matrix", torch.eye(dimension))

    def forward(self, descriptors: Tensor) -> Tensor:
        """Map (..., D) to (..., D)."""
        return (descriptors - self.mean) @ self.matrix


def within_identity_whitening(descriptors: Tensor, labels: Tensor, shrinkage: float = 0.1) -> tuple[Tensor, Tensor]:
    """Find the map after which descriptors of one identity vary alike in every direction.

    Directions in which tracklets of the same person differ much, by camera, pose and light, count for less afterwards,
    and those in which they agree for more. Within-class covariance normalisation (Hatch, Kajarekar and Stolcke,
    Interspeech 2006): matrix matrix^T is the inverse of the covariance within identities, here shrunk towards a
    multiple of the identity matrix, without which directions that were hardly seen would count for most.

    Args:
        descriptors: (N, D) float, not normalised.
        labels: (N,) int64, whose they are.
        shrinkage: what is added to the covariance's diagonal, over the mean of that diagonal; > 0.

    Returns:
        The mean (D,) and the matrix (D, D) of a `Whitening`, float32 on the CPU. Lengths are kept: the descriptors
        that it was found for have the same mean square after as before, less the mean's.

    Raises:
        ValueError: shapes do not fit, fewer than two identities have two descriptors or more, or the shrinkage is not
            positive.
    """
    if descriptors.ndim != 2 or labels.shape != descriptors.shape[:1]:
        raise ValueError(
            f"descriptors are {tuple(descriptors.shape)} and labels {tuple(labels.shape)}: (N, D) and (N,)"
        )
    if shrinkage <= 0:
        raise ValueError(f"shrinkage is {shrinkage}, expected more than 0")
    rows = descriptors.double().cpu()
    _, owners, counts = torch.unique(labels.cpu(), return_inverse=True, return_counts=True)
    if int((counts > 1).sum()) < _LEAST_PEOPLE:
        raise ValueError(f"{int((counts > 1).sum())} identities have two tracklets or more, expected 2 at least")
    means = torch.zeros(len(counts), rows.shape[1], dtype=torch.float64).index_add_(0, owners, rows) / counts[:, None]
    within = rows - means[owners]
    covariance = within.T @ within / len(rows)
    covariance += shrinkage * covariance.diagonal().mean() * torch.eye(len(covariance), dtype=torch.float64)
    matrix = torch.linalg.cholesky(torch.linalg.inv(covariance))
    mean = rows.mean(dim=0)
    centred = rows - mean
    scale = centred.square().mean().sqrt() / (centred @ matrix).square().mean().sqrt()
    return mean.float(), (matrix * scale).float()
