"""URLs that name queues."""

import re
import string
import traceback
from contextlib import suppress
from datetime import timedelta
from urllib.parse import quote, urlencode

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pulpo_core.domain.errors import InvalidURL
from pulpo_core.domain.url import (
    QueueURL,
    duration,
    one_of,
    parse_url,
    read_parameters,
    scheme_of,
    shown,
    switch,
    whole_number,
)


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        pytest.param(
            "file:///var/spool/shop.db?queue=orders",
            {"scheme": "file", "path": "/var/spool/shop.db", "parameters": {"queue": "orders"}},
            id="a file has a path and no host",
        ),
        pytest.param(
            "beanstalkd://example.org:11300/tube",
            {
                "scheme": "beanstalkd",
                "netloc": "example.org:11300",
                "host": "example.org",
                "port": 11300,
                "path": "/tube",
            },
            id="a server has a host and a port",
        ),
        pytest.param(
            "sqs://orders?region=eu-west-1&wait=10s",
            {
                "scheme": "sqs",
                "netloc": "orders",
                "host": "orders",
                "parameters": {"region": "eu-west-1", "wait": "10s"},
            },
            id="parameters are kept as text, in their order",
        ),
        pytest.param(
            "memory://Orders",
            {"scheme": "memory", "netloc": "Orders", "host": "orders"},
            id="a name keeps its capitals in netloc, a host has none",
        ),
        pytest.param("SQS://q", {"scheme": "sqs", "netloc": "q", "host": "q"}, id="a scheme has no capitals"),
        pytest.param("a+b.c-1://q", {"scheme": "a+b.c-1", "netloc": "q", "host": "q"}, id="a scheme may have signs"),
        pytest.param(
            "file:///a%20b%23c?queue=x%26y+z",
            {"scheme": "file", "path": "/a b#c", "parameters": {"queue": "x&y z"}},
            id="everything is unquoted",
        ),
        pytest.param(
            "memory://a%2Fb",
            {"scheme": "memory", "netloc": "a/b", "host": "a%2Fb"},
            id="a quoted slash in a name is a slash of the name",
        ),
        pytest.param(
            "beanstalkd://[::1]:11300/t",
            {"scheme": "beanstalkd", "netloc": "[::1]:11300", "host": "::1", "port": 11300, "path": "/t"},
            id="an IPv6 host stands in brackets",
        ),
        pytest.param(
            "x://user@h/", {"scheme": "x", "netloc": "user@h", "host": "h", "path": "/"}, id="a user is no secret"
        ),
        pytest.param(
            "x://h?a=", {"scheme": "x", "netloc": "h", "host": "h", "parameters": {"a": ""}}, id="empty value"
        ),
        pytest.param("x://h?a", {"scheme": "x", "netloc": "h", "host": "h", "parameters": {"a": ""}}, id="bare name"),
        pytest.param("x://h:0", {"scheme": "x", "netloc": "h:0", "host": "h", "port": 0}, id="the lowest port"),
        pytest.param(
            "x://h:65535", {"scheme": "x", "netloc": "h:65535", "host": "h", "port": 65535}, id="highest port"
        ),
    ],
)
def test_a_url_is_taken_apart(url, parts):
    assert parse_url(url) == QueueURL(text=url, **parts)


@pytest.mark.parametrize(
    "url", ["", "orders", "orders.db", "://x", "1x://y", "a b://c", "x:/y", "file", "é://x", "x_y://z"]
)
def test_what_has_no_scheme_is_no_queue_url_and_an_example_is_given(url):
    for read in (scheme_of, parse_url):
        with pytest.raises(
            InvalidURL, match=r"is not a queue URL; expected scheme://…, for example file:///"
        ) as caught:
            read(url)
        assert repr(url) in str(caught.value)


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        pytest.param(
            "x://h:65536/t", "x://h:65536/t' is not a URL; expected x://host:port/path", id="port out of range"
        ),
        pytest.param("x://h:tube", "with a port from 0 to 65535", id="port is no number"),
        pytest.param("x://[::1/t", "is not a URL", id="half an IPv6 address"),
        pytest.param("x://h/t#part", "a '#' has no meaning here; write it as %23", id="fragment"),
        pytest.param("x://h/t#", "a '#' has no meaning here", id="empty fragment"),
        pytest.param("x://h?a=1&b=2&a=3", "parameter 'a' is given more than once", id="parameter given twice"),
        pytest.param("x://h?a=1&%61=1", "parameter 'a' is given more than once", id="twice, once quoted"),
        pytest.param("x://u:pw@h/t", "a x URL must not carry a password: URLs end up in logs", id="password"),
        pytest.param("x://u:@h/t", "must not carry a password", id="empty password"),
        pytest.param("x://h/\udcff", r"x://h/\udcff': expected text in UTF-8", id="bytes of another encoding"),
    ],
)
def test_a_url_that_means_nothing_is_refused(url, complaint):
    with pytest.raises(InvalidURL) as caught:
        parse_url(url)

    assert complaint in str(caught.value)


SECRET = "hunter2"


@pytest.mark.parametrize(
    "url",
    [
        f"x://user:{SECRET}@h/t",
        f"x://user:{SECRET}@h:99999/t",
        f"x://user:{SECRET}@h/t#f",
        f"x://user:a/{SECRET}@h/t",
        f"x://user:a#{SECRET}@h/t",
        f"x://user:1#{SECRET}@h/t",
        f"x://user:a?{SECRET}@h/t",
        f"x://user:1?{SECRET}@h/t&a=1&a=2",
        f"x://user:a@{SECRET}@h/t",
        f"x://user:{SECRET}@[h/t",
        f"x://user:a\n{SECRET}@[h/t",
        f"x y://user:{SECRET}@h/t",
        f"x://h?password={SECRET}&password={SECRET}",
        f"x://h:bad?password={SECRET}",
        f"x://h/t?password={SECRET}#",
        f"//h?password={SECRET}",
    ],
)
def test_no_error_tells_what_may_be_a_secret(url):
    with pytest.raises(InvalidURL) as caught:
        parse_url(url)

    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_an_unknown_parameter_is_named_without_its_value():
    with pytest.raises(InvalidURL) as caught:
        read_parameters(parse_url(f"x://h/t?secret={SECRET}"), {"wait": duration, "region": str})

    assert str(caught.value) == "'x://h/t': unknown parameter 'secret'; accepted: region, wait"


def test_where_nothing_is_accepted_the_error_says_so():
    with pytest.raises(InvalidURL, match="unknown parameter 'a'; accepted: none"):
        read_parameters(parse_url("x://h?a=1"), {})


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("x://h/t", "'x://h/t'"),
        ("x://h/t?a=1", "'x://h/t'"),
        ("x://user@h/t", "'x://…@h/t'"),
        ("x://u:p@h/t?a=b@c", "'x://…@c'"),
        ("no url\n", r"'no url\n'"),
    ],
)
def test_a_url_is_shown_without_the_places_where_secrets_stand(url, text):
    assert shown(url) == text


def test_parameters_are_read_by_the_functions_named_for_them():
    url = parse_url("x://h?wait=500ms&fsync=off&batch=7&mode=fast")
    accepted = {"wait": duration, "fsync": switch, "batch": whole_number(1, 10), "mode": one_of("fast", "safe")}

    assert read_parameters(url, {**accepted, "unused": str}) == {
        "wait": timedelta(milliseconds=500),
        "fsync": False,
        "batch": 7,
        "mode": "fast",
    }


def test_a_value_that_its_reader_refuses_is_refused_with_its_name_and_the_reason():
    with pytest.raises(
        InvalidURL, match=r"^'x://h': parameter 'wait': 'soon' is not a duration; write 500ms"
    ) as caught:
        read_parameters(parse_url("x://h?wait=soon"), {"wait": duration})

    assert isinstance(caught.value.__cause__, ValueError)


def test_a_reader_that_is_broken_is_not_taken_for_a_wrong_value():
    with pytest.raises(ZeroDivisionError):
        read_parameters(parse_url("x://h?a=0"), {"a": lambda text: 1 / int(text)})


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("250us", timedelta(microseconds=250)),
        ("500ms", timedelta(milliseconds=500)),
        ("30s", timedelta(seconds=30)),
        ("5m", timedelta(minutes=5)),
        ("12h", timedelta(hours=12)),
        ("7d", timedelta(days=7)),
        ("30", timedelta(seconds=30)),
        ("0", timedelta()),
        ("1.5h", timedelta(minutes=90)),
        (" 10 s ", timedelta(seconds=10)),
    ],
)
def test_a_duration_is_a_number_with_a_unit(text, span):
    assert duration(text) == span


@pytest.mark.parametrize(
    "text", ["", "s", "-5s", "+5s", "5 parsecs", "1e3s", ".5s", "5.s", "5s5", "1h30m", "5S", "inf", "nan"]
)
def test_anything_else_is_no_duration(text):
    with pytest.raises(ValueError, match=r"is not a duration; write 500ms, 30s, 5m, 12h or 7d$") as caught:
        duration(text)

    assert repr(text) in str(caught.value)


@pytest.mark.parametrize("text", ["9" * 12 + "d", "9" * 400])
def test_a_duration_beyond_the_calendar_is_refused(text):
    with pytest.raises(ValueError, match="is longer than a calendar holds"):
        duration(text)


@pytest.mark.parametrize("text", ["on", "true", "yes", "1", "ON", " True "])
def test_a_switch_is_on(text):
    assert switch(text) is True


@pytest.mark.parametrize("text", ["off", "false", "no", "0", "OFF", " False "])
def test_a_switch_is_off(text):
    assert switch(text) is False


@pytest.mark.parametrize("text", ["", "maybe", "2", "onn", "y"])
def test_anything_else_is_no_switch(text):
    with pytest.raises(ValueError, match=f"^{text!r} is neither on nor off$"):
        switch(text)


def test_a_choice_takes_its_words_alone():
    assert one_of("fast", "safe")("safe") == "safe"
    for text in ("", "FAST", "fas"):
        with pytest.raises(ValueError, match=f"^{text!r} is not one of fast, safe$"):
            one_of("fast", "safe")(text)


@pytest.mark.parametrize(
    ("read", "text", "number"),
    [
        pytest.param(whole_number(), "0", 0, id="from 0 where nothing else is said"),
        pytest.param(whole_number(), "9" * 18, 10**18 - 1, id="up to eighteen digits"),
        pytest.param(whole_number(1), "1", 1, id="the lowest is accepted"),
        pytest.param(whole_number(1, 10), "10", 10, id="so is the highest"),
        pytest.param(whole_number(0, 0), "0", 0, id="a highest of 0 is a limit as well"),
    ],
)
def test_a_whole_number_within_its_limits_is_read(read, text, number):
    assert read(text) == number


@pytest.mark.parametrize(
    ("read", "text", "limits"),
    [
        pytest.param(whole_number(), "-1", "from 0", id="less than nothing"),
        pytest.param(whole_number(), "9" * 19, "from 0", id="more digits than any limit has"),
        pytest.param(whole_number(), "", "from 0", id="nothing"),
        pytest.param(whole_number(), "1.0", "from 0", id="a fraction"),
        pytest.param(whole_number(), "1_0", "from 0", id="a number as programmers write it"),
        pytest.param(whole_number(), " 1", "from 0", id="a space before it"),
        pytest.param(whole_number(1), "0", "from 1", id="below the lowest"),
        pytest.param(whole_number(1, 10), "11", "from 1 to 10", id="above the highest"),
        pytest.param(whole_number(0, 0), "1", "from 0 to 0", id="above a highest of 0"),
    ],
)
def test_any_other_text_is_refused_with_the_limits(read, text, limits):
    with pytest.raises(ValueError, match=f"^{re.escape(repr(text))} is not a whole number {limits}$"):
        read(text)


NAMES = st.text(string.ascii_letters, min_size=1)
TEXTS = st.text(st.characters(codec="utf-8"))


@given(NAMES, TEXTS, st.dictionaries(TEXTS.filter(bool), TEXTS))
@example("h", "a/b c%é#?@:", {"x&y": "=+%"})
def test_what_is_quoted_into_a_url_comes_out_of_it_again(host, path, parameters):
    url = parse_url(f"x://{host}/{quote(path)}?{urlencode(parameters)}")

    assert (url.netloc, url.path, url.parameters) == (host, f"/{path}", parameters)


@given(st.text())
@example("[")
@example("h:٣")
@example("\u2100")
def test_any_text_is_a_queue_url_or_an_invalid_one(text):
    for url in (text, f"x://{text}"):
        with suppress(InvalidURL):
            assert parse_url(url).text == url


@given(st.text())
@example("9" * 400 + "d")
def test_any_text_is_a_duration_from_0_or_a_wrong_value(text):
    with suppress(ValueError):
        assert duration(text) >= timedelta()


@pytest.mark.parametrize(
    "value", [f"http://user:{SECRET}@h", f"https://{SECRET}@h/p", f"http%3A%2F%2Fu%3A{SECRET}%40h"]
)
def test_credentials_in_the_url_of_a_parameter_are_refused_and_not_quoted(value):
    with pytest.raises(InvalidURL) as caught:
        parse_url(f"x://h/t?endpoint_url={value}")

    assert "parameter 'endpoint_url' must not carry a user or password" in str(caught.value)
    assert SECRET not in str(caught.value)


def test_an_at_sign_elsewhere_in_a_parameter_is_nobody_s_secret():
    assert parse_url("x://h/t?mail=a@b.example&u=http://h/a@b").parameters["mail"] == "a@b.example"
