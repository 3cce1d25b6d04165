"""What has to be said wherever weights answer that nobody should rely on, in one place for every room."""


def caution(*, trained: bool, demo: bool) -> str | None:
    """Words that go behind a model's name, or None for a model that needs none.

    Args:
        trained: whether the weights were ever trained on tracklets.
        demo: whether they are demo weights, which learned from drawn people alone.
    """
    if not trained:
        # Random numbers mean nothing; CLIP as it came means a little, and was never taught who is who either.
        return "untrained weights, never taught who is who: rankings mean little or nothing"
    if demo:
        return "demo weights, trained on drawn people only and not for use on people"
    return None
