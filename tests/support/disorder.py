"""Frames of trades in disorder, as a network may deliver them: the trades stay the same, their frames change.

A frame is a decoded message. Each function takes one symbol's frames in order and returns arrivals: frames with the
time (ms) at which each arrives. No I/O.
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
    """Each frame at the time at which it was sent."""
    return [(frame["ts"], frame) for frame in frames]


def duplicated(frames: Iterable[Frame]) -> list[Arrival]:
    """Each frame twice, every third one again a second later; every second frame has each of its trades twice."""
    arrivals = []
    for number, frame in enumerate(frames):
        doubled = {**frame, "data": [item for item in frame["data"] for _ in range(1 + number % 2)]}
        arrivals += [(frame["ts"], doubled), (frame["ts"], doubled)]
        if number % 3 == 0:
            arrivals.append((frame["ts"] + 1000, frame))
    return arrivals


def shuffled(frames: Iterable[Frame]) -> list[Arrival]:
    """Each frame up to two seconds late."""
    chance = random.Random(1)
    return [(frame["ts"] + chance.randint(0, SHUFFLE_MS), frame) for frame in frames]


def split(frames: Iterable[Frame]) -> list[Arrival]:
    """Every trade in a frame of its own."""
    return [(frame["ts"], {**frame, "data": [item]}) for frame in frames for item in frame["data"]]


def merged(frames: Iterable[Frame]) -> list[Arrival]:
    """The frames of 400 milliseconds as one frame."""
    merged: list[Frame] = []
    for frame in frames:
        if merged and frame["ts"] - merged[-1]["data"][0]["T"] < _MERGE_MS:
            merged[-1] = {**frame, "data": merged[-1]["data"] + frame["data"]}
        else:
            merged.append(frame)
    return recorded(merged)


def mangled(frames: Iterable[Frame]) -> list[Arrival]:
    """All disorders at once: frames merged, in part split again, duplicated and shuffled."""
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
"""Every disorder, by a word that may be part of a symbol."""


def interleaved(arrivals: Iterable[Arrival]) -> list[Frame]:
    """The frames of many symbols in the order of their arrival."""
    return [frame for _, frame in sorted(arrivals, key=lambda arrival: arrival[0])]
