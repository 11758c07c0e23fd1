"""The job that sets up topics and tables, as the process that `up` and the cloud run: again, over an older schema."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Final

import psutil
import psycopg
import pytest
from confluent_kafka.admin import AdminClient

from bitcoin_pipeline import names, schemas
from local.checkout import ROOT
from local.stack.ports import free_ports
from local.stack.startup import StartError
from local.stack.stores import set_up
from local.waiting import wait_for
from tests.support.containers import kill_container
from tests.support.live import conninfo
from tests.support.processes import RunningStack

PROGRAM: Final = ROOT / "cloudrun" / "store_setup" / "main.py"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    with RunningStack(tmp_path_factory.mktemp("set-up"), ("kafka", "postgres")) as running:
        yield running


def run(stack: RunningStack, *arguments: str, **variables: str) -> tuple[int, list[dict[str, Any]]]:
    """The exit code of the job, and its log."""
    outcome = subprocess.run(
        (sys.executable, str(PROGRAM), *arguments),
        env={**stack.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in outcome.stderr
    return outcome.returncode, [json.loads(line) for line in outcome.stdout.splitlines()]


def schema_of(stack: RunningStack) -> list[tuple[Any, ...]]:
    """Columns, functions, triggers, constraints, indexes and grants of the live tables."""
    query = """
        SELECT 'column', table_name, column_name, data_type || is_nullable FROM information_schema.columns
        WHERE table_schema = 'public'
        UNION ALL SELECT 'function', proname, '', prosrc FROM pg_proc WHERE pronamespace = 'public'::regnamespace
        UNION ALL SELECT 'trigger', tgrelid::regclass::text, tgname, tgtype::text || tgenabled::text FROM pg_trigger
        WHERE NOT tgisinternal
        UNION ALL SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace
        UNION ALL SELECT 'index', tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
        UNION ALL SELECT 'grant', table_name, grantee, privilege_type FROM information_schema.role_table_grants
        WHERE grantee IN ('live_reader', 'live_writer', 'live_publisher')
        ORDER BY 1, 2, 3, 4
    """
    with psycopg.connect(conninfo(stack)) as connection:
        return connection.execute(query).fetchall()


def topics_of(stack: RunningStack) -> dict[str, int]:
    """The partitions of each topic that is not Kafka's own."""
    found = AdminClient({"bootstrap.servers": stack.environ["KAFKA_BOOTSTRAP_SERVERS"]}).list_topics(timeout=30).topics
    return {name: len(topic.partitions) for name, topic in found.items() if not name.startswith("__")}


@pytest.fixture(scope="module")
def first(stack: RunningStack) -> tuple[int, list[dict[str, Any]]]:
    return run(stack)


def test_a_first_run_makes_all_of_it(stack: RunningStack, first: tuple[int, list[dict[str, Any]]]) -> None:
    code, log = first
    assert code == 0
    assert [(line["severity"], line["message"]) for line in log] == [
        ("INFO", "topics are set up"),
        ("INFO", "tables are set up"),
    ]
    assert sorted(log[0]["created"]) == sorted([names.TRADES_TOPIC, names.DEAD_LETTER_TOPIC, names.REPLAY_TOPIC])
    assert topics_of(stack) == {topic.name: topic.partitions for topic in schemas.topics()}
    assert {row[1] for row in schema_of(stack) if row[0] == "column"} == {"candles", "feed_status", "gaps"}


@pytest.mark.usefixtures("first")
def test_a_second_run_changes_nothing(stack: RunningStack) -> None:
    with psycopg.connect(conninfo(stack), autocommit=True) as connection:
        connection.execute("INSERT INTO feed_status VALUES ('SECOND', now(), 5, 0)")
    before = schema_of(stack), topics_of(stack)
    assert run(stack, "topics") == (0, [{"severity": "INFO", "message": "topics are set up", "created": []}])
    assert run(stack, "tables") == (0, [{"severity": "INFO", "message": "tables are set up"}])
    assert (schema_of(stack), topics_of(stack)) == before
    with psycopg.connect(conninfo(stack)) as connection:
        assert connection.execute("SELECT lag_ms FROM feed_status WHERE symbol = 'SECOND'").fetchall() == [(5,)]


@pytest.mark.usefixtures("first")
def test_over_an_older_schema_guards_are_renewed_and_rows_stay(stack: RunningStack) -> None:
    whole = schema_of(stack)
    with psycopg.connect(conninfo(stack), autocommit=True) as connection:
        connection.execute("INSERT INTO feed_status VALUES ('OLDER', now(), 5, 0)")
        connection.execute("DROP TRIGGER guard_gap ON gaps")
        connection.execute("DROP INDEX gaps_symbol")
        connection.execute("DROP TABLE candles")
        connection.execute("REVOKE ALL ON gaps FROM live_reader, live_writer")
        connection.execute(
            "CREATE OR REPLACE FUNCTION guard_feed_status() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'"
        )
    assert schema_of(stack) != whole
    assert run(stack, "tables")[0] == 0
    assert schema_of(stack) == whole
    with psycopg.connect(conninfo(stack)) as connection:
        assert connection.execute("SELECT lag_ms FROM feed_status WHERE symbol = 'OLDER'").fetchall() == [(5,)]


@pytest.mark.usefixtures("first")
def test_an_older_table_gets_the_column_that_it_lacks_and_keeps_its_rows(stack: RunningStack) -> None:
    whole = schema_of(stack)
    with psycopg.connect(conninfo(stack), autocommit=True) as connection:
        connection.execute("ALTER TABLE candles DROP COLUMN confirmed")
        connection.execute(
            "INSERT INTO candles (symbol, open_time, open, high, low, close, volume, turnover, status)"
            " VALUES ('OLDER', now(), 1, 1, 1, 1, 1, 1, 'final')"
        )
    assert run(stack, "tables")[0] == 0
    assert schema_of(stack) == whole
    with psycopg.connect(conninfo(stack)) as connection:
        query = "SELECT status, confirmed FROM candles WHERE symbol = 'OLDER'"
        assert connection.execute(query).fetchall() == [("final", None)]


@pytest.mark.usefixtures("first")
@pytest.mark.parametrize("table", ["candles", "gaps"])
def test_a_publisher_reads_and_deletes(stack: RunningStack, table: str) -> None:
    with psycopg.connect(conninfo(stack)) as connection:
        connection.execute("SET ROLE live_publisher")
        connection.execute(f"DELETE FROM {table} WHERE updated_at < '2000-01-01'")
        connection.execute(f"SELECT * FROM {table}")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(f"UPDATE {table} SET symbol = symbol")
        connection.rollback()


@pytest.mark.usefixtures("first")
@pytest.mark.parametrize("table", ["candles", "feed_status", "gaps"])
@pytest.mark.parametrize(
    ("role", "allowed"), [("live_reader", {"SELECT"}), ("live_writer", {"SELECT", "INSERT", "UPDATE"})]
)
def test_a_role_has_the_rights_that_its_users_need(
    stack: RunningStack, role: str, allowed: set[str], table: str
) -> None:
    statements = {
        "SELECT": "SELECT * FROM {}",
        "INSERT": "INSERT INTO {} SELECT * FROM {} WHERE FALSE",
        "UPDATE": "UPDATE {} SET symbol = symbol",
        "DELETE": "DELETE FROM {}",
        "TRUNCATE": "TRUNCATE {}",
        "DROP": "DROP TABLE {}",
    }
    found = set()
    for name, statement in statements.items():
        with psycopg.connect(conninfo(stack)) as connection:
            connection.execute(f"SET ROLE {role}")
            with suppress(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement.format(table, table))
                found.add(name)
            connection.rollback()
    assert found == allowed


@pytest.mark.usefixtures("first")
def test_a_writer_upserts_through_the_guards(stack: RunningStack) -> None:
    upsert = """
        INSERT INTO feed_status VALUES ('WRITER', %s, %s, 0) ON CONFLICT (symbol)
        DO UPDATE SET proven_until = excluded.proven_until, lag_ms = excluded.lag_ms
    """
    with psycopg.connect(conninfo(stack)) as connection:
        connection.execute("SET ROLE live_writer")
        for proven_until, lag_ms in (("2026-08-09 19:20Z", 1), ("2026-08-09 19:21Z", 2), ("2026-08-09 19:19Z", 3)):
            connection.execute(upsert, (proven_until, lag_ms))
        query = "SELECT lag_ms FROM feed_status WHERE symbol = 'WRITER'"
        assert connection.execute(query).fetchall() == [(2,)]


def test_a_store_that_refuses_is_one_line_with_the_reason(stack: RunningStack) -> None:
    port = str(free_ports(["nothing"])["nothing"])
    code, [line] = run(stack, "tables", PGPORT=port)
    assert (code, line["severity"], line["message"]) == (1, "CRITICAL", "set-up failed")
    assert "Connection refused" in line["reason"]


def test_a_setting_that_is_missing_is_named(stack: RunningStack) -> None:
    reason = "KAFKA_BOOTSTRAP_SERVERS is not set (the broker, host:port)"
    failed = {"severity": "CRITICAL", "message": "set-up failed", "reason": reason}
    assert run(stack, "topics", KAFKA_BOOTSTRAP_SERVERS="") == (1, [failed])


def test_the_start_of_a_stack_reports_the_reason(stack: RunningStack) -> None:
    port = str(free_ports(["nothing"])["nothing"])
    with pytest.raises(StartError, match=r"tables cannot be set up \(.*Connection refused"):
        set_up(stack.stack, "tables", {**stack.environ, "PGPORT": port})


# job       candles made, not committed ── waits for the lock of gaps ─x kill -9
# next                                                                      ── all of it
@pytest.mark.usefixtures("first")
def test_a_job_killed_midway_changes_nothing_and_the_next_makes_all_of_it(stack: RunningStack) -> None:
    whole = schema_of(stack)
    with psycopg.connect(conninfo(stack), autocommit=True) as connection:
        connection.execute("DROP TABLE candles")
        connection.execute("DROP TRIGGER guard_gap ON gaps")
        waiting = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        before = schema_of(stack)
        with ThreadPoolExecutor(1) as pool:
            with psycopg.connect(conninfo(stack)) as holder:
                holder.execute("LOCK TABLE gaps")
                job = pool.submit(set_up, stack.stack, "tables", stack.environ)
                [(backend,)] = wait_for("the job to be midway", lambda: connection.execute(waiting).fetchall(), 60)
                kill_job(stack, "tables")
                assert isinstance(job.exception(60), StartError)
            query = "SELECT FROM pg_stat_activity WHERE pid = %s"
            wait_for("its session to end", lambda: not connection.execute(query, [backend]).fetchall(), 60)
    assert schema_of(stack) == before
    set_up(stack.stack, "tables", stack.environ)
    assert schema_of(stack) == whole


def kill_job(stack: RunningStack, store: str) -> None:
    """Kill the running set-up of a store with SIGKILL."""
    if not kill_container(stack.stack.home, f"store_setup-{store}"):
        [job] = (process for process in psutil.Process().children() if process.cmdline()[-1:] == [store])
        job.kill()


LOGINS: Final = {
    "POSTGRES_LOGINS": "flink_candles=live_writer,page=live_reader",
    "POSTGRES_PASSWORD_FLINK_CANDLES": "first-of-flink",
    "POSTGRES_PASSWORD_PAGE": "of-the-page",
}


@pytest.mark.usefixtures("first")
def test_each_login_has_its_password_and_one_role(stack: RunningStack) -> None:
    done = {"severity": "INFO", "message": "logins are set up", "logins": ["flink_candles", "page"]}
    assert run(stack, "tables", **LOGINS)[1][-1] == done
    with psycopg.connect(conninfo(stack)) as connection:
        members = connection.execute(
            "SELECT member::regrole::text, roleid::regrole::text FROM pg_auth_members"
            " WHERE member::regrole::text IN ('flink_candles', 'page') ORDER BY 1"
        ).fetchall()
        plain = "SELECT rolsuper, rolcreaterole, rolcreatedb FROM pg_roles WHERE rolname IN ('flink_candles', 'page')"
        assert set(connection.execute(plain).fetchall()) == {(False, False, False)}
    assert members == [("flink_candles", "live_writer"), ("page", "live_reader")]
    assert verifies(stack, "flink_candles", "first-of-flink")
    changed = {
        **LOGINS,
        "POSTGRES_LOGINS": "flink_candles=live_writer,page=live_publisher",
        "POSTGRES_PASSWORD_FLINK_CANDLES": "second-of-flink",
    }
    assert run(stack, "tables", **changed)[0] == 0
    assert verifies(stack, "flink_candles", "second-of-flink")
    assert not verifies(stack, "flink_candles", "first-of-flink")
    with psycopg.connect(conninfo(stack)) as connection:
        query = "SELECT roleid::regrole::text FROM pg_auth_members WHERE member::regrole::text = 'page'"
        assert connection.execute(query).fetchall() == [("live_publisher",)]


def verifies(stack: RunningStack, login: str, password: str) -> bool:
    """Whether the stored verifier (RFC 5803) is that of the password."""
    with psycopg.connect(conninfo(stack)) as connection:
        [(stored,)] = connection.execute("SELECT rolpassword FROM pg_authid WHERE rolname = %s", [login]).fetchall()
    _, parameters, keys = stored.split("$")
    iterations, salt = parameters.split(":")
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(salt), int(iterations))
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    return base64.b64encode(hashlib.sha256(client_key).digest()).decode() == str(keys).split(":")[0]


@pytest.mark.usefixtures("first")
def test_a_wrong_or_incomplete_login_is_named(stack: RunningStack) -> None:
    code, [line] = run(stack, "tables", POSTGRES_LOGINS="page=postgres")
    assert (code, line["message"]) == (1, "set-up failed")
    assert "must be LOGIN=ROLE with a role of live_reader, live_writer, live_publisher" in line["reason"]
    code, [line] = run(stack, "tables", POSTGRES_LOGINS="page=live_reader")
    assert line["reason"] == "POSTGRES_PASSWORD_PAGE is not set (the password of a login)"
