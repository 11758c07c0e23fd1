"""What `pipeline up` loads: the last days of a synthetic market without other options, and none of a recording."""

from __future__ import annotations

import pytest
import typer

from local.command.stack import _days_to_load
from local.stack.options import Options


def test_a_stack_without_options_loads_three_days() -> None:
    assert _days_to_load(Options(), None) == 3
    assert _days_to_load(Options(add_files="/files"), None) == 3
    assert _days_to_load(Options(), 0) == 0
    assert _days_to_load(Options(synthetic={"PIPELINE_SYNTHETIC_RATE": "1000"}), None) == 0
    assert _days_to_load(Options(synthetic={"PIPELINE_SYNTHETIC_RATE": "1"}), 7) == 7


@pytest.mark.parametrize("options", [Options(archive_dir="/files"), Options(capture="/frames"), Options(bybit={})])
def test_other_markets_have_no_days_to_load(options: Options) -> None:
    assert (_days_to_load(options, None), _days_to_load(options, 0)) == (0, 0)
    with pytest.raises(typer.BadParameter, match="goes with the synthetic market"):
        _days_to_load(options, 1)
