"""Identities of messages: time-ordered for new ones, derived for follow-ups."""

from __future__ import annotations

from uuid import UUID, uuid5

from pulpo_core.ports.clock import Clock, Jitter

#: Namespace of the identities derived from a parent that is not a UUID itself.
_FOREIGN = UUID("6ba7b811-9dad-11d1-80b4-00c04fd430c8")  # RFC 9562, namespace of URLs: foreign uids are scheme:id

_VERSION_7 = 0x7 << 76
_VARIANT = 0b10 << 62
_RANDOM_LOW = (1 << 62) - 1
_RANDOM_HIGH = 0xFFF << 64


def new_uid(clock: Clock, jitter: Jitter) -> str:
    """A UUID version 7 (RFC 9562): milliseconds of the wall clock, then 74 random bits."""
    milliseconds = int(clock.now().timestamp() * 1000) & ((1 << 48) - 1)
    chance = jitter.getrandbits(76)
    bits = milliseconds << 80 | _VERSION_7 | _VARIANT | (chance & _RANDOM_LOW) | (chance & (_RANDOM_HIGH >> 2)) << 2
    return _format(bits)


def _format(bits: int) -> str:
    text = f"{bits:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def follow_up_uid(parent: str, index: int) -> str:
    """The uid of the follow-up with *index* of the message *parent*: the same however often it is made."""
    try:
        namespace = UUID(parent)
    except ValueError:
        namespace = uuid5(_FOREIGN, parent)
    return str(uuid5(namespace, str(index)))
