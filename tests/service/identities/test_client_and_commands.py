"""Identities from Python and from the command line, against a running service."""

import uuid
from collections.abc import Iterator

import pytest

from service.client import TfclipClient
from service.client.errors import ApiProblem
from tests.commands import answer, tfclip
from tests.support import RunningService, upload

pytestmark = pytest.mark.usefixtures("silent_service")


@pytest.fixture
def client(running_service: RunningService) -> Iterator[TfclipClient]:
    """A client with every scope."""
    with TfclipClient(running_service.url, running_service.admin_key) as client:
        yield client


def said(running: RunningService, *arguments: object, code: int = 0) -> str:
    """Run a command; standard output, or standard error when it must fail."""
    result = tfclip(running, *arguments)
    assert result.exit_code == code, result.output
    return result.stderr if code else result.stdout


def test_everything_can_be_done_from_python(running_service: RunningService, client: TfclipClient) -> None:
    ids = [
        upload(running_service, seed, 1, gallery="py", started_at=f"2026-01-0{seed + 1}T00:00:00Z")["id"]
        for seed in range(5)
    ]
    ann = client.create_identity("Ann", ids[:2], gallery="py")
    ben = client.create_identity("Ben", gallery="py")
    assert client.assign_tracklets(ben.id, [ids[2]]).tracklets == 1
    assert client.assign_tracklets(ben.id, [ids[1]], move=True).tracklets == 2
    client.unassign_tracklet(ben.id, ids[1])
    assert client.rename_identity(ann.id, "Anna").name == "Anna"
    with pytest.raises(ApiProblem) as refused:
        client.rename_identity(ann.id, "Anne", version=1)
    assert (refused.value.status, refused.value.code) == (412, "precondition_failed")
    merged = client.merge_identities(ann.id, ben.id)
    assert [seen.tracklet_id for seen in client.appearances(ann.id)] == [ids[0], ids[2]]
    assert client.unmerge_identities(ann.id, merged.event_id).restored == [ids[2]]
    assert {one.name for one in client.list_identities("py")} == {"Anna", "Ben"}
    assert client.get_identity(ben.id).cameras[0].camera_id == "c1"
    kinds = [event.kind for event in client.identity_history(ann.id)]
    assert kinds == ["unmerged", "merged", "renamed", "unassigned", "created"]
    rejected = client.decide_match(ids[3], "different", other_tracklet_id=ids[4], gallery="py").items[0]
    assert list(client.list_matches("py", verdict="different")) == [rejected]
    assert client.get_match(rejected.id) == rejected
    for cluster in client.propose_identities("py", threshold=-1.0).items:
        assert not {ids[3], ids[4]} <= set(cluster.tracklet_ids)
    client.undo_match(rejected.id)
    assert list(client.list_matches("py")) == []
    assert client.decide_match(ids[3], "same", identity_id=ben.id, gallery="py").identity_id == ben.id
    changed = client.change_tracklet(ids[4], labels={"bag": True}, identity="Cem")
    assert (changed.identity, changed.labels) == ("Cem", {"bag": True})
    assert client.change_tracklet(ids[4], identity=None, version=changed.version).labels == {"bag": True}
    client.delete_identity(ben.id)
    assert client.get_tracklet(ids[2]).identity is None


def test_everything_can_be_done_from_the_command_line(running_service: RunningService) -> None:
    ids = [upload(running_service, seed, 1, gallery="cli")["id"] for seed in range(5)]
    cli = ("--gallery", "cli")
    ann = answer(running_service, "identities", "create", "Ann", *ids[:2], *cli)["id"]
    ben = answer(running_service, "identities", "create", "Ben", *cli)["id"]
    assert "identity_conflict" in said(running_service, "identities", "assign", ben, *ids[1:3], code=2)
    assert "Ben, 2 tracklets" in said(running_service, "identities", "assign", ben, *ids[1:3], "--move")
    assert answer(running_service, "identities", "unassign", ben, *ids[1:3])["tracklets"] == 0
    said(running_service, "identities", "assign", ben, *ids[1:3])
    assert "Anna, 1 tracklets" in said(running_service, "identities", "rename", ann, "Anna")
    event = answer(running_service, "identities", "merge", ann, ben)["event_id"]
    assert "Anna" in said(running_service, "identities", "list", *cli, "--merged")
    merged = next(line for line in said(running_service, "identities", "history", ann).splitlines() if "merged" in line)
    assert ("Anna" in merged, "Ben" in merged) == (True, True)
    said(running_service, "tracklets", "delete", ids[2])
    shown = said(running_service, "identities", "unmerge", ann, event)
    assert "Ben has 1 tracklets again" in shown
    assert f"deleted since: {ids[2]}" in shown
    assert ids[0] in said(running_service, "identities", "appearances", ann)
    assert "c1" in said(running_service, "identities", "show", ann)
    assert "both are of identity" in said(running_service, "match", ids[3], ids[4], "--same", *cli)
    assert "merge" in said(running_service, "match", ids[3], ids[0], "--same", *cli, code=2)
    assert "--same or --different" in said(running_service, "match", ids[3], ids[0], *cli, code=2)
    assert "no proposal" in said(running_service, "match", ids[3], ids[0], "--different", *cli)
    for identity in answer(running_service, "identities", "list", *cli)["items"]:
        said(running_service, "identities", "delete", identity["id"])
    assert "clusters of 4 tracklets without an identity" in said(running_service, "identities", "propose", *cli)


def test_decisions_are_made_listed_and_taken_back_from_the_command_line(running_service: RunningService) -> None:
    times = [f"2026-01-0{day}T00:00:00Z" for day in (1, 2, 3)]
    ids = [upload(running_service, seed, 1, gallery="decided", started_at=at)["id"] for seed, at in enumerate(times)]
    cli = ("--gallery", "decided")
    ann = answer(running_service, "identities", "create", "Ann", ids[0], *cli)["id"]
    shown = said(running_service, "match", ids[1], "--identity", ann, "--different", *cli)
    (decision,) = answer(running_service, "matches", "list", *cli)["items"]
    assert f"tfclip matches undo {decision['id']}" in shown
    assert decision["id"] in said(running_service, "matches", "list", *cli, "--verdict", "different")
    assert answer(running_service, "matches", "list", *cli, "--verdict", "same") == {"items": []}
    assert answer(running_service, "matches", "show", decision["id"]) == decision
    # What refuses says which command takes the decision back.
    refused = said(running_service, "identities", "assign", ann, ids[1], code=2)
    assert f"`tfclip matches undo {decision['id']}`" in refused
    assert decision["id"] in said(running_service, "matches", "undo", decision["id"])
    assert "404 not_found" in said(running_service, "matches", "show", decision["id"], code=2)
    kinds = [line.split()[3] for line in said(running_service, "tracklets", "history", ids[1]).splitlines()[3:-1]]
    assert kinds == ["withdrawn", "rejected"]
    assert "it is of identity" in said(running_service, "match", ids[1], "--identity", ann, "--same", *cli)
    for given in ((), (ids[2], "--identity", ann)):
        assert "one of the two" in said(running_service, "match", ids[1], *given, "--same", *cli, code=2)
    # Of the last alone: the other two have an identity.
    propose = ("identities", "propose", *cli, "--threshold", -1)
    assert answer(running_service, *propose, "--started-after", "2026-01-03")["tracklets"] == 1
    assert answer(running_service, *propose, "--ended-before", "2026-01-02")["tracklets"] == 0
    assert "has no camera 'c9'" in tfclip(running_service, *propose, "--camera", "c9").stderr


def test_a_tracklet_is_changed_from_the_command_line(running_service: RunningService) -> None:
    stored = upload(running_service, 1, 1, gallery="set", labels={"bag": True, "door": 2})["id"]
    command = ("tracklets", "set", stored)
    changed = answer(running_service, *command, "--identity", "Ann", "--label", "door=3", "--label", "hat=red")
    assert (changed["identity"], changed["labels"]) == ("Ann", {"bag": True, "door": 3, "hat": "red"})
    assert answer(running_service, "tracklets", "show", stored) == changed
    assert answer(running_service, *command, "--clear", "identity")["labels"] == changed["labels"]
    alone = answer(running_service, *command, "--clear", "labels", "--label", "size=1e999")
    assert (alone["identity"], alone["labels"]) == (None, {"size": "1e999"})
    assert "{}" in said(running_service, *command, "--clear", "labels")


REFUSED = {
    (): "nothing to change",
    ("--clear", "identity", "--identity", "Ann"): "--identity is given, too",
    ("--clear", "camera"): "'camera' is not one of 'identity', 'labels'",
    ("--label", "door"): "expected KEY=VALUE",
    ("--label", "=2"): "expected KEY=VALUE",
    ("--label", "door=[2]"): "must be a text",
    ("--label", " door=2"): "must not begin or end with white space",
    ("--identity", " "): "must have a visible character",
    ("--identity", "An\udcffn"): "must be UTF-8",
}


def test_what_cannot_be_said_of_a_tracklet_is_one_line(running_service: RunningService) -> None:
    stored = upload(running_service, 2, 1, gallery="set")["id"]
    for given, fault in REFUSED.items():
        line = said(running_service, "tracklets", "set", stored, *given, code=2)
        assert (line.count("\n"), fault in line) == (1, True), line
    assert "404 not_found" in said(running_service, "tracklets", "set", str(uuid.uuid4()), "--label", "a=1", code=2)
    assert answer(running_service, "tracklets", "show", stored)["version"] == 1


NAMED = (("cameras", "set", "NAME"), ("identities", "create", "NAME"), ("keys", "create", "NAME", "--scope", "read"))


@pytest.mark.parametrize("command", NAMED)
def test_a_name_that_nobody_can_see_is_one_line(running_service: RunningService, command: tuple[str, ...]) -> None:
    for name, fault in {" ": "visible character", "Ann ": "begin or end with", "\x1b[2J": "control characters"}.items():
        line = said(running_service, *(name if part == "NAME" else part for part in command), code=2)
        assert (line.count("\n"), fault in line) == (1, True), line
