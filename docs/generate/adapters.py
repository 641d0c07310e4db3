"""What the adapters of this repository can do, and what their URLs take."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs

from pulpo_adapter_beanstalkd.settings import Settings as BeanstalkdSettings
from pulpo_adapter_file.settings import Settings as FileSettings
from pulpo_adapter_sqs import settings as sqs
from pulpo_core import Adapter, Capabilities, adapter_for
from pulpo_core.adapters.memory.adapter import Settings as MemorySettings

from .markdown import attributes, code, fields_of, first_paragraph, paragraphs, table, value

_URLS: Final = ("memory://orders", "file:///var/spool/shop.db", "beanstalkd://localhost/orders", "sqs://orders")

#: Where `None` means something else than that there is none.
_NONE: Final = {"lease": "does not end", "max_receives": "never"}


def _adapters() -> Mapping[str, Adapter]:
    return {adapter_for(url).scheme: adapter_for(url) for url in _URLS}


def capabilities() -> str:
    """Each capability, and what the adapters declare at best."""
    adapters, said = _adapters(), attributes(Capabilities)
    rows = [
        (code(each.name), *[_declared(adapter, each) for adapter in adapters.values()], said[each.name])
        for each in attrs.fields(Capabilities)
    ]
    return paragraphs(
        "# Capabilities",
        "What queues of each kind promise at best; an open queue may promise less: `pulpo adapters` tells what is"
        " installed here, and a route whose needs its queue does not meet ends at the start.",
        table(("", *(f"{scheme}" for scheme in adapters), "meaning"), rows),
    )


def _declared(adapter: Adapter, field: attrs.Attribute[Any]) -> str:
    declared = getattr(adapter.capabilities, field.name)
    return _NONE.get(field.name, "any") if declared is None else value(declared)


def urls() -> str:
    """The parameters of every kind of URL."""
    return paragraphs(
        "# Queue URLs",
        "A queue is named by a URL: `scheme://place?parameter=value`. Times are `500ms`, `30s`, `5m`, `12h`, `7d`, or"
        " seconds. Unknown parameters are errors that name those there are, and a URL never carries a secret.",
        *[_scheme(scheme, page()) for scheme, page in _PARAMETERS.items()],
    )


def _scheme(scheme: str, text: str) -> str:
    return paragraphs(f"## `{scheme}://`", first_paragraph(type(_adapters()[scheme])), text)


def _sqs() -> str:
    """The table in the docstring of the module of its settings."""
    _, _, rows, _ = re.split(r"^=[= ]+$\n?", sqs.__doc__ or "", flags=re.MULTILINE)
    columns = [re.split(r"\s{2,}", line, maxsplit=2) for line in rows.splitlines()]
    names, defaults, meanings = zip(*columns, strict=True)
    plain = [text.replace("``", "`") for text in meanings]
    return table(("name", "unless given", "meaning"), zip(map(code, names), defaults, plain, strict=True))


_PARAMETERS: Final[Mapping[str, Callable[[], str]]] = {
    "memory": lambda: fields_of(MemorySettings, omit=("url", "name")),
    "file": lambda: fields_of(FileSettings, omit=("url", "path")),
    "beanstalkd": lambda: fields_of(BeanstalkdSettings, omit=("url", "tube", "host", "port", "socket")),
    "sqs": _sqs,
}
