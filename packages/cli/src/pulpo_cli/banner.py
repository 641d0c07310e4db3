"""Large letters at the start of a worker, for those who like them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pulpo_core.config import BannerSettings

#: Five rows of five points for each character, as numbers of which each bit is a point.
_LETTERS: Final = {
    "A": (14, 17, 31, 17, 17),
    "B": (30, 17, 30, 17, 30),
    "C": (15, 16, 16, 16, 15),
    "D": (30, 17, 17, 17, 30),
    "E": (31, 16, 30, 16, 31),
    "F": (31, 16, 30, 16, 16),
    "G": (15, 16, 19, 17, 15),
    "H": (17, 17, 31, 17, 17),
    "I": (14, 4, 4, 4, 14),
    "J": (7, 1, 1, 17, 14),
    "K": (17, 18, 28, 18, 17),
    "L": (16, 16, 16, 16, 31),
    "M": (17, 27, 21, 17, 17),
    "N": (17, 25, 21, 19, 17),
    "O": (14, 17, 17, 17, 14),
    "P": (30, 17, 30, 16, 16),
    "Q": (14, 17, 21, 18, 13),
    "R": (30, 17, 30, 18, 17),
    "S": (15, 16, 14, 1, 30),
    "T": (31, 4, 4, 4, 4),
    "U": (17, 17, 17, 17, 14),
    "V": (17, 17, 17, 10, 4),
    "W": (17, 17, 21, 27, 17),
    "X": (17, 10, 4, 10, 17),
    "Y": (17, 10, 4, 4, 4),
    "Z": (31, 2, 4, 8, 31),
    "0": (14, 19, 21, 25, 14),
    "1": (4, 12, 4, 4, 14),
    "2": (30, 1, 14, 16, 31),
    "3": (30, 1, 14, 1, 30),
    "4": (18, 18, 31, 2, 2),
    "5": (31, 16, 30, 1, 30),
    "6": (14, 16, 30, 17, 14),
    "7": (31, 1, 2, 4, 4),
    "8": (14, 17, 14, 17, 14),
    "9": (14, 17, 15, 1, 14),
    "-": (0, 0, 14, 0, 0),
    "_": (0, 0, 0, 0, 31),
    ".": (0, 0, 0, 0, 4),
    " ": (0, 0, 0, 0, 0),
}
_ROWS: Final = 5
_POINTS: Final = 5


def banner(settings: BannerSettings) -> str:
    """What *settings* say; a character that has no large form is left out of them."""
    if settings.font == "plain":
        return settings.name
    letters = [_LETTERS[each] for each in settings.name.upper() if each in _LETTERS]
    return "\n".join(" ".join(_row(letter[row]) for letter in letters).rstrip() for row in range(_ROWS))


def _row(points: int) -> str:
    return "".join(_points(points))


def _points(points: int) -> Iterator[str]:
    for place in reversed(range(_POINTS)):
        yield "█" if points >> place & 1 else " "
