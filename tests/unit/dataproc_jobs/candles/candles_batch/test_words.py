"""Timestamps and UUIDs read as words are those of `decimal` and `uuid`; another form gives None."""

from __future__ import annotations

import random
import uuid
from decimal import Decimal

import pyarrow as pa
import pytest

from candles_batch.words import microseconds, uuids

TIMES = [
    ("1585132799.4137", 1585132799413700),
    ("1585132799.41371", 1585132799413710),
    ("1585132799.4", 1585132799400000),
    ("1585132799", 1585132799000000),
    ("1585132799.00001", 1585132799000010),
    ("9999999999.99999", 9999999999999990),
    ("0000000000.0", 0),
]


def test_times_of_every_length_in_one_column() -> None:
    values = microseconds(pa.array([text for text, _ in TIMES]))
    assert values is not None
    assert values.tolist() == [time_us for _, time_us in TIMES]


def test_random_times_equal_their_decimals() -> None:
    rng = random.Random(7)
    texts = [f"{rng.randrange(10**9, 10**10)}.{rng.randrange(10**5):05d}"[: rng.randrange(12, 17)] for _ in range(5000)]
    values = microseconds(pa.array(texts))
    assert values is not None
    assert values.tolist() == [int(Decimal(text) * 10**6) for text in texts]


def test_a_slice_of_a_column_starts_at_its_own_first_text() -> None:
    column = pa.array(["1585132798.1", *(text for text, _ in TIMES)])
    values = microseconds(column.slice(1))
    assert values is not None
    assert values.tolist() == [time_us for _, time_us in TIMES]


@pytest.mark.parametrize(
    "text",
    [
        *("", "1", "158513279", "15851327991", "1585132799.", "1585132799.413712", "15851327994137.1"),
        *("1585132799,4137", "1585132799/4137", "158513279a.4137", "1585132799.4a37", "1585132799.413/"),
        *(
            "-585132799.4137",
            "+585132799.4137",
            " 585132799.4137",
            "1.585132799e9",
            "1585132799.41 7",
            "158513279é.413",
        ),
        *("1585132799.4137\0", "1585132799\x00", "158513279:.4137", "1585132799.41:7"),
    ],
)
def test_another_form_of_a_time_is_not_judged(text: str) -> None:
    values = microseconds(pa.array(["1585132799.4137", text]))
    # Without a decimal after the point the number is the same.
    assert values is None or (text, values[1]) == ("1585132799.", 1585132799000000)


def test_an_empty_column_is_not_judged() -> None:
    assert microseconds(pa.array([], pa.string())) is None


def test_uuids_as_bytes() -> None:
    rng = random.Random(7)
    ids = [uuid.UUID(int=rng.getrandbits(128)) for _ in range(1000)]
    values = uuids(pa.array([str(each) if rng.random() < 0.5 else str(each).upper() for each in ids]))
    assert values is not None
    assert [value.tobytes() for value in values] == [each.bytes for each in ids]


GOOD = "2e470caf-9263-54b5-9066-189227b1e0ea"


@pytest.mark.parametrize(
    "text",
    [
        *("", GOOD[:-1], GOOD + "0", GOOD.replace("-", ""), "{" + GOOD[1:], GOOD.replace("-", "_", 1)),
        *(GOOD[:7] + "g" + GOOD[8:], GOOD[:-1] + "-", GOOD[:6] + "--" + GOOD[8:], GOOD[:-2] + "é"),
    ],
)
def test_another_form_of_a_uuid_is_not_judged(text: str) -> None:
    assert uuids(pa.array([GOOD, text])) is None
    assert uuids(pa.array([text, GOOD])) is None
