"""Evidence as a picture: one tracklet's frames down, the other's across, how alike they are, and the best pair."""

from collections.abc import Sequence
from io import BytesIO

from PIL import Image, ImageDraw

from service.client.wire.evidence import Evidence

_CELL = (56, 112)
_LARGE = (192, 384)
_GAP = 8
_LINE = 20
_ALIKE = (38, 120, 178)
_BEST = (220, 40, 0)


def draw_sheet(
    evidence: Evidence, frames: Sequence[bytes], others: Sequence[bytes], looked: Sequence[bytes]
) -> Image.Image:
    """Draw the sheet.

    Args:
        evidence: what the service answered.
        frames, others: image files, one for each of `evidence.frames` and `evidence.other_frames`.
        looked: the attention pictures of the two frames of the best pair.
    """
    wide, tall = _CELL
    table = ((len(others) + 1) * (wide + 1), (len(frames) + 1) * (tall + 1))
    width = max(table[0], 4 * (_LARGE[0] + _GAP)) + 2 * _GAP
    sheet = Image.new("RGB", (width, table[1] + _LARGE[1] + 2 * _LINE + 4 * _GAP), "white")
    draw = ImageDraw.Draw(sheet)
    rows, columns = [_fitted(one, _CELL) for one in frames], [_fitted(one, _CELL) for one in others]
    for column, picture in enumerate(columns, start=1):
        sheet.paste(picture, _corner(0, column))
    for row, picture in enumerate(rows, start=1):
        sheet.paste(picture, _corner(row, 0))
        for column, similarity in enumerate(evidence.similarities[row - 1], start=1):
            left, top = _corner(row, column)
            colour = tuple(round(255 + max(0.0, similarity) * (part - 255)) for part in _ALIKE)
            draw.rectangle((left, top, left + wide - 1, top + tall - 1), fill=colour)
            text = "white" if similarity > 0.6 else "black"
            draw.text((left + wide // 2, top + tall // 2), f"{similarity:.2f}", fill=text, anchor="mm")
    pair = evidence.best_pair
    best = (evidence.frames.index(pair.position), evidence.other_frames.index(pair.other_position))
    left, top = _corner(best[0] + 1, best[1] + 1)
    draw.rectangle((left, top, left + wide - 1, top + tall - 1), outline=_BEST, width=3)
    below = table[1] + 2 * _GAP
    draw.text(
        (_GAP, below),
        f"most alike: frame {pair.position} (down) and frame {pair.other_position} (across), "
        f"{pair.similarity:.4f}; score of the tracklets {evidence.score:.4f}",
        fill="black",
    )
    large = (frames[best[0]], looked[0], others[best[1]], looked[1])
    for place, content in enumerate(large):
        sheet.paste(_fitted(content, _LARGE), (_GAP + place * (_LARGE[0] + _GAP), below + _LINE))
    note = f"red: where the network looked. tracklet {evidence.tracklet_id}, other {evidence.other_id}"
    draw.text((_GAP, below + _LINE + _LARGE[1] + _GAP), note, fill="black")
    return sheet


def _corner(row: int, column: int) -> tuple[int, int]:
    return _GAP + column * (_CELL[0] + 1), _GAP + row * (_CELL[1] + 1)


def _fitted(content: bytes, size: tuple[int, int]) -> Image.Image:
    """The picture within a box of this size, in its middle."""
    with Image.open(BytesIO(content)) as picture:
        shown = picture.convert("RGB")
    scale = min(size[0] / shown.width, size[1] / shown.height)
    shown = shown.resize((max(1, round(shown.width * scale)), max(1, round(shown.height * scale))))
    box = Image.new("RGB", size, "white")
    box.paste(shown, ((size[0] - shown.width) // 2, (size[1] - shown.height) // 2))
    return box
