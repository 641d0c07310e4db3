"""What is said on the queue: the bodies of its messages."""

import attrs


@attrs.frozen
class Item:
    """So many of one thing."""

    sku: str
    quantity: int = 1


@attrs.frozen
class Order:
    """Body of ``place_order``."""

    number: int
    customer: str
    items: list[Item]


@attrs.frozen
class Invoice:
    """Body of ``send_invoice``."""

    order: int
    customer: str
    total: int
