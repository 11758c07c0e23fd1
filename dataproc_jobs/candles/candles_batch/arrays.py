"""Arrow arrays and numpy columns, each made from the other's buffers, without pandas.

Part of the candles job; its modules import it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from bitcoin_pipeline.adapters.arrow import NUMERIC
from candles_batch.arithmetic import Integers


def decimals(values: Integers | list[int]) -> pa.Array:
    """Integers in units of 10**-9 as an array of NUMERIC."""
    if isinstance(values, np.ndarray) and values.dtype != object:
        return fixed_width(np.stack([values, values >> 63], axis=1), NUMERIC)
    words = b"".join(int(value).to_bytes(16, "little", signed=True) for value in values)
    return pa.Array.from_buffers(NUMERIC, len(values), [None, pa.py_buffer(words)])


def fixed_width(values: npt.NDArray[Any], kind: pa.DataType) -> pa.Array:
    """An array of a type of fixed width; it shares its memory with `values` if that is contiguous."""
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(np.ascontiguousarray(values))])


def flags(values: npt.NDArray[np.int8]) -> pa.Array:
    """Values of 0 and 1 as booleans; a negative one is null."""
    bits = [pa.py_buffer(np.packbits(bits, bitorder="little")) for bits in (values >= 0, values > 0)]
    return pa.Array.from_buffers(pa.bool_(), len(values), bits)


def strings(values: Sequence[str]) -> pa.Array:
    """An array of text."""
    texts = [value.encode() for value in values]
    offsets = np.cumsum([0, *map(len, texts)], dtype=np.int32)
    return pa.StringArray.from_buffers(len(texts), pa.py_buffer(offsets), pa.py_buffer(b"".join(texts)))


def characters(column: pa.StringArray) -> bytes:
    """All texts of a column without nulls, concatenated."""
    data, places = column.buffers()[2], offsets(column)
    return bytes(memoryview(data)[places[0] : places[-1]]) if data else b""


def offsets(column: pa.StringArray) -> npt.NDArray[np.int32]:
    """Where each text of a column starts in its buffer of characters, and last where they end."""
    return np.frombuffer(column.buffers()[1], np.int32, len(column) + 1, 4 * column.offset)


def codes(column: pa.DictionaryArray) -> npt.NDArray[np.int32]:
    """The index of each value in the column's dictionary."""
    return np.frombuffer(column.indices.buffers()[1], np.int32, len(column))
