"""What a shell completes: symbols in capital and small letters, intervals, planes; and how the command is invoked."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from local.checkout import ROOT
from local.command.completion import symbols_from


def run(home: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run `pipeline` with a home of its own, without the caller's settings."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("PIPELINE_", "GOOGLE_"))}
    return subprocess.run(
        [sys.executable, "-P", "-m", "local.command", *words],
        cwd=ROOT,
        env={**environ, "PIPELINE_HOME": str(home), "HOME": str(home), **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("incomplete", "symbols"),
    [
        ("", ["ETHUSDT", "SOLUSDT"]),
        ("E", ["ETHUSDT"]),
        ("so", ["solusdt"]),
        ("BTCUSDT,E", ["BTCUSDT,ETHUSDT"]),
        ("ETHUSDT,", ["ETHUSDT,SOLUSDT"]),
        ("X", []),
    ],
)
def test_symbols_are_completed(monkeypatch: pytest.MonkeyPatch, incomplete: str, symbols: list[str]) -> None:
    monkeypatch.setenv("PIPELINE_SYMBOLS", "ETHUSDT,SOLUSDT")
    assert symbols_from(incomplete) == symbols


def test_symbols_are_those_of_the_stack_that_is_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("PIPELINE_SYMBOLS", raising=False)
    monkeypatch.setenv("PIPELINE_HOME", str(tmp_path))
    assert symbols_from("BT") == ["BTCUSDT", "BTCUSD"]
    (tmp_path / "env").write_text("PIPELINE_SYMBOLS=ADAUSDT\n")
    assert (symbols_from("BT"), symbols_from("a")) == ([], ["adausdt"])


def test_a_shell_gets_the_intervals(tmp_path: Path) -> None:
    words = "pipeline candles BTCUSDT 2024-01-01 --interval 1"
    found = run(tmp_path, _PIPELINE_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD="5")
    assert found.stdout.split() == ["1m", "15m", "1h", "1d"]


@pytest.mark.parametrize(
    ("shell", "file"),
    [
        ("bash", ".bash_completions/pipeline.sh"),
        ("zsh", ".zfunc/_pipeline"),
        ("fish", ".config/fish/completions/pipeline.fish"),
    ],
)
def test_completion_is_installed(tmp_path: Path, shell: str, file: str) -> None:
    # The variable lets a test name the shell, which is otherwise the one that runs the command.
    outcome = run(tmp_path, "--install-completion", shell, _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert outcome.returncode == 0, outcome
    assert f"_PIPELINE_COMPLETE=complete_{shell}" in (tmp_path / file).read_text()


def test_the_command_alone_shows_its_help(tmp_path: Path) -> None:
    outcome = run(tmp_path)
    assert (outcome.returncode, outcome.stderr) == (0, "")
    assert "Usage: pipeline [OPTIONS] COMMAND" in outcome.stdout
    assert all(f" {name} " in outcome.stdout for name in ("up", "backfill", "candles", "sql"))


@pytest.mark.parametrize(
    ("query", "message", "wrong"),
    [
        ("SELECT 1,\n       2 FORM gaps", 'Parser Error: syntax error at or near "gaps"', "gaps"),
        ("SELECT 1,\n       nothing FROM gaps", 'Binder Error: Referenced column "nothing" not found', "nothing"),
    ],
)
def test_an_error_in_sql_keeps_its_line_and_caret(tmp_path: Path, query: str, message: str, wrong: str) -> None:
    settings = {"GOOGLE_CLOUD_PROJECT": "p", "PIPELINE_LAKE": "lake", "PIPELINE_REGION": "r", "BIGQUERY_LOCATION": "EU"}
    outcome = run(tmp_path, "sql", query, **settings)
    assert outcome.returncode == 1
    error, *_, line, caret = outcome.stderr.rstrip().split("\n")
    assert error.startswith(f"error: {message}")
    assert line == f"LINE 2: {query.splitlines()[1]}"
    assert caret.index("^") == line.index(wrong)
