"""Texts of fixed form as numbers, many at once: eight characters are one 64-bit word, and arithmetic is on words.

Part of the candles job; its modules and tests import it. Every function returns None for a column in which a text has
another form, so that slower code can judge it.
"""

from __future__ import annotations

import binascii
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from candles_batch.arrays import offsets

_WORD: Final = 8
_SECONDS_LENGTH: Final = 10
"""Digits of the seconds from 2001-09-09 to 2286-11-20."""

_POINT_PLACE: Final = _SECONDS_LENGTH - _WORD
"""Place of the decimal point in the second word of a timestamp."""

_ZEROS: Final = b"00.00000"
_POINT: Final = np.uint64(ord(".") << 8 * _POINT_PLACE)
_POINT_BYTE: Final = np.uint64(0xFF << 8 * _POINT_PLACE)
_POINT_TO_ZERO: Final = np.uint64((ord(".") ^ ord("0")) << 8 * _POINT_PLACE)

_KEPT: Final = np.array([(1 << 8 * count) - 1 for count in range(_WORD + 1)], np.uint64)
_FILLED: Final = np.array([int.from_bytes(bytes(n) + _ZEROS[n:], "little") for n in range(_WORD + 1)], np.uint64)
"""For a text that ends after n characters of a word: the characters that stand there, and zeros for the others."""

_UUID_LENGTH: Final = 36
_UUID_DASHES: Final = (8, 13, 18, 23)
_UUID_QUARTETS: Final = (0, 4, 9, 14, 19, 24, 28, 32)
"""Where four hexadecimal digits of a UUID begin."""


def microseconds(column: pa.StringArray) -> npt.NDArray[np.int64] | None:
    """Times such as 1585132799.4137, in seconds of ten digits with at most five decimals, in microseconds."""
    places = offsets(column).astype(np.int64)
    starts, lengths = places[:-1], np.diff(places)
    if len(column) == 0 or lengths.min() < _SECONDS_LENGTH or lengths.max() > 2 * _WORD:
        return None
    text = np.zeros(places[-1] + _WORD, np.uint8)
    text[: places[-1]] = np.frombuffer(column.buffers()[2], np.uint8, places[-1])
    words: npt.NDArray[np.uint64] = np.ndarray((len(text) - _WORD + 1,), np.dtype("<u8"), text, 0, (1,))
    first, second = words[starts], words[starts + _WORD]
    rest = lengths - _WORD
    second = (second & _KEPT[rest]) | _FILLED[rest]
    if ((second & _POINT_BYTE) != _POINT).any():
        return None
    second ^= _POINT_TO_ZERO
    if not (_all_digits(first) and _all_digits(second)):
        return None
    # 12345678 and 90012345 stand for 1234567890.12345.
    upper, lower = _number(first), _number(second)
    time_us = upper * np.uint64(10**8) + lower + np.uint64(9) * (lower % np.uint64(10**6))
    return time_us.view(np.int64)


def uuids(column: pa.StringArray) -> npt.NDArray[np.void] | None:
    """UUIDs as 16 bytes each."""
    count, places = len(column), offsets(column)
    if (places != np.arange(0, _UUID_LENGTH * count + 1, _UUID_LENGTH, dtype=np.int32)).any():
        return None
    text = np.frombuffer(column.buffers()[2] or b"", np.uint8, _UUID_LENGTH * count)
    if any((text[dash::_UUID_LENGTH] != ord("-")).any() for dash in _UUID_DASHES):
        return None
    digits = np.empty((count, len(_UUID_QUARTETS)), np.uint32)
    for number, place in enumerate(_UUID_QUARTETS):
        digits[:, number] = np.ndarray((count,), np.uint32, text, place, (_UUID_LENGTH,))
    try:
        return np.frombuffer(binascii.unhexlify(digits.data), "V16")
    except binascii.Error:
        return None


def _all_digits(words: npt.NDArray[np.uint64]) -> bool:
    """True when each of the eight bytes of every word is an ASCII digit: 0x30 to 0x39, and with 6 added below 0x40."""
    upper = np.uint64(0xF0F0F0F0F0F0F0F0)
    raised = ((words + np.uint64(0x0606060606060606)) & upper) >> np.uint64(4)
    return not (((words & upper) | raised) != np.uint64(0x3333333333333333)).any()


def _number(words: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The value of eight ASCII digits each: neighbours are joined to pairs, the pairs to fours, these to eights."""
    pairs = (words & np.uint64(0x0F0F0F0F0F0F0F0F)) * np.uint64((10 << 8) + 1) >> np.uint64(8)
    fours = (pairs & np.uint64(0x00FF00FF00FF00FF)) * np.uint64((100 << 16) + 1) >> np.uint64(16)
    return (fours & np.uint64(0x0000FFFF0000FFFF)) * np.uint64((10_000 << 32) + 1) >> np.uint64(32)
