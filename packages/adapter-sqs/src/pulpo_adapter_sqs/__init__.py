"""SQS queues and SNS topics for pulpo."""
