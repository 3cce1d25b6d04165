"""P x K sampling."""

from collections import Counter

import pytest

from training.sampling import IdentitySampler, part_of

LABELS = [label for label, count in enumerate([9, 4, 5, 8, 2, 1]) for _ in range(count)]


def sampler(seed: int = 1) -> IdentitySampler:
    return IdentitySampler(LABELS, identities=3, tracklets=4, seed=seed)


def test_a_batch_is_k_tracklets_of_each_of_p_identities() -> None:
    for batch in sampler().batches(1):
        groups = [batch[start : start + 4] for start in range(0, 12, 4)]
        owners = [{LABELS[row] for row in group} for group in groups]
        assert all(len(owner) == 1 for owner in owners)
        assert len(set.union(*owners)) == 3


def test_no_tracklet_is_seen_twice_in_an_epoch_unless_its_identity_has_too_few() -> None:
    for epoch in range(1, 20):
        seen = Counter(row for batch in sampler().batches(epoch) for row in batch)
        assert all(count == 1 for row, count in seen.items() if LABELS[row] < 4)
        assert all(count <= 4 for count in seen.values())


def test_identities_with_too_few_tracklets_are_drawn_with_replacement() -> None:
    seen = {row for epoch in range(1, 30) for batch in sampler().batches(epoch) for row in batch}
    assert seen == set(range(len(LABELS)))


def test_an_epoch_ends_when_too_few_identities_are_left() -> None:
    # Groups: 2, 1, 1, 2, 1, 1 of six identities: eight in all, so at most two batches of three.
    assert {len(sampler(seed).batches(1)) for seed in range(20)} <= {2}


def test_seed_and_epoch_decide_and_nothing_else() -> None:
    first = sampler()
    first.batches(7)
    assert first.batches(3) == sampler().batches(3)
    assert sampler().batches(3) != sampler().batches(4)
    assert sampler().batches(3) != sampler(seed=2).batches(3)


def test_shares_of_a_batch_are_whole_identities_and_together_the_batch() -> None:
    batch = sampler().batches(1)[0]
    shares = [part_of(batch, part, 3) for part in range(3)]
    assert [row for share in shares for row in share] == batch
    assert all(len({LABELS[row] for row in share}) == 1 for share in shares)


def test_too_few_identities_are_refused() -> None:
    with pytest.raises(ValueError, match="has 2 identities, expected 3"):
        IdentitySampler([0, 0, 1], identities=3, tracklets=2, seed=0)
