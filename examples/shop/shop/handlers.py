"""What the shop does. A message may come twice, so doing it twice must do no harm."""

from datetime import timedelta

from pulpo_core import Bury, Message, Retry

from .database import OutOfStockError, Session
from .mail import Mailer
from .messages import Invoice, Order


class PlaceOrder:
    """Takes the goods from the stock, and has the invoice sent. A plain method: it runs in a thread."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def handle(self, order: Order) -> list[Message] | Retry | Bury:
        """Place *order*, unless it has been placed already."""
        if "@" not in order.customer:
            return Bury("no-address")
        try:
            total = self._session.total_of(order.number) or self._session.place(order)
        except OutOfStockError as error:
            return Retry(timedelta(minutes=10), error=f"out of stock: {error}")  # the session is rolled back
        invoice = {"order": order.number, "customer": order.customer, "total": total}
        return [
            Message(request_type="send_invoice", body=invoice),
            Message(request_type="ask_for_review", body=invoice, delay=timedelta(minutes=10)),
        ]


class SendInvoice:
    """Sends an invoice by mail. A coroutine: it runs in the event loop."""

    def __init__(self, mailer: Mailer) -> None:
        self._mailer = mailer

    async def handle(self, invoice: Invoice) -> None:
        """Send it."""
        await self._mailer.send(invoice.customer, f"order {invoice.order} comes to {invoice.total}")


async def ask_for_review(invoice: Invoice, mailer: Mailer) -> None:
    """A function does as well: the container gives what its caller does not."""
    await mailer.send(invoice.customer, f"how did you like order {invoice.order}?")
