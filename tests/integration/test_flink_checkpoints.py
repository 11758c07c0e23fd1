"""Checkpoints of the candles job in a bucket, held to what the unit tests hold a folder to; Flink writes none here."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage  # type: ignore[attr-defined]  # ships no types

from candles_stream.bucket import CheckpointBucket
from candles_stream.checkpoints import StoreError
from candles_stream.stores import store_at
from local.stack.ports import free_ports
from tests.support.processes import RunningStack


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    with RunningStack(tmp_path_factory.mktemp("checkpoints"), ("metadata", "gcs")) as running:
        yield running


@pytest.fixture
def bucket(stack: RunningStack, request: pytest.FixtureRequest) -> storage.Bucket:
    name = request.node.name.partition("[")[0].replace("_", "-")[:60].strip("-")
    return stack.storage().create_bucket(name)


def put(bucket: storage.Bucket, *names: str) -> None:
    for name in names:
        bucket.blob(name).upload_from_string(b"content")


def test_complete_ones_below_the_base_are_found(bucket: storage.Bucket) -> None:
    before_us = time.time_ns() // 1000
    put(
        bucket,
        "flink/plan/first/chk-90/_metadata",
        "flink/plan/first/chk-90/state",
        "flink/other/third/chk-5/_metadata",
    )
    put(
        bucket, "flink/plan/second/chk-5/state", "flink/plan/second/shared/_metadata", "flinks/plan/run/chk-1/_metadata"
    )
    put(bucket, "flink/plan/first/chk-90/_metadata", "flink/plan/first/chk-90/state")
    put(bucket, "flink/other/third/chk-5/_metadata", "flink/plan/second/chk-5/state")
    # No checkpoints: another folder of a run, a folder within a checkpoint, and a longer name beside the base.
    put(bucket, "flink/plan/second/shared/_metadata", "flink/plan/second/chk-5/more/_metadata")
    put(bucket, "flinks/plan/run/chk-1/_metadata")
    found = CheckpointBucket(f"gs://{bucket.name}/flink", bucket.client).complete()
    assert sorted(item.path for item in found) == ["other/third/chk-5", "plan/first/chk-90"]
    # The bucket's clock is this machine's; fake-gcs-server keeps times in milliseconds.
    assert all(-1_000 <= item.written_us - before_us < 60_000_000 for item in found)


def test_a_base_may_be_a_whole_bucket(bucket: storage.Bucket) -> None:
    store = CheckpointBucket(f"gs://{bucket.name}", bucket.client)
    assert (store.complete(), store.runs()) == ([], [])
    put(bucket, "plan/run/chk-1/_metadata")
    assert [item.path for item in store.complete()] == ["plan/run/chk-1"]


def test_one_that_was_set_aside_is_not_found_again(bucket: storage.Bucket) -> None:
    put(bucket, "flink/plan/run/chk-1/_metadata", "flink/plan/run/chk-1/state", "flink/plan/run/chk-2/_metadata")
    store = CheckpointBucket(f"gs://{bucket.name}/flink", bucket.client)
    assert store.set_aside("plan/run/chk-1")
    assert not store.set_aside("plan/run/chk-1")
    assert [item.path for item in store.complete()] == ["plan/run/chk-2"]
    assert [blob.name for blob in bucket.list_blobs(prefix="flink/plan/run/chk-1")] == [
        "flink/plan/run/chk-1/_metadata.unreadable",
        "flink/plan/run/chk-1/state",
    ]


def test_a_run_is_removed_with_all_that_it_has_left(bucket: storage.Bucket) -> None:
    put(bucket, "flink/plan/run/chk-1/_metadata", "flink/plan/run/shared/7")
    put(bucket, "flink/plan/run-2/chk-1/state", "flink/other/run/chk-1/_metadata")
    store = CheckpointBucket(f"gs://{bucket.name}/flink", bucket.client)
    assert store.runs() == ["other/run", "plan/run", "plan/run-2"]
    store.remove("plan/run")
    assert store.runs() == ["other/run", "plan/run-2"]


def test_a_location_in_a_bucket_is_reached_with_the_machines_credentials(
    bucket: storage.Bucket, stack: RunningStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(bucket, "flink/plan/run/chk-1/_metadata")
    stack.set_environment(monkeypatch)
    store = store_at(f"gs://{bucket.name}/flink")
    assert store.base == f"gs://{bucket.name}/flink"
    assert [item.path for item in store.complete()] == ["plan/run/chk-1"]


def test_a_bucket_that_does_not_exist_is_an_error_of_the_store(stack: RunningStack) -> None:
    store = CheckpointBucket("gs://absent/flink", stack.storage())
    with pytest.raises(StoreError, match="404"):
        store.complete()


@pytest.mark.parametrize("call", ["complete", "runs"])
def test_a_store_that_does_not_answer_is_an_error_that_passes(call: str) -> None:
    options = {"api_endpoint": f"http://127.0.0.1:{free_ports(['nothing'])['nothing']}"}
    client = storage.Client("local", credentials=AnonymousCredentials(), client_options=options)
    with pytest.raises((OSError, StoreError)):
        getattr(CheckpointBucket("gs://lake/flink", client), call)()
