"""A subscription to the pipeline's topic in Google's Pub/Sub emulator, and the events that it has received."""

from __future__ import annotations

import json
from typing import Any

import grpc
from google.pubsub_v1 import SubscriberClient
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

from local.backing.interface import PROJECT
from local.stack.config import StackConfig

Event = tuple[str, dict[str, Any]]
"""The attribute `type`, and the data."""

_TIMEOUT_S = 60


class Subscription:
    """A subscription of the stack's project, which receives the events whose type begins with `prefix`."""

    def __init__(self, stack: StackConfig, name: str, prefix: str = "") -> None:
        channel = grpc.insecure_channel(stack.environ()["PUBSUB_EMULATOR_HOST"])
        self._client = SubscriberClient(transport=SubscriberGrpcTransport(channel=channel))
        self._path = self._client.subscription_path(PROJECT, name)
        request = {"name": self._path, "topic": stack.environ()["PIPELINE_EVENTS_TOPIC"]}
        if prefix:
            request["filter"] = f'hasPrefix(attributes.type, "{prefix}")'
        self._client.create_subscription(request=request, timeout=_TIMEOUT_S)
        self.events: list[Event] = []

    def receive(self) -> list[Event]:
        """All events so far."""
        answer = self._client.pull(request={"subscription": self._path, "max_messages": 100}, timeout=_TIMEOUT_S)
        for item in answer.received_messages:
            self.events.append((item.message.attributes["type"], json.loads(item.message.data)))
        if answer.received_messages:
            ids = [item.ack_id for item in answer.received_messages]
            self._client.acknowledge(request={"subscription": self._path, "ack_ids": ids}, timeout=_TIMEOUT_S)
        return self.events
