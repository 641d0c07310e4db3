"""Settings: what can be set, where it is read from, and what becomes of it.

`Settings` and its parts are plain values. `load_settings` reads them from files and the environment, for which the
extra ``pulpo-core[config]`` is needed; `routes_of` makes the routes they describe.
"""

from .describing import Entry, Said, entries, said, sample, toml_of
from .legacy import legacy_source
from .loading import Loaded, WrongSettings, load_settings, read_settings
from .predecessors import ROUTE as PREDECESSOR_ROUTE
from .predecessors import TRANSLATIONS, Translation
from .references import call, did_you_mean, kind_of, load_object
from .routes import (
    TRANSLATORS,
    add_handler,
    load_translator,
    policy_of,
    route_of,
    routes_of,
)
from .running import dispatcher_of, tracing_of
from .settings import (
    FONTS,
    LOG_FORMATS,
    LOG_LEVELS,
    BackoffSettings,
    BannerSettings,
    BreakerSettings,
    HandlerSettings,
    PolicySettings,
    RouteSettings,
    Settings,
)

__all__ = [
    "FONTS",
    "LOG_FORMATS",
    "LOG_LEVELS",
    "PREDECESSOR_ROUTE",
    "TRANSLATIONS",
    "TRANSLATORS",
    "BackoffSettings",
    "BannerSettings",
    "BreakerSettings",
    "Entry",
    "HandlerSettings",
    "Loaded",
    "PolicySettings",
    "RouteSettings",
    "Said",
    "Settings",
    "Translation",
    "WrongSettings",
    "add_handler",
    "call",
    "did_you_mean",
    "dispatcher_of",
    "entries",
    "kind_of",
    "legacy_source",
    "load_object",
    "load_settings",
    "load_translator",
    "policy_of",
    "read_settings",
    "route_of",
    "routes_of",
    "said",
    "sample",
    "toml_of",
    "tracing_of",
]
