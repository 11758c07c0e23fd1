"""What a plan would do, in one sentence, before the user is asked."""

from __future__ import annotations

from typing import Any

import pytest

from local.command.costs.shapes import Environment
from local.deploy.applying import cost_of, summary_of
from local.deploy.target import Conversation, DeployError


def change(kind: str, *actions: str) -> dict[str, Any]:
    return {"type": f"google_{kind}", "change": {"actions": list(actions)}}


def test_a_summary_counts_by_kind_and_shouts_deletions() -> None:
    plan = {
        "resource_changes": [
            change("storage_bucket", "create"),
            change("storage_bucket", "create"),
            change("pubsub_topic", "create"),
            change("sql_database_instance", "update"),
            change("compute_disk", "delete", "create"),
            change("project", "no-op"),
        ]
    }
    assert summary_of(plan) == (
        "This creates 4 resources (2 storage_bucket, 1 pubsub_topic, 1 compute_disk) and changes 1 resources "
        "(1 sql_database_instance) and DELETES 1 resources (1 compute_disk)."
    )
    assert summary_of({}) == "This changes outputs only."


def test_the_cost_is_a_sentence() -> None:
    assert cost_of(Environment.HISTORY, "europe-west1") == (
        "It costs about $4 a month by list prices (`pipeline cost --environment history`)."
    )
    assert "no price of the region mars-north1" in cost_of(Environment.HISTORY, "mars-north1")


def test_only_yes_is_yes() -> None:
    Conversation(lambda: "yes\n").ask("Deploy?")
    Conversation(None).ask("Deploy?")
    for answer in ("", "n\n", "maybe\n"):
        with pytest.raises(DeployError, match="nothing was changed"):
            Conversation(lambda answer=answer: answer).ask("Deploy?")  # type: ignore[misc]
