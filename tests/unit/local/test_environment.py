"""The variables that lead a program to a stack."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from local import environment
from local.checkout import IS_CHECKOUT, ROOT
from local.command.cloud import Cloud
from local.environment import env_file, read_env_file, replace_process_environ, stack_home


def test_the_home_is_the_users_or_the_checkouts() -> None:
    assert IS_CHECKOUT
    assert stack_home({"PIPELINE_HOME": "/somewhere"}) == Path("/somewhere")
    assert stack_home({}) == stack_home({"PIPELINE_HOME": ""}) == ROOT / ".pipeline"


def test_without_a_checkout_there_is_a_home_only_where_the_user_names_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "IS_CHECKOUT", False)
    assert stack_home({"PIPELINE_HOME": "/somewhere"}) == Path("/somewhere")
    assert stack_home({}) is None


def test_an_env_file_is_read_line_by_line(tmp_path: Path) -> None:
    assert read_env_file(env_file(tmp_path)) == {}
    env_file(tmp_path).write_text("PGHOST=127.0.0.1\nPIPELINE_URL=http://x/?a=b\nEMPTY=\n\n")
    assert read_env_file(env_file(tmp_path)) == {"PGHOST": "127.0.0.1", "PIPELINE_URL": "http://x/?a=b", "EMPTY": ""}


def test_the_environment_of_the_process_is_replaced_as_a_whole_and_by_no_constructor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "environ", {"EARLIER": "1"})
    values = {"GOOGLE_CLOUD_PROJECT": "p", "PIPELINE_REGION": "r", "PIPELINE_LAKE": "l", "BIGQUERY_LOCATION": "EU"}
    assert Cloud(values).settings.lake == "l"
    assert os.environ == {"EARLIER": "1"}
    replace_process_environ(values)
    assert os.environ == values
