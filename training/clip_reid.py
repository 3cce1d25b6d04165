"""CLIP-ReID's first stage: text features for identities that have no description (arXiv 2211.13977; method.md 7.2).

The baseline that TF-CLIP is compared with. Four learned tokens stand for each person in "A photo of a X X X X person.";
they are all that is learned, against image features of the frozen encoder. What the frozen text tower makes of the
prompts then takes the place of the CLIP-Memory.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import cos, pi

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.text_tower import TextTower

TEMPLATE = "A photo of a {} person."
_PLACEHOLDER = "X"
LEARNED_TOKENS = 4


@dataclass(frozen=True, kw_only=True)
class PromptStage:
    """How the prompts are learned; the defaults are the released ones of CLIP-ReID.

    Attributes:
        epochs: over the tracklets.
        batch: tracklets of a step.
        rate: of Adam, after `warmup_epochs` and before it falls along a cosine to `final_rate`.
        warmup_epochs, warmup_rate: the rate rises linearly from this one.
        final_rate: at the end.
        weight_decay: L2 in the gradient.
    """

    epochs: int = 120
    batch: int = 64
    rate: float = 3.5e-4
    warmup_epochs: int = 5
    warmup_rate: float = 1e-5
    final_rate: float = 1e-6
    weight_decay: float = 1e-4

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch < 2:
            raise ValueError(f"epochs is {self.epochs}, batch is {self.batch}: expected 1 or more, and 2 or more")

    def rate_of(self, epoch: int) -> float:
        """The rate of an epoch, from 1."""
        if epoch <= self.warmup_epochs:
            return self.warmup_rate + (self.rate - self.warmup_rate) * (epoch - 1) / self.warmup_epochs
        part = (epoch - 1) / self.epochs
        return self.final_rate + (self.rate - self.final_rate) * (1 + cos(pi * part)) / 2


class IdentityPrompts(nn.Module):
    """One prompt for each identity, alike but for its learned tokens.

    Args:
        tower: whose embeddings the fixed words have.
        identities: Y.
    """

    prefix: Tensor
    suffix: Tensor

    def __init__(self, tower: TextTower, identities: int) -> None:
        super().__init__()
        tokens = tower.tokens(TEMPLATE.format(" ".join([_PLACEHOLDER] * LEARNED_TOKENS)))
        placeholder = int(tower.tokens(_PLACEHOLDER)[1])
        places = torch.nonzero(tokens == placeholder).flatten().tolist()
        embedded = tower.embed(tokens.to(tower.tower.token_embedding.weight.device)).detach()
        self.register_buffer("prefix", embedded[: places[0]], persistent=False)
        self.register_buffer("suffix", embedded[places[-1] + 1 :], persistent=False)
        self.learned = nn.Parameter(torch.randn(identities, LEARNED_TOKENS, tower.width) * 0.02)

    def forward(self, labels: Tensor) -> Tensor:
        """Embeddings (B, L, width) of the prompts of these labels, (B,) int64."""
        rows = len(labels)
        return torch.cat(
            [self.prefix.expand(rows, -1, -1), self.learned[labels], self.suffix.expand(rows, -1, -1)], dim=1
        )


def two_way_contrastive(images: Tensor, texts: Tensor, labels: Tensor) -> Tensor:
    """Image-to-text plus text-to-image supervised contrastive loss, raw dot products, temperature 1.

    For an anchor, the mean of -log softmax over all its positives, which are the rows of the other kind with its label
    (equations 3 and 4 of arXiv 2211.13977).

    Args:
        images: (B, d) float.
        texts: (B, d) float, of the same rows.
        labels: (B,) int64.
    """
    positive = (labels.unsqueeze(1) == labels.unsqueeze(0)).float()
    products = images.float() @ texts.float().T
    total = products.new_zeros(())
    for logits in (products, products.T):
        total = total - ((positive * F.log_softmax(logits, dim=1)).sum(dim=1) / positive.sum(dim=1)).mean()
    return total


def learn_text_features(
    tower: TextTower,
    images: Tensor,
    labels: Tensor,
    stage: PromptStage,
    *,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Tensor, float]:
    """Learn the prompts of all identities.

    Args:
        tower: the frozen text tower, on the device to compute on.
        images: (n, d) float, one image feature for each tracklet, of the untouched encoder, not normalised.
        labels: (n,) int64, identities 0..Y-1, each with a tracklet.
        stage: the recipe.
        seed: of the first tokens and of the order.
        progress: called with epochs done and all epochs.

    Returns:
        (Y, d) float32 text features on the CPU, not normalised, and the mean loss of the last epoch.

    Raises:
        ValueError: image and text features differ in length, or the loss is not finite.
    """
    if images.shape[1] != tower.projection:
        raise ValueError(f"image features have {images.shape[1]} channels, expected the tower's {tower.projection}")
    device = tower.tower.positional_embedding.device
    torch.manual_seed(seed)
    prompts = IdentityPrompts(tower, int(labels.max()) + 1).to(device)
    optimiser = torch.optim.Adam(prompts.parameters(), lr=stage.rate, weight_decay=stage.weight_decay)
    images, labels = images.to(device), labels.to(device)
    mean = 0.0
    for epoch in range(1, stage.epochs + 1):
        for group in optimiser.param_groups:
            group["lr"] = stage.rate_of(epoch)
        losses = []
        for rows in torch.split(torch.randperm(len(labels)).to(device), stage.batch):
            loss = two_way_contrastive(images[rows], tower(prompts(labels[rows])), labels[rows])
            optimiser.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            optimiser.step()
            losses.append(loss.detach())
        mean = float(torch.stack(losses).mean())
        if not mean < float("inf"):
            raise ValueError(f"the loss of the prompts is {mean} in epoch {epoch}: lower memory.text.rate")
        if progress is not None:
            progress(epoch, stage.epochs)
    return _all_features(tower, prompts, stage.batch), mean


@torch.no_grad()
def _all_features(tower: TextTower, prompts: IdentityPrompts, batch: int) -> Tensor:
    every = torch.arange(len(prompts.learned), device=prompts.learned.device)
    return torch.cat([tower(prompts(rows)).float().cpu() for rows in torch.split(every, batch)])
