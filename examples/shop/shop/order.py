"""``python -m shop.order CUSTOMER SKU…``: order something, as a web application would."""

import os
import sys
import time

from pulpo_core import Message, open_publisher_sync
from pulpo_core.config import load_settings


def main(customer: str, *skus: str) -> None:
    """Publish an order for one of each of *skus*."""
    url = load_settings().queue or ""
    number = int(os.environ.get("SHOP_ORDER", time.time_ns() // 1_000_000))
    order = {"number": number, "customer": customer, "items": [{"sku": sku} for sku in skus]}
    with open_publisher_sync(url) as publisher:
        publisher.publish(Message(request_type="place_order", body=order))
    print(f"order {number} is on its way")


if __name__ == "__main__":
    main(*sys.argv[1:])
