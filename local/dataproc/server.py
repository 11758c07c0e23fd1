"""The batch API over gRPC: decodes requests, passes them to batches.py and answers refusals with their statuses.

Imported by __main__.py. google-cloud-dataproc ships clients and messages but no servicer, so this module binds its
methods.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, NoReturn, TypeVar

import grpc
from google.cloud import dataproc_v1 as dataproc
from google.longrunning import operations_pb2, operations_pb2_grpc
from google.protobuf import empty_pb2

from local.dataproc.batches import Batches
from local.dataproc.proxy import Certificate
from local.dataproc.validation import RefusedError

_LONGEST_WAIT: Final = 20.0
"""Seconds for which a WaitOperation may occupy a thread of the server; its contract permits early answers."""

_THREADS: Final = 16
_T = TypeVar("_T")


def serve(batches: Batches, port: int, certificate: Certificate | None = None) -> tuple[grpc.Server, int]:
    """A server that answers on 127.0.0.1. Raises RuntimeError when the port is taken.

    With a certificate it also answers over TLS, at the port that is returned beside it, which is else 0.
    """
    # With SO_REUSEPORT, gRPC's default, two servers would share a port without an error.
    server = grpc.server(ThreadPoolExecutor(_THREADS), options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers((_batch_controller(batches),))
    operations_pb2_grpc.add_OperationsServicer_to_server(_Operations(batches), server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    tls_port = 0
    if certificate:
        credentials = grpc.ssl_server_credentials([(certificate.key, certificate.chain)])
        tls_port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    return server, tls_port


def _batch_controller(batches: Batches) -> grpc.GenericRpcHandler:
    def create(request: dataproc.CreateBatchRequest) -> operations_pb2.Operation:
        name = batches.create(request.parent, request.batch, request.batch_id, request.request_id)
        return batches.operation(name)

    def get(request: dataproc.GetBatchRequest) -> dataproc.Batch:
        return batches.get(request.name)

    def list_(request: dataproc.ListBatchesRequest) -> dataproc.ListBatchesResponse:
        found, more = batches.page(
            request.parent, request.page_size, request.page_token, request.filter, request.order_by
        )
        return dataproc.ListBatchesResponse(batches=found, next_page_token=more)

    def delete(request: dataproc.DeleteBatchRequest) -> empty_pb2.Empty:
        batches.delete(request.name)
        return empty_pb2.Empty()

    def bind(method: Callable[[Any], Any], request: Any, reply: Callable[[Any], bytes]) -> grpc.RpcMethodHandler:
        def handle(message: Any, context: grpc.ServicerContext) -> Any:
            return _answer(context, lambda: method(message))

        return grpc.unary_unary_rpc_method_handler(handle, request.deserialize, reply)

    operation, empty = operations_pb2.Operation.SerializeToString, empty_pb2.Empty.SerializeToString
    return grpc.method_handlers_generic_handler(
        "google.cloud.dataproc.v1.BatchController",
        {
            "CreateBatch": bind(create, dataproc.CreateBatchRequest, operation),
            "GetBatch": bind(get, dataproc.GetBatchRequest, dataproc.Batch.serialize),
            "ListBatches": bind(list_, dataproc.ListBatchesRequest, dataproc.ListBatchesResponse.serialize),
            "DeleteBatch": bind(delete, dataproc.DeleteBatchRequest, empty),
        },
    )


class _Operations(operations_pb2_grpc.OperationsServicer):  # type: ignore[misc]  # it ships no types
    """Get, cancel and wait; the base class answers all other methods with UNIMPLEMENTED."""

    def __init__(self, batches: Batches) -> None:
        self.batches = batches

    def GetOperation(self, request: Any, context: grpc.ServicerContext) -> operations_pb2.Operation:  # noqa: N802
        return _answer(context, lambda: self.batches.operation(request.name))

    def CancelOperation(self, request: Any, context: grpc.ServicerContext) -> empty_pb2.Empty:  # noqa: N802
        _answer(context, lambda: self.batches.cancel(request.name))
        return empty_pb2.Empty()

    def WaitOperation(self, request: Any, context: grpc.ServicerContext) -> operations_pb2.Operation:  # noqa: N802
        seconds = request.timeout.ToTimedelta().total_seconds() if request.HasField("timeout") else _LONGEST_WAIT
        deadline = time.monotonic() + min(seconds, _LONGEST_WAIT)
        while not (operation := self.GetOperation(request, context)).done:
            if time.monotonic() > deadline or not context.is_active():
                break
            time.sleep(0.1)
        return operation


def _answer(context: grpc.ServicerContext, method: Callable[[], _T]) -> _T:
    try:
        return method()
    except RefusedError as refused:
        _abort(context, refused)


def _abort(context: grpc.ServicerContext, refused: RefusedError) -> NoReturn:
    context.abort(grpc.StatusCode[refused.code], str(refused))
    raise AssertionError("abort raises")
