"""Do calibrations keep their promises? Made-up galleries whose truth is known, and people of a data set.

    python -m benchmarks.calibration [--galleries 40] [--descriptors FILE.npz] [--strangers FILE.npz]

`--descriptors` names a file of `tfclip embed`: on that, the logistic curve is compared with isotonic regression, and it
is calibrated as a gallery of which `--strangers`, another such file with other people, is then asked.
"""

import argparse

import numpy as np
from numpy.typing import NDArray

from service.calibration.curve import CENTRES, fit_curve
from service.calibration.fitting import Wanted, fit, label
from service.calibration.scoring import PairCounts, score
from service.commands.tables import print_table

SEEN = 3
STRANGERS = 3000


def gallery(people: int, crowding: float, rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Centres of people, (P, 16), who look like many others the more the crowding; and a tracklet of each, (P, 16)."""
    centres = rng.normal(size=(people, 16)) + crowding * rng.gamma(1.0, 1.0, size=(people, 1))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    return centres, see(centres, rng)


def see(centres: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float32]:
    """One more tracklet of each person."""
    vectors = centres + 0.5 * rng.normal(size=centres.shape) / 4.0
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def promise(crowding: float, people: int, labelled: int, target: float, seed: int) -> tuple[float, bool, bool]:
    """True FPIR of the threshold for `match`, and whether it and the true FNIR lie in the reported intervals."""
    rng = np.random.default_rng(seed)
    centres, first = gallery(people, crowding, rng)
    vectors = np.stack([first, *(see(centres, rng) for _ in range(SEEN - 1))], axis=1).reshape(-1, 16)
    identity = np.repeat(np.where(np.arange(people) < labelled, np.arange(people), -1), SEEN)
    camera = np.tile(np.arange(SEEN), people)
    chosen = label(identity, camera, False)
    fitted = fit(chosen, lambda rows: vectors[rows], len(vectors), Wanted(target, 0.3, None, False))
    said = fitted.report["decisions"]["match"]
    _, strangers = gallery(STRANGERS, crowding, rng)
    fpir = float(np.mean((strangers @ vectors.T).max(axis=1) >= fitted.match_threshold))
    scores, person = vectors @ vectors.T, np.repeat(np.arange(people), SEEN)
    own = person[:, None] == person[None, :]
    mates = np.where(own & (camera[:, None] != camera[None, :]), scores, -np.inf).max(axis=1)
    found = (mates >= fitted.match_threshold) & (mates > np.where(own, -np.inf, scores).max(axis=1))
    fnir = float(np.mean(~found))
    return fpir, *(said[name]["low"] <= rate <= said[name]["high"] for name, rate in (("fpir", fpir), ("fnir", fnir)))


def isotonic(same: NDArray[np.float64], different: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probability by bin: pool adjacent violators, and straight lines between bins without pairs."""
    seen = np.flatnonzero(same + different)
    pools: list[list[float]] = []
    for positives, total in zip(same[seen], (same + different)[seen], strict=True):
        pools.append([positives, total, 1])
        while len(pools) > 1 and pools[-2][0] * pools[-1][1] >= pools[-1][0] * pools[-2][1]:
            last = pools.pop()
            pools[-1] = [a + b for a, b in zip(pools[-1], last, strict=True)]
    shares = np.repeat([pool[0] / pool[1] for pool in pools], [int(pool[2]) for pool in pools])
    return np.interp(CENTRES, CENTRES[seen], shares)


def compare(pairs: PairCounts) -> dict[str, tuple[float, float]]:
    """Log loss and Brier score of both curves, each person's pairs judged by a curve fitted without them."""
    same, apart = pairs.same.astype(float), (pairs.searching + pairs.others).astype(float)
    different = pairs.searching.sum(axis=0) / 2 + pairs.others.sum(axis=0)
    sums = {"logistic": np.zeros(2), "isotonic": np.zeros(2)}
    for own, others in zip(same, apart, strict=True):
        yes, no = same.sum(axis=0) - own, different - others
        share = yes.sum() / (yes.sum() + no.sum())
        for name in sums:
            chance = fit_curve(yes, no).probability(CENTRES, share) if name == "logistic" else isotonic(yes, no)
            sure = np.clip(chance, 1e-6, 1 - 1e-6)
            sums[name] += (
                -np.sum(2 * own * np.log(sure) + others * np.log1p(-sure)),
                np.sum(2 * own * (1 - chance) ** 2 + others * chance**2),
            )
    total = 2 * same.sum() + apart.sum()
    return {name: (float(both[0] / total), float(both[1] / total)) for name, both in sums.items()}


def described(path: str) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
    """Vectors, identities and cameras of a file of `tfclip embed`."""
    data = np.load(path)
    parts = np.array([one.split("/")[:2] for one in data["paths"].tolist()])
    _, identity = np.unique(parts[:, 0], return_inverse=True)
    _, camera = np.unique(parts[:, 1], return_inverse=True)
    return np.asarray(data["vectors"], np.float32), identity, camera


def some_people(identity: NDArray[np.int64], people: int) -> NDArray[np.int64]:
    """The identities, of so many people; -1 for the others."""
    chosen = np.random.default_rng(0).permutation(identity.max() + 1)[:people]
    return np.where(np.isin(identity, chosen), identity, -1)


def ask(path: str, strangers: str) -> list[tuple[str, ...]]:
    """Calibrate the people of one file, all of them labelled and a part, and search for those of another."""
    vectors, identity, camera = described(path)
    best = (described(strangers)[0] @ vectors.T).max(axis=1)
    rows = []
    for people in (identity.max() + 1, (identity.max() + 1) // 2):
        chosen = label(some_people(identity, people), camera, False)
        fitted = fit(chosen, lambda numbers: vectors[numbers], len(vectors), Wanted(0.02, 0.1, None, False))
        for name, threshold in (("match", fitted.match_threshold), ("possible", fitted.possible_threshold)):
            said = fitted.report["decisions"][name]["fpir"]
            interval = f"{said['value']:.3f} ({said['low']:.3f} to {said['high']:.3f})"
            rows.append((str(people), name, f"{threshold:.4f}", interval, f"{np.mean(best >= threshold):.3f}"))
    return rows


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--galleries", type=int, default=40)
    parser.add_argument("--descriptors")
    parser.add_argument("--strangers")
    options = parser.parse_args()
    rows = []
    for name, crowding in (("even", 0.0), ("crowded", 0.5)):
        for people, labelled, target in ((60, 60, 0.05), (200, 200, 0.02), (240, 120, 0.05), (600, 60, 0.05)):
            found = [promise(crowding, people, labelled, target, seed) for seed in range(options.galleries)]
            rates = [one[0] for one in found]
            rows.append(
                (
                    name,
                    str(people),
                    str(labelled),
                    f"{target:g}",
                    f"{np.mean(rates):.3f}",
                    f"{np.median(rates):.3f}",
                    f"{sum(one[1] for one in found)}/{len(found)}",
                    f"{sum(one[2] for one in found)}/{len(found)}",
                )
            )
    heads = ("people", "in the gallery", "labelled", "promised FPIR", "mean", "median", "FPIR inside", "FNIR inside")
    print_table(heads, rows)
    if options.descriptors is None:
        return
    vectors, identity, camera = described(options.descriptors)
    rows = []
    for people in (25, 50, 100, 250, 500):
        if people <= identity.max() + 1:
            chosen = label(some_people(identity, people), camera, False)
            pairs = score(chosen, lambda numbers: vectors[numbers], 0.0)[1]
            figures = compare(pairs)
            one = [f"{value:.5f}" for name in ("logistic", "isotonic") for value in figures[name]]
            rows.append((str(people), str(int(pairs.same.sum())), *one))
    print_table(("people", "pairs", "logistic log loss", "Brier", "isotonic log loss", "Brier "), rows)
    if options.strangers is not None:
        heads = ("labelled people", "decision", "from score", "reported FPIR", "strangers answered so")
        print_table(heads, ask(options.descriptors, options.strangers))


if __name__ == "__main__":
    main()
