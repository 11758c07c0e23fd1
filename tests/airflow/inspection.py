"""Loads the DAGs of a folder and prints what they are, as JSON; run by the Python of an Airflow environment.

`python inspection.py FOLDER WORK`. WORK: the work of a batch, whose submission is recorded and sent nowhere.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

FOLDER = Path(sys.argv[1])
IMPURE = ("socket.connect", "socket.getaddrinfo", "subprocess.Popen", "os.system")


class Submissions:
    """A hook of Dataproc that keeps what is submitted."""

    def __init__(self) -> None:
        self.arguments: dict[str, Any] = {}

    def create_batch(self, **arguments: Any) -> None:
        self.arguments = arguments
        from google.api_core.exceptions import AlreadyExists

        raise AlreadyExists("accepted")


def submitted(work: Any) -> dict[str, Any]:
    """What the operator submits for a work."""
    from airflow.providers.common.compat.sdk import TaskDeferred
    from bybit_tasks import operators, services

    setattr(services, "next_batch_id", lambda hook, name, items: f"candles-{name}-1")  # noqa: B010
    manifests: dict[str, Any] = {}
    setattr(services, "write_manifest", lambda name, manifest: manifests.update({name: manifest}))  # noqa: B010
    operator = operators.CandlesBatchOperator(task_id="candles", work=work)
    operator.__dict__["hook"] = hook = Submissions()

    class Instance:
        def xcom_push(self, *_: Any, **__: Any) -> None: ...

    try:
        operator.execute({"ti": Instance(), "task_instance": Instance(), "task": operator})
    except TaskDeferred as deferred:
        trigger = deferred.trigger.serialize()
    batch = dict(hook.arguments["batch"])
    batch.pop("labels", None)
    return {"batch": batch, "batch_id": hook.arguments["batch_id"], "manifests": list(manifests), "trigger": trigger}


def main() -> None:
    """Load, look and print."""
    import requests  # noqa: F401  # imported by the provider's operators on a first call

    import airflow.providers.google.cloud.operators.dataproc
    import airflow.providers.standard.decorators.sensor  # noqa: F401

    try:
        from airflow.dag_processing.dagbag import DagBag
        from airflow.serialization.serialized_objects import DagSerialization
    except ImportError:  # Airflow 3.1
        from airflow.models.dagbag import DagBag
        from airflow.serialization.serialized_objects import SerializedDAG as DagSerialization

    events: list[str] = []
    listening = True

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        writes = event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")
        if listening and (event in IMPURE or (writes and ".pyc" not in str(arguments[0]))):
            events.append(f"{event} {arguments[0]}")

    sys.addaudithook(hook)
    sys.path.insert(0, str(FOLDER))
    began = time.process_time()
    bag = DagBag(str(FOLDER))
    seconds = time.process_time() - began
    listening = False
    dags = {}
    for dag in bag.dags.values():
        kept = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag))
        tasks = dag.task_dict.values()
        dags[dag.dag_id] = {
            "kept": sorted(kept.task_dict),
            "tasks": {task.task_id: sorted(task.downstream_task_ids) for task in tasks},
            "owners": sorted({task.owner for task in tasks}),
            "retries": sorted({task.retries for task in tasks}),
            "callbacks": all(task.has_on_failure_callback for task in tasks),
            "back_off": all(task.retry_exponential_backoff for task in tasks),
            "tags": sorted(dag.tags),
            "doc": dag.doc_md,
            "max_active_runs": dag.max_active_runs,
            "catchup": dag.catchup,
            "params": {name: param.schema for name, param in dag.params._ParamsDict__dict.items()}
            if hasattr(dag.params, "_ParamsDict__dict")
            else {},
        }
    outcome = {
        "errors": bag.import_errors,
        "seconds": seconds,
        "events": events,
        "dags": dags,
        "submitted": submitted(json.loads(sys.argv[2])),
    }
    sys.stdout.write("\n" + json.dumps(outcome, default=str) + "\n")


if __name__ == "__main__":
    main()
