"""SQS queues and SNS topics for pulpo."""

from .adapter import SqsAdapter
from .forwarding import SnsForwarder, SqsForwarder
from .queue import SqsQueue
from .sns import Notification, SnsTopic, open_topic

__all__ = [
    "Notification",
    "SnsForwarder",
    "SnsTopic",
    "SqsAdapter",
    "SqsForwarder",
    "SqsQueue",
    "open_topic",
]
