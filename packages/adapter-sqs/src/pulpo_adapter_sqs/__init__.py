"""SQS queues and SNS topics for pulpo."""

from .adapter import SqsAdapter, SqsSettings
from .queue import SqsQueue

__all__ = ["SqsAdapter", "SqsQueue", "SqsSettings"]
