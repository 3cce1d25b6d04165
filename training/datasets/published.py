"""How large the public data sets are, as published, and findings that compare."""

from collections.abc import Mapping, Sequence

from training.datasets.tracklets import Finding

PUBLISHED: Mapping[str, Mapping[str, int]] = {
    "mars": {
        "train frames listed": 509_914,
        "train tracklets": 8_298,
        "train identities": 625,
        "test frames listed": 681_089,
        "test tracklets with junk": 12_180,
        "query tracklets": 1_980,
        "query identities": 626,
        "gallery tracklets": 11_310,
        "gallery tracklets that are no query": 9_330,
        "identities of those": 622,
        "cameras": 6,
    },
    "ls_vid": {
        "train tracklets": 2_831,
        "train identities": 842,
        "query tracklets": 3_504,
        "gallery tracklets": 11_333,
        "gallery tracklets that are no query": 7_829,
        "gallery identities": 2_730,
        "cameras": 15,
    },
    "ilids_vid": {
        "people": 300,
        "tracklets": 600,
        "frames of the shortest tracklet": 23,
        "frames of the longest tracklet": 192,
        "splits": 10,
        "train identities": 150,
        "query tracklets": 150,
        "gallery tracklets": 150,
    },
}
"""For each data set: what is counted, and the published count."""


def compare_with_published(data_set: str, counts: Mapping[str, int]) -> list[Finding]:
    """Compare counts with the published ones, in the order of `PUBLISHED`.

    Args:
        data_set: a key of `PUBLISHED`.
        counts: the same names as there. Another number is a finding and no error: somebody may use a part.

    Returns:
        A finding for each name.
    """
    return [
        Finding(name, f"{expected:,}", f"{counts[name]:,}", counts[name] == expected)
        for name, expected in PUBLISHED[data_set].items()
    ]


def expect_none(check: str, offenders: Sequence[str]) -> Finding:
    """Report what should not be there: how many, and the first."""
    found = f"{len(offenders):,}; the first: {offenders[0]}" if offenders else "0"
    return Finding(check, "0", found, not offenders)
