"""The cloud or the stack whose data the data commands use."""

from __future__ import annotations

from pathlib import Path

import pytest

from bitcoin_pipeline.deployment import BackfillSettings
from bitcoin_pipeline.settings import SettingsError, read_settings
from local.command.cloud import CloudSettings, environment
from local.environment import beside_a_stack
from local.stack.config import PORTS, StackConfig


@pytest.fixture
def home(tmp_path: Path) -> Path:
    stack = StackConfig(tmp_path, dict.fromkeys(PORTS, 1234))
    (tmp_path / "env").write_text("".join(f"{name}={value}\n" for name, value in stack.environ().items()))
    return tmp_path


def test_a_stack_gives_every_setting(home: Path) -> None:
    settings = read_settings(CloudSettings, environment(home, {}))
    assert (settings.project, settings.lake, settings.dataproc_emulator) == ("local", "lake", "127.0.0.1:1234")


def test_the_environment_comes_first(home: Path) -> None:
    assert environment(home, {"PIPELINE_LAKE": "mine"})["PIPELINE_LAKE"] == "mine"


def test_a_key_or_proxy_of_the_users_own_never_leads_away_from_a_stack(home: Path) -> None:
    own = {"GOOGLE_APPLICATION_CREDENTIALS": "key-of-mine.json", "NO_PROXY": "example.com"}
    found = environment(home, {**own, "PIPELINE_IMPERSONATED_ACCOUNT": "caller@production"})
    assert (found["GOOGLE_APPLICATION_CREDENTIALS"], found["NO_PROXY"]) == ("", "127.0.0.1,localhost")
    assert read_settings(CloudSettings, found).impersonated_account == ""


LEADS_AWAY = {
    "PGPASSWORD": "mine",
    "PGSERVICE": "production",
    "PGSSLMODE": "verify-full",
    "PGHOSTADDR": "192.0.2.1",
    "PGPORT": "5432",
    "KAFKA_BOOTSTRAP_SERVERS": "broker.example:9092",
    "KAFKA_SASL_USERNAME": "me",
    "KAFKA_SSL_CA_LOCATION": "ca.pem",
    "PUBSUB_EMULATOR_HOST": "127.0.0.1:8085",
}


def test_a_database_or_broker_of_the_users_own_never_beats_a_stacks(home: Path) -> None:
    assert environment(home, LEADS_AWAY) == environment(home, {})
    assert beside_a_stack({**LEADS_AWAY, "PATH": "/bin", "PIPELINE_LAKE": "mine"}) == {
        "PATH": "/bin",
        "PIPELINE_LAKE": "mine",
    }


def test_events_are_off_where_there_is_no_emulator_whatever_the_user_has_set(home: Path) -> None:
    stack = StackConfig(home, dict.fromkeys(PORTS, 1234)).environ()
    assert (stack["PUBSUB_EMULATOR_HOST"], stack["PIPELINE_EVENTS_TOPIC"]) == ("", "")


def test_a_project_of_the_users_own_is_never_mixed_with_a_stack(home: Path) -> None:
    own = {"GOOGLE_CLOUD_PROJECT": "production"}
    assert environment(home, own) == own


def test_neither_stack_nor_project_names_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="run `pipeline up`, or name a project"):
        environment(tmp_path, {})


@pytest.mark.parametrize(
    ("kind", "variables"),
    [
        (CloudSettings, ("PIPELINE_REGION is not set", "PIPELINE_LAKE is not set", "BIGQUERY_LOCATION is not set")),
        (BackfillSettings, ("PIPELINE_FETCH_ARCHIVE_URL is not set", "PIPELINE_STAGING is not set")),
    ],
)
def test_every_missing_setting_is_named_at_once(kind: type, variables: tuple[str, ...]) -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings(kind, {"GOOGLE_CLOUD_PROJECT": "production"})
    assert [variable in str(caught.value) for variable in variables] == [True] * len(variables)
