"""Publishers of BigQuery rows that run statement by statement of each other's transactions. For tests."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

from google.cloud import bigquery

from tests.support.processes import RunningStack

WAIT_SECONDS = 60


class Schedule:
    """The order in which the statements of several publishers run: one letter of `order` a statement.

    A letter is skipped once its publisher has ended; statements after the end of `order` run freely.
    """

    def __init__(self, order: str) -> None:
        self._order = order
        self._changed = threading.Condition()

    @contextmanager
    def turn(self, publisher: str) -> Iterator[None]:
        """Waits until the next statement is the publisher's; no other statement of the order runs meanwhile."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._order[:1] in ("", publisher), WAIT_SECONDS):
                raise TimeoutError(f"publisher {publisher} waits for its turn in {self._order}")
        try:
            yield
        finally:
            with self._changed:
                self._order = self._order[1:]
                self._changed.notify_all()

    def end(self, publisher: str) -> None:
        """Removes the remaining turns of a publisher."""
        with self._changed:
            self._order = self._order.replace(publisher, "")
            self._changed.notify_all()


class SteppedClient:
    """The client of one publisher, which sends each transaction's statements one by one, in a session of BigQuery."""

    def __init__(self, client: bigquery.Client, schedule: Schedule, publisher: str) -> None:
        self._client = client
        self._schedule = schedule
        self._publisher = publisher
        self.statements: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def query(self, query: str, job_config: bigquery.QueryJobConfig, **options: object) -> bigquery.QueryJob:
        """The job of the query, or the last job of a script, all of whose jobs have then ended."""
        if "BEGIN TRANSACTION" not in query:
            return self._client.query(query, job_config=job_config)
        session = new_session(self._client)
        for statement in statements_of(query):
            config = deepcopy(job_config)
            config.connection_properties = [session]
            with self._schedule.turn(self._publisher):
                self.statements.append(statement)
                job = self._client.query(statement, job_config=config, job_retry=None)
                job.result(job_retry=None)
        return job


def statements_of(script: str) -> list[str]:
    """The statements of a script without blocks, without comments."""
    text = re.sub(r"(?m)^\s*--.*$", "", script)
    return [statement.strip() for statement in re.split(r";\s*(?:\n|$)", text) if statement.strip()]


def new_session(client: bigquery.Client) -> bigquery.ConnectionProperty:
    """A new session: the queries that name it share transactions and temporary tables."""
    job = client.query("SELECT 1", job_config=bigquery.QueryJobConfig(create_session=True))
    job.result()
    assert job.session_info is not None and job.session_info.session_id is not None
    return bigquery.ConnectionProperty("session_id", job.session_info.session_id)


def interleaved(stack: RunningStack, order: str, **publishers: Callable[[Any], None]) -> None:
    """Runs publishers, each a function of its client, at the same time; `order` has the letters of their names."""
    schedule = Schedule(order)

    def run(name: str) -> None:
        try:
            publishers[name](SteppedClient(stack.bigquery(), schedule, name))
        finally:
            schedule.end(name)

    with ThreadPoolExecutor(len(publishers)) as pool:
        for outcome in [pool.submit(run, name) for name in publishers]:
            outcome.result()
