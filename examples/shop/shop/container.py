"""How the parts of the shop fit together. ``pulpo run`` runs `App`: ``pulpo.toml`` names it."""

import os

from dependency_injector import containers, providers

from pulpo_core import Scope
from pulpo_core.container import PulpoContainer

from .database import open_database
from .handlers import PlaceOrder, SendInvoice, ask_for_review
from .mail import open_mailer


class App(containers.DeclarativeContainer):
    """The shop."""

    config = providers.Configuration(
        default={
            "database": os.environ.get("SHOP_DATABASE", "shop.db"),
            "outbox": os.environ.get("SHOP_OUTBOX", "outbox.txt"),
        }
    )

    # Opened before the first message, closed after the last.
    database = providers.Resource(open_database, config.database)
    mailer = providers.Resource(open_mailer, config.outbox)

    # A session for each message: committed when it is done, rolled back when it is not.
    sessions = providers.Singleton(Scope, providers.Factory(lambda database: database.session(), database).provider)
    session = sessions.provided.current.call()

    # Each message gets a handler of its own.
    place_order = providers.Factory(PlaceOrder, session=session)
    send_invoice = providers.Factory(SendInvoice, mailer=mailer)
    handlers = providers.Dict(
        place_order=place_order,
        send_invoice=send_invoice,
        ask_for_review=providers.Callable(ask_for_review, mailer=mailer),
    )

    pulpo = providers.Container(PulpoContainer, handlers=handlers, middleware=providers.List(sessions))
