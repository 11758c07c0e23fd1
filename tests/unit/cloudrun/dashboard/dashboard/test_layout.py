"""The page's configuration, which the tests of its modules take for theirs."""

from __future__ import annotations

import json

from bitcoin_pipeline.candle import Status
from dashboard.layout import config
from local.checkout import ROOT


def test_the_tests_of_the_modules_have_the_configuration_that_the_server_delivers() -> None:
    known = json.loads((ROOT / "tests" / "support" / "page_config.json").read_text())
    assert config() == known


def test_a_status_is_found_by_its_doubt() -> None:
    assert [config()["statuses"][status.doubt] for status in Status] == [str(status) for status in Status]
