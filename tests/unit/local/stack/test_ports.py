"""Ports that no two stacks share, outside of the range of outgoing connections."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from local.stack import ports
from local.stack.ports import BLOCK, NoPortsError, blocks, claim_block, free_ports, outgoing_range


def test_no_block_meets_the_range_of_outgoing_connections() -> None:
    low, high = 32_768, 60_999
    found = blocks((low, high))
    assert all(first + BLOCK - 1 < low or first > high for first in found)
    assert len(found) > 500
    assert found[0] >= 20_000
    assert found[-1] + BLOCK - 1 <= 65_535


@pytest.mark.parametrize("outgoing", [(1024, 65_535), (15_000, 65_535)])
def test_where_all_ports_are_for_outgoing_connections_any_is_taken(outgoing: tuple[int, int]) -> None:
    assert len(blocks(outgoing)) > 1000


def test_the_range_is_the_systems_or_the_usual_one(tmp_path: Path) -> None:
    (tmp_path / "range").write_text("10000\t20000\n")
    assert outgoing_range(tmp_path / "range") == (10_000, 20_000)
    (tmp_path / "range").write_text("what?")
    assert outgoing_range(tmp_path / "range") == (32_768, 60_999)
    assert outgoing_range(tmp_path / "none") == (32_768, 60_999)


def test_a_block_is_claimed_once_and_again_when_it_was_given_up() -> None:
    with claim_block(7) as first:
        with claim_block(7) as second:
            assert not set(first.ports) & set(second.ports)
            assert len(first.ports) == BLOCK - 1
        again = claim_block(7)
        again.close()
        assert again.ports == second.ports
    with claim_block(7) as anew:
        assert anew.ports == first.ports


def test_another_process_does_not_get_a_claimed_block() -> None:
    code = "from local.stack.ports import claim_block; print(*claim_block(11).ports)"
    with claim_block(11) as ours:
        printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    theirs = set(map(int, printed.split()))
    assert len(theirs) == BLOCK - 1
    assert not theirs & set(ours.ports)


@pytest.mark.parametrize("number", [0, BLOCK - 2])
def test_a_block_with_one_taken_port_is_left_alone(number: int) -> None:
    """The supervisor's port is an example: it keeps the block of a stack whose `up` has ended."""
    with claim_block(13) as block:
        pass
    with socket.create_server(("127.0.0.1", block.ports[number])), claim_block(13) as other:
        assert not set(other.ports) & set(block.ports)


def test_a_port_of_an_outgoing_connection_is_taken() -> None:
    with claim_block(17) as block:
        pass
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as outgoing:
        outgoing.bind(("127.0.0.1", block.ports[3]))
        outgoing.connect(server.getsockname())
        with claim_block(17) as other:
            assert not set(other.ports) & set(block.ports)


def test_without_a_free_block_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with claim_block(19) as block:
        first = block.ports[0] - 1
        monkeypatch.setattr(ports, "blocks", lambda _: [first])
        with pytest.raises(
            NoPortsError, match=f"no {BLOCK} ports in a row are free from {first} to {first + BLOCK - 1}"
        ):
            claim_block(0)


def test_single_ports_differ_however_often_they_are_asked_for() -> None:
    given = [port for _ in range(20) for port in free_ports(("a", "b", "c")).values()]
    assert len(set(given)) == 60
    low, high = outgoing_range()
    assert not any(low <= port <= high for port in given)
