"""Which line of a service's log is reported as the reason; the logs are real ones, shortened."""

from __future__ import annotations

import pytest

from local.stack.logs import last_json_reason, port_is_taken, reason

JOBMANAGER_WHOSE_PORT_IS_TAKEN = """\
2026-11-29 23:23:45,209 ERROR NettyTransport - failed to bind to host:127.0.0.1 port:30549, shutting down transport
2026-11-29 23:23:45,440 ERROR FatalExitExceptionHandler - FATAL: Thread 'flink-2' produced an uncaught exception.
java.lang.NoClassDefFoundError: org/apache/pekko/actor/dungeon/FaultHandling$1
\tat org.apache.pekko.actor.ActorCell.invokeAll$1(ActorCell.scala:420)
Caused by: java.lang.ClassNotFoundException: org.apache.pekko.actor.dungeon.FaultHandling$1
\tat java.base/java.net.URLClassLoader.findClass(Unknown Source)
"""

JAVA_TRACE = """\
2026-11-29 23:18:17,772 ERROR ClusterEntrypoint - Could not start cluster entrypoint.
org.apache.flink.runtime.entrypoint.ClusterEntrypointException: Failed to initialize the cluster entrypoint.
\tat org.apache.flink.runtime.entrypoint.ClusterEntrypoint.startCluster(ClusterEntrypoint.java:259)
Caused by: org.apache.flink.util.FlinkException: Could not create the component.
\tat org.apache.flink.runtime.entrypoint.ClusterEntrypoint.runCluster(ClusterEntrypoint.java:294)
\t... 2 more
Caused by: java.nio.file.NoSuchFileException: /var/lib/x/tmp
\tat java.base/sun.nio.fs.UnixException.translateToIOException(Unknown Source)
\t... 18 more
"""

PYTHON_TRACE = """\
Traceback (most recent call last):
  File "/x/local/metadata.py", line 110, in <module>
    main()
    ^^^^^^
  File "/x/local/metadata.py", line 100, in main
    raise ValueError(project)
ValueError: project must not be empty

"""

JSON_LINES = """\
{"severity": "INFO", "message": "producer starts"}
{"severity": "CRITICAL", "message": "the broker refuses", "reason": "the topic trades cannot be read"}
%3|1795994475.068|FAIL|producer#producer-1| Connect to ipv4#127.0.0.1:65340 failed: Connection refused
"""


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        (
            JOBMANAGER_WHOSE_PORT_IS_TAKEN,
            "2026-11-29 23:23:45,209 ERROR NettyTransport - failed to bind to host:127.0.0.1 port:30549,"
            " shutting down transport",
        ),
        (JAVA_TRACE, "java.nio.file.NoSuchFileException: /var/lib/x/tmp"),
        (PYTHON_TRACE, "ValueError: project must not be empty"),
        (JSON_LINES, "the topic trades cannot be read"),
        ('{"event": "something does not answer", "error": "no route"}\n', "no route"),
        (
            "Error: Could not find or load main class kafka.Kafka\nCaused by: java.lang.X: kafka.Kafka\n",
            "java.lang.X: kafka.Kafka",
        ),
        ("initdb: could not create directory\nlast words\n", "last words"),
        ("", ""),
        ("\n \n", ""),
        ("\tat a.B.c(Unknown Source)\n", ""),
    ],
)
def test_the_line_that_says_why(log: str, expected: str) -> None:
    assert reason(log) == expected


def test_a_taken_port_is_the_reason_wherever_it_stands() -> None:
    lines = (
        "[2026-11-29 23:20:14] [1968] [ERROR] connection to ('127.0.0.1', 1) failed: [Errno 98] Address already in use",
        "[2026-11-29 23:20:19 +0000] [1968] [ERROR] Can't connect to ('127.0.0.1', 1)",
    )
    assert reason("\n".join(lines)) == lines[0]
    assert port_is_taken(JOBMANAGER_WHOSE_PORT_IS_TAKEN)
    assert port_is_taken("Caused by: java.net.BindException: Could not start actor system on any port")
    assert not port_is_taken(JAVA_TRACE + PYTHON_TRACE + JSON_LINES)


def test_a_long_line_is_cut() -> None:
    assert reason("ERROR " + "x" * 1000) == "ERROR " + "x" * 294 + "..."


def test_the_last_reason_is_found_behind_lines_without_one() -> None:
    log = '{"reason": "first"}\n{"reason": "second"}\n{"message": "other"}\nplain\n'
    assert last_json_reason(log) == "second"
    assert last_json_reason("plain\n[1]\n{\n") == ""
