"""Each rule of the repository can fail: small bad examples, and good ones beside them."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Final

import pytest

from tests.support.house import (
    SCHEMAS,
    SETUP,
    adapter_faults,
    circles,
    docstring_faults,
    extra_faults,
    floor_faults,
    folder_faults,
    graph_of,
    import_faults,
    library_faults,
    lock_faults,
    mirror_faults,
    modules_of,
    package_faults,
    purity_faults,
    requirement_faults,
    setup_faults,
    text_faults,
    wing_of,
)

MODULES: Final = modules_of(
    [
        PurePosixPath("functions/fetch_archive/main.py"),
        PurePosixPath("dataproc_jobs/candles/main.py"),
        PurePosixPath("dataproc_jobs/candles/candles_batch/transforms.py"),
        PurePosixPath("composer_dags/bybit_daily.py"),
    ]
)


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("src/bitcoin_pipeline/trade.py", "import local.stack.lifecycle"),
        ("src/bitcoin_pipeline/trade.py", "import tests"),
        ("src/bitcoin_pipeline/trade.py", "import numpy"),
        ("src/bitcoin_pipeline/trade.py", "from .candle import Candle"),
        ("functions/fetch_archive/main.py", "from local.waiting import wait_for"),
        ("functions/fetch_archive/main.py", "def f():\n    from tests.support import cases"),
        ("functions/fetch_archive/main.py", "import candles_batch.transforms"),
        ("functions/fetch_archive/main.py", "import functions.fetch_archive.main"),
        ("functions/fetch_archive/main.py", "import importlib\nimportlib.import_module('local')"),
        ("functions/fetch_archive/main.py", "from .. import candles"),
        ("dataproc_jobs/candles/main.py", "from functions.fetch_archive import main"),
        ("dataproc_jobs/other/main.py", "from candles_batch.transforms import read"),
        ("composer_dags/bybit_daily.py", "import local"),
        ("local/stack/lifecycle.py", "import dataproc_jobs.candles.transforms"),
        ("local/stack/lifecycle.py", "import candles_batch.transforms"),
        ("local/stack/lifecycle.py", "from tests.support.cases import load_cases"),
        ("local/stack/lifecycle.py", "from . import waiting"),
        ("src/bitcoin_pipeline/adapters/stdout.py", "import pyarrow"),
        ("src/bitcoin_pipeline/arrow.py", "import pyarrow"),
        ("src/bitcoin_pipeline/adapters/kafka.py", "import confluent_kafka\nimport pyarrow"),
        ("src/bitcoin_pipeline/adapters/stdout.py", "from local import waiting"),
    ],
)
def test_an_import_against_the_table_is_found(path: str, source: str) -> None:
    assert len(import_faults(PurePosixPath(path), source, MODULES)) == 1


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("src/bitcoin_pipeline/trade.py", "import decimal\nfrom bitcoin_pipeline.times import iso"),
        ("functions/fetch_archive/main.py", "import requests\nfrom bitcoin_pipeline import names"),
        ("dataproc_jobs/candles/main.py", "import candles_batch.transforms"),
        ("local/stack/lifecycle.py", "from local import waiting\nimport bitcoin_pipeline"),
        (
            "src/bitcoin_pipeline/adapters/kafka.py",
            "import time\nimport confluent_kafka\nimport bitcoin_pipeline.errors",
        ),
        ("functions/fetch_archive/main.py", "from bitcoin_pipeline.adapters.kafka import read"),
        ("tests/unit/test_x.py", "import transforms, local, functions"),
    ],
)
def test_an_import_within_the_table_is_fine(path: str, source: str) -> None:
    assert import_faults(PurePosixPath(path), source, MODULES) == []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("src/bitcoin_pipeline/trade.py", "from bitcoin_pipeline.adapters.stdout import log"),
        ("src/bitcoin_pipeline/trade.py", "import bitcoin_pipeline.adapters.stdout"),
        ("composer_dags/bybit_daily.py", "from bitcoin_pipeline.adapters import stdout"),
        ("src/bitcoin_pipeline/adapters/other.py", "from bitcoin_pipeline.adapters import stdout"),
    ],
)
def test_an_adapter_where_none_may_be_is_found(path: str, source: str) -> None:
    assert adapter_faults(PurePosixPath(path), source) == [f"{path} imports the adapter stdout"]


@pytest.mark.parametrize("source", ["from bitcoin_pipeline import adapters", "import bitcoin_pipeline.adapters"])
def test_the_adapters_package_where_none_may_be_is_found(source: str) -> None:
    assert len(adapter_faults(PurePosixPath("src/bitcoin_pipeline/trade.py"), source)) == 1


@pytest.mark.parametrize(
    "source", ["from bitcoin_pipeline import names", "from bitcoin_pipeline.adapter import x", "import adapters.stdout"]
)
def test_what_is_no_adapter_is_fine(source: str) -> None:
    assert adapter_faults(PurePosixPath("src/bitcoin_pipeline/trade.py"), source) == []


def test_a_deployable_may_import_an_adapter_whose_library_it_installs() -> None:
    path, source = PurePosixPath("functions/a/main.py"), "from bitcoin_pipeline.adapters.one_two import x"
    extras = {"one-two": ["some-library>=2.1"]}
    assert adapter_faults(path, source) == []
    assert adapter_faults(PurePosixPath("composer_dags/some_tasks/a.py"), source) == []
    assert extra_faults(path, source, extras, "other==1\nsome-library==2.2 \\\n") == []
    assert len(extra_faults(path, source, extras, "other==1\nsome-library-more==2.2\n# some-library==2\n")) == 1


@pytest.mark.parametrize(
    "source",
    [
        *("import os", "import time", "import random", "import socket", "from pathlib import Path", "import io"),
        *(
            "from importlib import resources",
            "import urllib.request",
            "from urllib import parse",
            "__import__('os')",
            "open('x')",
            "f = open",
            "print('x')",
        ),
        *("dt.datetime.now(dt.UTC)", "dt.date.today()", "uuid.uuid4()", "files('x').read_text()"),
    ],
)
def test_input_and_output_in_the_core_is_found(source: str) -> None:
    assert purity_faults(PurePosixPath("src/bitcoin_pipeline/trade.py"), source)


def test_only_the_schemas_read_their_package() -> None:
    source = "from importlib.resources import files\nfiles('x').read_text()"
    assert purity_faults(SCHEMAS, source) == []
    assert len(purity_faults(PurePosixPath("src/bitcoin_pipeline/trade.py"), source)) == 2
    assert purity_faults(SCHEMAS, "open('x')")


@pytest.mark.parametrize("source", ["", "# a comment\n", "import os\n'late'\n", "''\n"])
def test_a_file_without_docstring_is_found(source: str) -> None:
    assert docstring_faults(PurePosixPath("local/x.py"), source)
    assert docstring_faults(PurePosixPath("local/x.py"), '"""What I am."""\n' + source) == []


@pytest.mark.parametrize("source", ["match 1:\n    case _: pass\n", "import requests\n", "from local import waiting\n"])
def test_a_set_up_that_needs_more_than_an_old_python_is_found(source: str) -> None:
    assert setup_faults(SETUP / "x.py", source)
    assert setup_faults(SETUP / "x.py", "import json\nfrom local.setup import locks\n") == []


def test_a_folder_beyond_the_design_is_found() -> None:
    some = [PurePosixPath(name) for name in ("utils/x.py", "README.md", ".ci/run", "src/bitcoin_pipeline/trade.py")]
    assert folder_faults(some) == ["utils/ is not in FOLDERS"]


def test_a_deployable_without_requirements_is_found() -> None:
    some = [
        PurePosixPath(name) for name in ("functions/a/main.py", "functions/b/main.py", "functions/b/requirements.txt")
    ]
    assert lock_faults(some) == ["functions/a has no requirements.txt"]
    assert lock_faults([PurePosixPath("uv.lock")]) == ["uv.lock is not for git"]


MIRRORED: Final = [
    *("src/bitcoin_pipeline/trade.py", "src/bitcoin_pipeline/schemas/__init__.py", "local/exchange/server.py"),
    *("cloudrun/dashboard/cache.py", "cloudrun/dashboard/assets/chart.js", "tests/support/cases.py"),
]


@pytest.mark.parametrize(
    "test",
    [
        *("bitcoin_pipeline/test_trade.py", "bitcoin_pipeline/test_schemas.py", "local/exchange/test_server.py"),
        *("cloudrun/dashboard/test_cache.py", "cloudrun/dashboard/assets/test_chart.mjs"),
        *("tests/support/test_cases.py", "test_architecture.py", "bitcoin_pipeline/test_real_day.py"),
    ],
)
def test_a_unit_test_beside_its_module_is_fine(test: str) -> None:
    assert mirror_faults([PurePosixPath(name) for name in (*MIRRORED, f"tests/unit/{test}")]) == []


@pytest.mark.parametrize(
    "test",
    [
        *("test_trade.py", "src/bitcoin_pipeline/test_trade.py", "bitcoin_pipeline/test_trades.py"),
        *("bitcoin_pipeline/trade.py", "bitcoin_pipeline/test_trade.txt", "local/test_server.py", "test_cases.py"),
        *("cloudrun/dashboard/assets/test_chart.py", "cloudrun/dashboard/test_chart.mjs", "local/exchange/__init__.py"),
    ],
)
def test_a_unit_test_away_from_its_module_is_found(test: str) -> None:
    assert len(mirror_faults([PurePosixPath(name) for name in (*MIRRORED, f"tests/unit/{test}")])) == 1


@pytest.mark.parametrize(
    "line",
    [
        "index-url = https://py" + "pi.org/simple",
        "https://files.python" + "hosted.org/packages/x",
        "https://repo1.maven" + ".org/maven2",
        "cd /wo" + "rk/main",
        'Path("/ho' + 'me/somebody/x")',
        "see `/ro" + "ot/x`",
    ],
)
def test_a_host_or_a_machine_is_found(line: str) -> None:
    assert len(text_faults(PurePosixPath("README.md"), f"fine\n{line}\n")) == 1


@pytest.mark.parametrize(
    "line", ["https://public.bybit.com/trading/", "$(VENV)/home/x", "a maven repository", "src/work/x"]
)
def test_other_addresses_and_paths_are_fine(line: str) -> None:
    assert text_faults(PurePosixPath("README.md"), line) == []


HASH: Final = f"--hash=sha256:{'0' * 64}"


@pytest.mark.parametrize(
    "text",
    [
        "requests==2.32.0\n",
        f"requests {HASH}\n",
        f"requests>=2 {HASH}\n",
        "requests==2.32.0 --hash=md5:00\n",
        f"requests @ https://somewhere/requests.whl {HASH}\n",
        f"--index-url https://somewhere\nrequests==2.32.0 {HASH}\n",
        f"-e .\nrequests==2.32.0 {HASH}\n",
    ],
)
def test_a_loose_requirement_is_found(text: str) -> None:
    assert len(requirement_faults(PurePosixPath("requirements.txt"), text)) == 1


def test_an_exact_requirement_is_fine() -> None:
    text = (
        f"# a\nx==2.32.0 \\\n    {HASH} \\\n    {HASH}\n    # via y\ny[z]==2.4 ; python_version < '3' \\\n    {HASH}\n"
    )
    assert requirement_faults(PurePosixPath("requirements.txt"), text) == []


GRAPH: Final = {"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a", "e"}, "e": set[str]()}


def test_a_circle_is_found() -> None:
    assert circles(GRAPH) == [["a", "b", "c"]]
    assert circles({**GRAPH, "c": set()}) == []


def test_the_graph_has_every_kind_of_import() -> None:
    sources = {
        PurePosixPath("src/bitcoin_pipeline/candle.py"): "from bitcoin_pipeline import trade, names",
        PurePosixPath("src/bitcoin_pipeline/trade.py"): "import json",
        PurePosixPath("src/bitcoin_pipeline/live/__init__.py"): "",
        PurePosixPath("cloudrun/producer/main.py"): "from producer.worker import Worker",
        PurePosixPath("cloudrun/producer/producer/worker.py"): "def f():\n    import bitcoin_pipeline.live",
        PurePosixPath("tests/unit/test_x.py"): "import producer.worker",
    }
    assert graph_of(sources) == {
        "bitcoin_pipeline.candle": {"bitcoin_pipeline.trade"},
        "bitcoin_pipeline.trade": set(),
        "bitcoin_pipeline.live": set(),
        "cloudrun/producer/main.py": {"producer.worker"},
        "producer.worker": {"bitcoin_pipeline.live"},
    }


@pytest.mark.parametrize(
    ("module", "imported"),
    [
        ("bitcoin_pipeline.trade", "bitcoin_pipeline.bybit.frames"),
        ("bitcoin_pipeline.bybit.frames", "bitcoin_pipeline.live"),
        ("local.exchange.server", "local.java.jvm"),
        ("local.backing.kafka", "local.stack.ports"),
    ],
)
def test_an_import_from_a_higher_floor_is_found(module: str, imported: str) -> None:
    assert floor_faults({module: {imported}}) == [f"{module} imports {imported}, which is not on a lower floor"]
    assert floor_faults({imported: {module}}) == [] or wing_of(imported) == "local.java"
    assert floor_faults({module: {module}}) == []


def test_a_package_without_a_name_of_its_own_is_found() -> None:
    some = [
        "functions/a/main.py",
        "functions/a/a/x.py",
        "cloudrun/b/a/y.py",
        "cloudrun/b/rest.py",
        "flink/c/local/z.py",
    ]
    assert package_faults([PurePosixPath(name) for name in some]) == [
        "cloudrun/b/rest.py is neither an entry point nor in a package",
        "local is a package of flink/c and of local",
        "a is a package of cloudrun/b and of functions/a",
    ]


def test_a_library_that_the_requirements_lack_is_found() -> None:
    path, distributions = PurePosixPath("functions/a/a/x.py"), {"yaml": ["PyYAML"], "requests": ["requests"]}
    source = """
import json, requests.adapters, yaml
import bitcoin_pipeline.names
from google.cloud import storage
from google.cloud.storage.blob import Blob
from a.settings import Settings
"""
    lock = "requests==2.32.0 \\\ngoogle-cloud-storage==3.0 \\\npyyaml==6 \\\n"
    own = {"a", "bitcoin_pipeline"}
    assert library_faults(path, source, lock, distributions, own) == []
    assert library_faults(path, source, "", distributions, own) == [
        f"functions/a/a/x.py imports {name}, which the requirements of functions/a do not install"
        for name in ("google.cloud.storage", "google.cloud.storage.blob", "requests.adapters", "yaml")
    ]
    spark = PurePosixPath("dataproc_jobs/candles/main.py")
    assert library_faults(spark, "from pyspark.sql import SparkSession", "", {"pyspark": ["pyspark"]}, own) == []
