"""Frames of trades as a network may mangle them: the trades stay the same, what carries them does not.

A frame is a decoded message; each function takes one symbol's frames in order and gives them as they arrive, each with
the time (ms) at which it does. No I/O.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeAlias

Frame: TypeAlias = dict[str, Any]
Arrival: TypeAlias = tuple[int, Frame]

SHUFFLE_MS: Final = 2000
_MERGE_MS: Final = 400


def recorded(frames: Iterable[Frame]) -> list[Arrival]:
    """Each as it was sent."""
    return [(frame["ts"], frame) for frame in frames]


def duplicated(frames: Iterable[Frame]) -> list[Arrival]:
    """Each twice at once, every third again a second later, and every second with each of its trades twice."""
    arrivals = []
    for number, frame in enumerate(frames):
        doubled = {**frame, "data": [item for item in frame["data"] for _ in range(1 + number % 2)]}
        arrivals += [(frame["ts"], doubled), (frame["ts"], doubled)]
        if number % 3 == 0:
            arrivals.append((frame["ts"] + 1000, frame))
    return arrivals


def shuffled(frames: Iterable[Frame]) -> list[Arrival]:
    """Each up to two seconds late."""
    chance = random.Random(1)
    return [(frame["ts"] + chance.randint(0, SHUFFLE_MS), frame) for frame in frames]


def split(frames: Iterable[Frame]) -> list[Arrival]:
    """Every trade in a frame of its own."""
    return [(frame["ts"], {**frame, "data": [item]}) for frame in frames for item in frame["data"]]


def merged(frames: Iterable[Frame]) -> list[Arrival]:
    """What came within some hundred milliseconds in one frame."""
    merged: list[Frame] = []
    for frame in frames:
        if merged and frame["ts"] - merged[-1]["data"][0]["T"] < _MERGE_MS:
            merged[-1] = {**frame, "data": merged[-1]["data"] + frame["data"]}
        else:
            merged.append(frame)
    return recorded(merged)


def mangled(frames: Iterable[Frame]) -> list[Arrival]:
    """All of it: merged, split again in part, repeated and shuffled."""
    pieces: list[Frame] = []
    for number, (_, frame) in enumerate(merged(frames)):
        pieces += [piece for _, piece in split([frame])] if number % 2 else [frame]
    return shuffled(frame for _, frame in duplicated(pieces))


DISORDERS: Final[dict[str, Callable[[Iterable[Frame]], list[Arrival]]]] = {
    "RECORDED": recorded,
    "DUPLICATED": duplicated,
    "SHUFFLED": shuffled,
    "SPLIT": split,
    "MERGED": merged,
    "MANGLED": mangled,
}
"""By a word that may stand in a symbol."""


def interleaved(arrivals: Iterable[Arrival]) -> list[Frame]:
    """Frames of many symbols in the order of their arrival."""
    return [frame for _, frame in sorted(arrivals, key=lambda arrival: arrival[0])]
