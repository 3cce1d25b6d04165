"""`tfclip identities`: who is who."""

from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from model.cli import print_json
from service.commands.cameras import name_unknown
from service.commands.connection import LOCAL_URL, ApiKey, AsJson, Gallery, Url, parse_time, service_at
from service.commands.histories import print_history
from service.commands.tables import moment, print_fields, print_list, print_table

if TYPE_CHECKING:
    from service.client.wire.identities import Identity

IdentityId = Annotated[str, typer.Argument(metavar="ID", help="As `tfclip identities list` shows it.")]
TrackletIds = Annotated[list[str], typer.Argument(metavar="TRACKLET...", help="Ids of tracklets.")]
Limit = Annotated[int, typer.Option(min=1, help="How many at most.")]


def register(app: typer.Typer) -> None:
    """Add `tfclip identities ...`."""
    group = typer.Typer(no_args_is_help=True, help="The people of a gallery, as somebody confirmed them.")
    group.command("list")(list_identities)
    group.command("show")(show_identity)
    group.command("create")(create_identity)
    group.command("rename")(rename_identity)
    group.command("delete")(delete_identity)
    group.command("assign")(assign)
    group.command("unassign")(unassign)
    group.command("merge")(merge)
    group.command("unmerge")(unmerge)
    group.command("history")(history)
    group.command("appearances")(appearances)
    group.command("propose")(propose)
    app.add_typer(group, name="identities")


def list_identities(
    gallery: Gallery = None,
    merged: Annotated[bool, typer.Option("--merged", help="Also those that were merged into others.")] = False,
    limit: Limit = 50,
    url: Url = LOCAL_URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """List a gallery's newest identities."""
    with service_at(url, api_key) as client:
        print_list(
            islice(client.list_identities(gallery, merged=merged), limit),
            as_json,
            ("identity", "name", "tracklets", "merged into", "created"),
            lambda i: (i.id, i.name, i.tracklets, i.merged_into, i.created_at),
        )


def show_identity(identity: IdentityId, url: Url = LOCAL_URL, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """Show which cameras saw an identity, and when, their time offsets added."""
    with service_at(url, api_key) as client:
        found = client.get_identity(identity)
    print_fields(found.model_dump(mode="json", exclude=None if as_json else {"cameras"}), as_json)
    if as_json:
        return
    rows = [(c.camera_id, str(c.tracklets), moment(c.first_seen), moment(c.last_seen)) for c in found.cameras]
    print_table(("camera", "tracklets", "first seen", "last seen"), rows)


def create_identity(
    name: Annotated[str, typer.Argument(help="What to call it.")],
    tracklets: Annotated[
        list[str] | None, typer.Argument(metavar="[TRACKLET]...", help="Its first tracklets.", show_default=False)
    ] = None,
    gallery: Gallery = None,
    url: Url = LOCAL_URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Make an identity."""
    with service_at(url, api_key) as client:
        _show(client.create_identity(name, tracklets or [], gallery=gallery), as_json)


def rename_identity(
    identity: IdentityId,
    name: Annotated[str, typer.Argument(help="What to call it from now on.")],
    url: Url = LOCAL_URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Give an identity another name."""
    with service_at(url, api_key) as client:
        _show(client.rename_identity(identity, name), as_json)


def delete_identity(
    identity: IdentityId, url: Url = LOCAL_URL, api_key: ApiKey = None, as_json: AsJson = False
) -> None:
    """Delete an identity, and those that were merged into it; the tracklets stay."""
    with service_at(url, api_key) as client:
        client.delete_identity(identity)
    if as_json:
        print_json({"deleted": identity})
    else:
        typer.echo(f"deleted {identity}")


def assign(
    identity: IdentityId,
    tracklets: TrackletIds,
    move: Annotated[bool, typer.Option("--move", help="Also tracklets of other identities.")] = False,
    url: Url = LOCAL_URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Give tracklets to an identity, all or none."""
    with service_at(url, api_key) as client:
        _show(client.assign_tracklets(identity, tracklets, move=move), as_json)


def unassign(
    identity: IdentityId,
    tracklets: TrackletIds,
    url: Url = LOCAL_URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Take tracklets from an identity, one after another; they stay stored."""
    with service_at(url, api_key) as client:
        for tracklet in tracklets:
            client.unassign_tracklet(identity, tracklet)
        _show(client.get_identity(identity), as_json)


def merge(
    kept: Annotated[str, typer.Argument(metavar="KEPT", help="The identity that stays.")],
    other: Annotated[str, typer.Argument(metavar="OTHER", help="The one whose tracklets go to it.")],
    url: Url = LOCAL_URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Say that two identities are one person; `unmerge` takes it back."""
    with service_at(url, api_key) as client:
        merged = client.merge_identities(kept, other)
    if as_json:
        print_json(merged.model_dump(mode="json"))
    else:
        typer.echo(f"{merged.identity.name} has {merged.identity.tracklets} tracklets; event {merged.event_id}")


def unmerge(
    kept: Annotated[str, typer.Argument(metavar="KEPT", help="The identity that was kept.")],
    event: Annotated[int, typer.Argument(metavar="EVENT", min=1, help="The merge, as `history` shows it.")],
    url: Url = LOCAL_URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Undo a merge: what it moved, and nobody moved since, goes back."""
    with service_at(url, api_key) as client:
        undone = client.unmerge_identities(kept, event)
    if as_json:
        print_json(undone.model_dump(mode="json"))
        return
    typer.echo(f"{undone.identity.name} has {len(undone.restored)} tracklets again")
    for what, ids in (("assigned or unassigned since, left alone", undone.elsewhere), ("deleted since", undone.gone)):
        if ids:
            typer.echo(f"{what}: {' '.join(ids)}")


def history(
    identity: IdentityId, limit: Limit = 50, url: Url = LOCAL_URL, api_key: ApiKey = None, as_json: AsJson = False
) -> None:
    """Show who did what to an identity, newest first; also to one that was deleted."""
    with service_at(url, api_key) as client:
        print_history(islice(client.identity_history(identity), limit), as_json)


def appearances(
    identity: IdentityId, limit: Limit = 100, url: Url = LOCAL_URL, api_key: ApiKey = None, as_json: AsJson = False
) -> None:
    """Show where and when an identity was seen, in order of time, the cameras' time offsets added."""
    with service_at(url, api_key) as client:
        print_list(
            islice(client.appearances(identity), limit),
            as_json,
            ("started", "ended", "camera", "frames", "tracklet"),
            lambda a: (a.started_at, a.ended_at, a.camera_id, a.frame_count, a.tracklet_id),
        )


def propose(
    gallery: Gallery = None,
    threshold: Annotated[
        float | None, typer.Option(min=-1, max=1, help="Least average similarity.", show_default="0.6")
    ] = None,
    camera: Annotated[list[str] | None, typer.Option(help="Only this camera; repeat for more.")] = None,
    started_after: Annotated[str | None, typer.Option(help="ISO 8601; UTC without an offset.")] = None,
    ended_before: Annotated[str | None, typer.Option(help="ISO 8601; UTC without an offset.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="How many clusters.")] = 50,
    url: Url = LOCAL_URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Cluster tracklets that have no identity. Nothing is changed; `create` accepts a cluster."""
    with service_at(url, api_key) as client:
        found = client.propose_identities(
            gallery,
            threshold=threshold,
            limit=limit,
            camera_id=camera or [],
            started_after=parse_time(started_after),
            ended_before=parse_time(ended_before),
        )
        name_unknown(client, gallery, camera or [])
    if as_json:
        print_json(found.model_dump(mode="json"))
        return
    for cluster in found.items:
        like = f", like {cluster.like.name} ({cluster.like.similarity:.3f})" if cluster.like else ""
        alike = "" if cluster.similarity is None else f", {cluster.similarity:.3f} alike"
        typer.echo(f"{len(cluster.tracklet_ids)} tracklets{alike}{like}: {' '.join(cluster.tracklet_ids)}")
    typer.echo(
        f"{found.found} clusters of {found.tracklets} tracklets without an identity, threshold {found.threshold}"
    )


def _show(identity: "Identity", as_json: bool) -> None:
    if as_json:
        print_json(identity.model_dump(mode="json"))
    else:
        typer.echo(f"{identity.id} {identity.name}, {identity.tracklets} tracklets")
