"""What the service says to do next, as commands: it names HTTP requests, and whoever reads a terminal sends none."""

import re

_ONE = r"([^\s/?;,:]+?)"
"""An id or a name in a path."""

_END = r"(?=[\s;,:.)]|$)"

_COMMANDS = {
    rf"Send `move: true` to POST /identities/{_ONE}/tracklets{_END}": r"Give --move to `tfclip identities assign \1`",
    rf"DELETE /identities/{_ONE}/tracklets/{_ONE}{_END}": r"`tfclip identities unassign \1 \2`",
    rf"POST /identities/{_ONE}/tracklets{_END}": r"`tfclip identities assign \1 TRACKLET`",
    rf'POST /identities/{_ONE}/merge with {{"from_id": "(\S+)"}}': r"`tfclip identities merge \1 \2`",
    rf"POST /identities/{_ONE}/merge{_END}": r"`tfclip identities merge \1 OTHER`",
    rf"POST /identities/{_ONE}/unmerge{_END}": r"`tfclip identities unmerge \1 EVENT`",
    rf"GET /identities/{_ONE}/history{_END}": r"`tfclip identities history \1`",
    rf"DELETE /matches/{_ONE}{_END}": r"`tfclip matches undo \1`",
    rf"GET /matches{_END}": "`tfclip matches list`",
    r"GET /cameras\?gallery=(\S+)": r"`tfclip cameras list --gallery \1`",
    rf"PUT /cameras/{_ONE}/\.\.\.": r"`tfclip cameras set NAME --gallery \1`",
    rf"PATCH /galleries/{_ONE}{_END}": r"`tfclip galleries set \1`",
    rf"GET /calibrations{_END}": "`tfclip calibrations list`",
    rf"GET /admin/generations{_END}": "`tfclip generations list`",
    rf"GET /admin/models{_END}": "`tfclip models list`",
    rf"GET /admin/keys{_END}": "`tfclip keys list`",
    rf"GET /admin/integrity{_END}": "`tfclip integrity`",
    rf"POST /search with query_started_at{_END}": "`tfclip search FOLDER` with --query-started-at",
}
_PATTERNS = [(re.compile(request), command) for request, command in _COMMANDS.items()]


def in_commands(text: str) -> str:
    """The text of a problem, with commands in the place of the requests that it names."""
    for request, command in _PATTERNS:
        text = request.sub(command, text)
    # What stood for an id in a path, where the service did not know it.
    return text.replace("{identity_id}", "IDENTITY").replace("{tracklet_id}", "TRACKLET")
