"""Evidence for an answer: the part of the client that asks what a result rests on."""

from service.client.answers import parse, segment
from service.client.synchronous.sending import Sender
from service.client.wire.evidence import AttentionMap, Evidence, Purity


class EvidenceMethods(Sender):
    """Mixed into `TfclipClient`, which sends."""

    def evidence(self, tracklet_id: str, against: str) -> Evidence:
        """Compare two tracklets of one gallery, frame by frame."""
        path = f"/tracklets/{segment(tracklet_id)}/evidence"
        return parse(Evidence, self._send("GET", path, params=[("against", against)]))

    def purity(self, tracklet_id: str) -> Purity:
        """Look for an identity switch inside a tracklet."""
        return parse(Purity, self._send("GET", f"/tracklets/{segment(tracklet_id)}/purity"))

    def attention(self, tracklet_id: str, position: int) -> AttentionMap:
        """Return where the network looks in a frame, patch by patch."""
        path = f"/tracklets/{segment(tracklet_id)}/frames/{position}/attention"
        return parse(AttentionMap, self._send("GET", path, params=[("format", "json")]))

    def attention_picture(self, tracklet_id: str, position: int) -> bytes:
        """Return the same as a PNG file: the frame, the redder the more attention."""
        return self._send("GET", f"/tracklets/{segment(tracklet_id)}/frames/{position}/attention").content

    def frame(self, tracklet_id: str, position: int) -> bytes:
        """Return the bytes of a frame as they were uploaded."""
        return self._send("GET", f"/tracklets/{segment(tracklet_id)}/frames/{position}").content
