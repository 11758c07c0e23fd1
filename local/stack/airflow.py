"""How a stack starts Airflow with the DAGs of the built artifact: API server, scheduler, DAG processor and triggerer.

Imported by the rest of `local.stack` and by tests. Everything that differs from Composer is a variable here.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Final

from local.backing.interface import LONGEST_CHAIN, Place, ServiceSpec
from local.checkout import ROOT
from local.environment import beside_a_stack
from local.stack.deployables import artifact_of
from local.stack.logs import reason
from local.stack.stand_ins import google_client_environ
from local.stack.startup import StartError

PORTS: Final = ("airflow",)

PROGRAM: Final = ROOT / ".venv-airflow" / "bin" / "airflow"
"""The program of Airflow's environment, which `make setup-airflow` installs."""

TABLES: Final = "airflow_tables"
"""The preparation that makes Airflow's own database."""

_PLUGINS: Final = Path(__file__).parent / "airflow_plugins"


def environ(place: Place) -> dict[str, str]:
    """The variables of Airflow's processes beside those of the stack."""
    return {
        **google_client_environ(place),
        "AIRFLOW_HOME": str(place.home / "airflow"),
        "AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT": "google-cloud-platform://",
        "AIRFLOW__API__BASE_URL": place.url("airflow"),
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(place.ports["airflow"]),
        "AIRFLOW__CORE__DAGS_FOLDER": str(artifact_of(place.home, "dags")),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{place.url('airflow')}/execution/",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__LAZY_LOAD_PLUGINS": "False",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(_PLUGINS),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "600",
        "AIRFLOW__DAG_PROCESSOR__DAG_FILE_PROCESSOR_TIMEOUT": "900",
        "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "20",  # for tasks of a killed scheduler
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
        "PIPELINE_ARCHIVE_POLL_SECONDS": os.environ.get("PIPELINE_ARCHIVE_POLL_SECONDS", "60"),
        "PIPELINE_BATCH_POLL_SECONDS": "2",
        "PIPELINE_TASK_RETRY_SECONDS": os.environ.get("PIPELINE_TASK_RETRY_SECONDS", "20"),
    }


def services(place: Place) -> list[ServiceSpec]:
    """Airflow's processes. They serve no logs themselves, as those servers would listen on every address."""
    url = place.url("airflow")
    api = ("api-server", "--host=127.0.0.1", f"--port={place.ports['airflow']}", "--workers=1")
    needs = (*LONGEST_CHAIN, TABLES)
    variables = environ(place)
    return [
        ServiceSpec("airflow", (str(PROGRAM), *api), f"{url}/api/v2/monitor/health", variables, needs=needs),
        *(
            ServiceSpec(f"airflow_{name}", (str(PROGRAM), *words), "", variables, needs=("airflow", "dataproc"))
            for name, words in (
                ("scheduler", ("scheduler", "--skip-serve-logs")),
                ("dag_processor", ("dag-processor",)),
                ("triggerer", ("triggerer", "--skip-serve-logs")),
            )
        ),
    ]


def make_tables(place: Place) -> None:
    """Make Airflow's database, or bring it to the version of Airflow. Raises StartError with its reason."""
    outcome = subprocess.run(
        (str(PROGRAM), "db", "migrate"),
        env={**beside_a_stack(os.environ), **environ(place)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if outcome.returncode:
        raise StartError(f"Airflow's database cannot be made ({reason(outcome.stderr + outcome.stdout)})")
