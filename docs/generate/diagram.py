"""The life of a message as a drawing, made of the table of its moves: nothing is fetched to show it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from math import fsum, hypot

from pulpo_core import TRANSITIONS, State, newborn

Point = tuple[float, float]

#: The middles of the states; a message comes from somewhere, too.
_PLACES: Mapping[str, Point] = {
    "published": (400, 30),
    State.READY: (400, 115),
    State.DELAYED: (110, 245),
    State.RESERVED: (400, 245),
    State.BURIED: (690, 245),
    State.GONE: (400, 390),
}
#: How far a line bends to its left, where it would run through something else.
_BENDS: Mapping[tuple[str, str], float] = {(State.READY, State.GONE): 250, ("published", State.DELAYED): -60}
#: How far along its line a label is, where that is not the middle.
_ALONG: Mapping[tuple[str, str], float] = {
    (State.READY, State.GONE): 0.57,
    (State.DELAYED, State.READY): 0.35,
    (State.DELAYED, State.GONE): 0.35,
    (State.RESERVED, State.BURIED): 0.72,
    (State.BURIED, State.GONE): 0.35,
}
_WIDTH, _HEIGHT, _APART = 120, 40, 52

_STYLE = (
    "text{font:14px ui-monospace,monospace;fill:#343a40;text-anchor:middle;dominant-baseline:central}"
    ".move{font-size:12px;paint-order:stroke;stroke:#fff;stroke-width:5px}"
    "rect{fill:#fff4e6;stroke:#d9480f}path{fill:none;stroke:#868e96;marker-end:url(#tip)}"
)
_TIP = (
    '<marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
    '<polygon points="0,0 8,4 0,8" fill="#868e96"/></marker>'
)


def lifecycle() -> str:
    """The drawing, as SVG."""
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 800 430" role="img">',
        "<title>The life of a message: its states, and the moves between them</title>",
        f"<style>{_STYLE}</style><defs>{_TIP}</defs>",
        '<rect width="800" height="430" rx="6" style="fill:#fff;stroke:none"/>',
        *(_move(before, after, events) for (before, after), events in _moves().items()),
        *(_state(name, place) for name, place in _PLACES.items()),
        "</svg>",
    ]
    return "\n".join(parts)


def _moves() -> Mapping[tuple[str, str], list[str]]:
    """What leads from one state to another."""
    found: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    found["published", newborn(delayed=False)].append("at once")
    found["published", newborn(delayed=True)].append("with a delay")
    for (before, event), after in TRANSITIONS.items():
        found[before, after].append(event)
    return found


def _state(name: str, place: Point) -> str:
    x, y = place
    box = f'<rect x="{x - _WIDTH / 2:g}" y="{y - _HEIGHT / 2:g}" width="{_WIDTH}" height="{_HEIGHT}" rx="6"/>'
    return f'{box if name in set(State) else ""}<text x="{x:g}" y="{y:g}">{name}</text>'


def _move(before: str, after: str, events: Sequence[str]) -> str:
    path, middle = _loop(_PLACES[before]) if before == after else _line(before, after)
    return f'<path d="{path}"/>' + "".join(_labels(middle, events))


def _labels(place: Point, events: Sequence[str]) -> Iterator[str]:
    x, y = place
    for line, event in enumerate(events):
        yield f'<text class="move" x="{x:g}" y="{y + 17 * (line - (len(events) - 1) / 2):g}">{event}</text>'


def _loop(place: Point) -> tuple[str, Point]:
    x, y = place[0] - _WIDTH / 2, place[1] + _HEIGHT / 2
    return f"M{x + 6:g},{y:g} C{x - 40:g},{y + 50:g} {x + 30:g},{y + 60:g} {x + 28:g},{y:g}", (x - 20, y + 52)


def _line(before: str, after: str) -> tuple[str, Point]:
    """From border to border; beside the line that leads the other way, if there is one."""
    (x1, y1), (x2, y2) = _PLACES[before], _PLACES[after]
    length = hypot(x2 - x1, y2 - y1)
    aside = ((y2 - y1) / length, -(x2 - x1) / length)
    apart = _APART if (after, before) in _moves() else 0
    start, end = ((a + aside[0] * apart, b + aside[1] * apart) for a, b in ((x1, y1), (x2, y2)))
    bend = _BENDS.get((before, after), 0)
    over = ((start[0] + end[0]) / 2 + aside[0] * bend, (start[1] + end[1]) / 2 + aside[1] * bend)
    first, last = _border(start, over), _border(end, over)
    part = _ALONG.get((before, after), 0.5)
    weights = (1 - part) ** 2, 2 * part * (1 - part), part**2
    # `sum` rounds differently since Python 3.12, and the drawing must be the same with every Python
    x, y = (fsum(w * point[axis] for w, point in zip(weights, (first, over, last), strict=True)) for axis in (0, 1))
    path = f"M{first[0]:.1f},{first[1]:.1f} Q{over[0]:.1f},{over[1]:.1f} {last[0]:.1f},{last[1]:.1f}"
    return path, (round(x, 1), round(y, 1))


def _border(middle: Point, towards: Point) -> Point:
    """Where the way from the middle of a box leaves the box."""
    across, down = towards[0] - middle[0], towards[1] - middle[1]
    part = min(_WIDTH / 2 / abs(across) if across else 9, _HEIGHT / 2 / abs(down) if down else 9)
    return middle[0] + across * part, middle[1] + down * part
