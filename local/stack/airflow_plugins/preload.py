"""Imports what every task needs before Airflow's executor forks, so that no task pays seconds for it; a plugin of it.

Only Airflow loads this file, in the environment of Airflow.
"""

import airflow.providers.google.cloud.operators.dataproc
import airflow.providers.standard.decorators.sensor
import airflow.sdk.execution_time.task_runner  # noqa: F401
