"""Histories as commands show them."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from service.commands.tables import print_list

if TYPE_CHECKING:
    from service.client.wire.identities import IdentityEvent


def print_history(events: Iterable["IdentityEvent"], as_json: bool) -> None:
    """Print who did what to whom: the identity, and the one that was merged with it or compared."""
    print_list(
        events,
        as_json,
        ("event", "what", "tracklets", "name", "other", "by", "at"),
        lambda e: (
            e.id,
            e.kind,
            len(e.tracklet_ids),
            e.details.get("name"),
            e.details.get("other_name"),
            e.done_by,
            e.at,
        ),
    )
