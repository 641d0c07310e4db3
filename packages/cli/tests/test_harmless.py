"""What producers have written is shown, and never obeyed: by no terminal, and by nothing that draws tables."""

from .actors import publish_bytes
from .conftest import Pulpo

HOSTILE = rb"""
{"header": {"request_type": "a", "[/bold]": 1, "[red]": 2, "\u001b[2J": 3},
 "body": {"payload": "\u009b31m \u202e \u200d \ud800"}}
"""


def test_names_of_headers_are_shown_as_they_are(pulpo: Pulpo, url: str) -> None:
    publish_bytes(url, HOSTILE)

    outcome = pulpo("peek", "--queue", url)

    assert outcome.status == 0
    assert {"header [/bold]", "header [red]", "header \\x1b[2J"} <= {line[:14].rstrip() for line in outcome.lines}


def test_json_writes_out_what_a_terminal_might_obey_and_says_the_same(pulpo: Pulpo, url: str) -> None:
    publish_bytes(url, HOSTILE)

    outcome = pulpo("peek", "--queue", url, "--json")

    assert not set(outcome.out) & set("\x9b\u202e")
    assert outcome.json["body"] == {"payload": "\x9b31m \u202e \u200d \ud800"}
