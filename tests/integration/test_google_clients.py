"""Google's own clients with nothing but the stack's environment: no option, key file or patch leads them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import RunningStack

USERS_OWN = {"type": "authorized_user", "client_id": "c", "client_secret": "s", "refresh_token": "r"}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    with RunningStack(tmp_path_factory.mktemp("stack"), ("metadata", "gcs", "bigquery")) as running:
        yield running


def run(stack: RunningStack, program: str, **environ: str) -> Any:
    """What `program` leaves in `result`; a process of its own, since google-auth reads the environment at import."""
    done = subprocess.run(
        [sys.executable, "-c", f"import json, sys\n{program}\njson.dump(result, sys.stdout)"],
        env={**stack.environ, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return json.loads(done.stdout)


def test_credentials_and_id_tokens_come_from_the_metadata_server(stack: RunningStack) -> None:
    program = """
import google.auth, google.auth.jwt
from google.auth.transport.requests import Request
from google.oauth2 import id_token
credentials, project = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
credentials.refresh(Request())
claims = google.auth.jwt.decode(id_token.fetch_id_token(Request(), "http://127.0.0.1/f"), verify=False)
result = [type(credentials).__module__, project, credentials.token, claims["aud"]]
"""
    expected = ["google.auth.compute_engine.credentials", "local", "local", "http://127.0.0.1/f"]
    assert run(stack, program) == expected


def test_the_command_calls_functions_of_a_stack_with_one_token_each(stack: RunningStack) -> None:
    program = """
import os
import google.auth.jwt
from local.command.cloud import Cloud
cloud = Cloud(os.environ)
tokens = [cloud.id_token(url) for url in ("http://127.0.0.1/f", "http://127.0.0.1/g", "http://127.0.0.1/f")]
audiences = [google.auth.jwt.decode(token, verify=False)["aud"] for token in tokens]
result = [audiences, tokens[0] is tokens[2]]
"""
    audiences = ["http://127.0.0.1/f", "http://127.0.0.1/g", "http://127.0.0.1/f"]
    assert run(stack, program) == [audiences, True]


def test_the_lake_is_read_and_written_without_options(stack: RunningStack, tmp_path: Path) -> None:
    # A user of gcloud has credentials below HOME, which must neither be used nor sent.
    folder = tmp_path / ".config" / "gcloud"
    folder.mkdir(parents=True)
    (folder / "application_default_credentials.json").write_text(json.dumps(USERS_OWN))
    program = """
from google.cloud import storage
from pyarrow.fs import GcsFileSystem
bucket = storage.Client().create_bucket("clients")
bucket.blob("by/storage.txt").upload_from_string("one")
lake = GcsFileSystem()
with lake.open_output_stream("clients/by/pyarrow.bin") as out:
    out.write(bytes(9_000_000))
result = [lake.open_input_file("clients/by/storage.txt").read().decode(), bucket.get_blob("by/pyarrow.bin").size]
"""
    assert run(stack, program, HOME=str(tmp_path)) == ["one", 9_000_000]


def test_bigquery_needs_no_options(stack: RunningStack) -> None:
    program = """
from google.cloud import bigquery
client = bigquery.Client()
client.create_dataset("clients")
client.query_and_wait("CREATE TABLE clients.t AS SELECT NUMERIC '0.000012300' AS price")
result = [client.project, [str(row.price) for row in client.query_and_wait("SELECT price FROM clients.t")]]
"""
    assert run(stack, program) == ["local", ["0.0000123"]]
