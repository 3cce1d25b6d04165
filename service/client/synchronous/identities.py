"""Who is who: the part of the client that has to do with identities and matches."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from service.client.answers import if_match, parse, segment
from service.client.options import KEEP
from service.client.synchronous.sending import Sender
from service.client.wire import Tracklet
from service.client.wire.identities import (
    Appearance,
    AppearancePage,
    DecidedMatches,
    Identity,
    IdentityDetails,
    IdentityEvent,
    IdentityEventPage,
    IdentityPage,
    MatchDecision,
    MatchPage,
    Merged,
    Proposals,
    Unmerged,
)


class IdentityMethods(Sender):
    """Mixed into `TfclipClient`, which sends."""

    def create_identity(self, name: str, tracklet_ids: Sequence[str] = (), *, gallery: str | None = None) -> Identity:
        """Make an identity, with its first tracklets; this is how a proposal is accepted."""
        body: dict[str, Any] = {"name": name, "tracklet_ids": [str(one) for one in tracklet_ids]}
        if gallery is not None:
            body["gallery"] = gallery
        return parse(Identity, self._send("POST", "/identities", once=True, json=body))

    def list_identities(self, gallery: str | None = None, *, merged: bool = False) -> Iterator[Identity]:
        """Yield a gallery's identities, newest first; with `merged`, also those that were merged into others."""
        yield from self._pages(IdentityPage, "/identities", gallery, merged="true" if merged else None)

    def get_identity(self, identity_id: str) -> IdentityDetails:
        """Return one identity, the cameras that saw it, and its most typical picture."""
        return parse(IdentityDetails, self._send("GET", f"/identities/{segment(identity_id)}"))

    def rename_identity(self, identity_id: str, name: str, *, version: int | None = None) -> Identity:
        """Give an identity another name.

        Args:
            version: change nothing, and raise `ApiProblem`, when the identity is of another version by now.
        """
        path = f"/identities/{segment(identity_id)}"
        response = self._send("PATCH", path, repeatable=version is None, json={"name": name}, headers=if_match(version))
        return parse(Identity, response)

    def delete_identity(self, identity_id: str, *, version: int | None = None) -> None:
        """Delete an identity; its tracklets stay, without one.

        Args:
            version: delete nothing, and raise `ApiProblem`, when the identity is of another version by now.
        """
        path = f"/identities/{segment(identity_id)}"
        self._send("DELETE", path, gone_is_done=True, headers=if_match(version))

    def assign_tracklets(
        self, identity_id: str, tracklet_ids: Sequence[str], *, move: bool = False, version: int | None = None
    ) -> Identity:
        """Give tracklets to an identity, all or none.

        Args:
            move: also those of other identities.
            version: change nothing, and raise `ApiProblem`, when the identity is of another version by now.
        """
        body = {"tracklet_ids": [str(one) for one in tracklet_ids], "move": move}
        path = f"/identities/{segment(identity_id)}/tracklets"
        return parse(Identity, self._send("POST", path, once=True, json=body, headers=if_match(version)))

    def unassign_tracklet(self, identity_id: str, tracklet_id: str, *, version: int | None = None) -> None:
        """Take a tracklet from an identity; it stays stored.

        Args:
            version: change nothing, and raise `ApiProblem`, when the identity is of another version by now.
        """
        path = f"/identities/{segment(identity_id)}/tracklets/{segment(tracklet_id)}"
        self._send("DELETE", path, gone_is_done=True, headers=if_match(version))

    def merge_identities(self, kept_id: str, from_id: str, *, version: int | None = None) -> Merged:
        """Give all tracklets of `from_id` to `kept_id`.

        Args:
            version: change nothing, and raise `ApiProblem`, when `kept_id` is of another version by now.
        """
        body = {"from_id": str(from_id)}
        path = f"/identities/{segment(kept_id)}/merge"
        return parse(Merged, self._send("POST", path, once=True, json=body, headers=if_match(version)))

    def unmerge_identities(self, kept_id: str, event_id: int, *, version: int | None = None) -> Unmerged:
        """Undo a merge into an identity; `event_id` is the merge's in its history.

        Args:
            version: change nothing, and raise `ApiProblem`, when `kept_id` is of another version by now.
        """
        body = {"event_id": event_id}
        path = f"/identities/{segment(kept_id)}/unmerge"
        return parse(Unmerged, self._send("POST", path, once=True, json=body, headers=if_match(version)))

    def identity_history(self, identity_id: str) -> Iterator[IdentityEvent]:
        """Yield who did what to an identity, newest first."""
        yield from self._pages(IdentityEventPage, f"/identities/{segment(identity_id)}/history")

    def tracklet_history(self, tracklet_id: str) -> Iterator[IdentityEvent]:
        """Yield who gave a tracklet to whom, and what was decided of it, newest first; also of one that was deleted."""
        yield from self._pages(IdentityEventPage, f"/tracklets/{segment(tracklet_id)}/history")

    def appearances(self, identity_id: str) -> Iterator[Appearance]:
        """Yield an identity's tracklets in order of time, over all cameras, whose time offsets are added."""
        yield from self._pages(AppearancePage, f"/identities/{segment(identity_id)}/appearances")

    def propose_identities(
        self,
        gallery: str | None = None,
        *,
        threshold: float | None = None,
        limit: int | None = None,
        camera_id: Sequence[str] = (),
        started_after: datetime | None = None,
        ended_before: datetime | None = None,
    ) -> Proposals:
        """Cluster tracklets that have no identity; nothing is changed."""
        given = {
            "gallery": gallery,
            "threshold": None if threshold is None else str(threshold),
            "limit": None if limit is None else str(limit),
            "started_after": started_after.isoformat() if started_after else None,
            "ended_before": ended_before.isoformat() if ended_before else None,
        }
        parameters = [(name, value) for name, value in given.items() if value is not None]
        parameters += [("camera_id", one) for one in camera_id]
        return parse(Proposals, self._send("GET", "/identities/proposals", params=parameters))

    def decide_match(
        self,
        tracklet_id: str,
        verdict: Literal["same", "different"],
        *,
        other_tracklet_id: str | None = None,
        identity_id: str | None = None,
        gallery: str | None = None,
    ) -> DecidedMatches:
        """Confirm or reject that a tracklet is the person of another one, or of an identity."""
        given = {
            "gallery": gallery,
            "tracklet_id": str(tracklet_id),
            "other_tracklet_id": other_tracklet_id,
            "identity_id": identity_id,
            "verdict": verdict,
        }
        body = {name: value for name, value in given.items() if value is not None}
        return parse(DecidedMatches, self._send("POST", "/matches", once=True, json=body))

    def list_matches(
        self, gallery: str | None = None, *, verdict: Literal["same", "different"] | None = None
    ) -> Iterator[MatchDecision]:
        """Yield what was decided in a gallery, newest first."""
        yield from self._pages(MatchPage, "/matches", gallery, verdict=verdict)

    def get_match(self, match_id: str) -> MatchDecision:
        """Return one decision."""
        return parse(MatchDecision, self._send("GET", f"/matches/{segment(match_id)}"))

    def undo_match(self, match_id: str) -> None:
        """Take a decision back; what `same` put together comes apart, unless somebody moved it since."""
        self._send("DELETE", f"/matches/{segment(match_id)}", gone_is_done=True)

    def change_tracklet(
        self,
        tracklet_id: str,
        *,
        labels: Mapping[str, Any] | None = None,
        identity: object = KEEP,
        version: int | None = None,
    ) -> Tracklet:
        """Change a tracklet: other labels in the place of all that it has, or another identity by name (None: none)."""
        body: dict[str, Any] = {} if labels is None else {"labels": dict(labels)}
        if identity is not KEEP:
            body["identity"] = identity
        path = f"/tracklets/{segment(tracklet_id)}"
        return parse(
            Tracklet, self._send("PATCH", path, repeatable=version is None, json=body, headers=if_match(version))
        )
