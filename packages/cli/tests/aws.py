"""SQS and SNS for the tests of commands: moto's server, and the vendor's own client to look at what came."""

import itertools
from typing import Any

import attrs
import boto3

from tests.clocks import SystemTime
from tests.moto import MotoServer

_NUMBERS = itertools.count()


@attrs.frozen
class Aws:
    """An account on moto's server, with fresh queues and topics."""

    url: str
    sqs: Any
    sns: Any

    def queue(self, suffix: str = "") -> str:
        """A new queue; its name."""
        name = f"cli-{next(_NUMBERS)}{suffix}"
        attributes = {"FifoQueue": "true"} if suffix else {}
        self.sqs.create_queue(QueueName=name, Attributes=attributes)
        return name

    def messages(self, queue: str) -> list[dict[str, Any]]:
        """All that is in *queue*, taken out of it, in the vendor's words."""
        url, taken = self.sqs.get_queue_url(QueueName=queue)["QueueUrl"], []
        asked = {
            "QueueUrl": url,
            "MaxNumberOfMessages": 10,
            "MessageAttributeNames": ["All"],
            "AttributeNames": ["All"],
        }
        while messages := self.sqs.receive_message(**asked).get("Messages"):
            taken += messages
            for message in messages:
                self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return taken

    def bodies(self, queue: str) -> list[str]:
        """The bodies of `messages`."""
        return [message["Body"] for message in self.messages(queue)]

    def topic(self, suffix: str = "") -> tuple[str, str]:
        """A new topic, its ARN, and a queue that hears it without anything around."""
        queue = self.queue(suffix)
        attributes = {"FifoTopic": "true"} if suffix else {}
        arn = self.sns.create_topic(Name=f"topic-of-{queue}", Attributes=attributes)["TopicArn"]
        heard = f"arn:aws:sqs:eu-west-1:123456789012:{queue}"
        self.sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=heard, Attributes={"RawMessageDelivery": "true"})
        return arn, queue


def aws_on(server: MotoServer) -> Aws:
    """The account on *server*, in the system's time."""
    server.clock = SystemTime()
    return Aws(server.url, boto3.client("sqs", endpoint_url=server.url), boto3.client("sns", endpoint_url=server.url))
