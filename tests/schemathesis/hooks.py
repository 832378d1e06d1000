"""Holds good calls to what the document says in words too: no schema counts bytes, or tells one field from another."""

import base64
import binascii

import schemathesis
from schemathesis.specs.openapi.checks import negative_data_rejection

CONTROL = {*map(chr, range(0x20)), *map(chr, range(0x7F, 0xA0))}
NAMES = ("room", "to", "user", "connection")
# At most so many bytes.
TEXTS = {"event": 64, "message_id": 64, "reason": 123}
# One of them at most.
EITHER = (("after", "before"), ("user", "connection"))


def size(text):
    return len(text.encode("utf-8", "surrogatepass"))


def is_name(value):
    """1 to 256 bytes without control characters; what begins with ~ is a connection's id, if it has the form."""
    if not isinstance(value, str) or not 1 <= size(value) <= 256 or CONTROL & set(value):
        return False
    return not value.startswith("~") or len(value) == 23


def is_base64(value):
    try:
        return isinstance(value, str) and base64.b64decode(value, validate=True) is not None
    except (ValueError, binascii.Error):
        return False


def is_good(call):
    """Whether a query or a body that fits its schema is good in words too."""
    if not isinstance(call, dict):
        return True
    rooms = [call[name] for name in NAMES if name in call] + call.get("rooms", [])
    return (
        all(map(is_name, rooms))
        and all(size(call[name]) <= most for name, most in TEXTS.items() if name in call)
        and not any(one in call and other in call for one, other in EITHER)
        and ("encoding" not in call or is_base64(call["data"]))
        and isinstance(call.get("code", 4007), int)  # 4007.0 is an integer to a schema
    )


@schemathesis.check
def good_calls_are_done(ctx, response, case):
    """In place of positive_data_acceptance, which knows the schema only."""
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    if not is_good(case.query) or not is_good(case.body):
        return
    if case.operation.path == "/v1/disconnect" and not {"user", "connection"} & set(case.body):
        return
    # A room may have no history; a key may have been used for another body, or be in use.
    expected = {200, 404, 409}
    if "Idempotency-Key" in (case.headers or {}):
        expected.add(422)
    assert response.status_code in expected, response.text


@schemathesis.check
def bad_calls_are_refused(ctx, response, case):
    """negative_data_rejection, but that of several messages each is refused by itself."""
    if response.status_code == 200 and case.operation.path == "/v1/publish":
        if any("error" in result for result in response.json().get("results", [])):
            return None
    return negative_data_rejection(ctx, response, case)


@schemathesis.check
def bad_calls_are_problems(ctx, response, case):
    """Every error is problem+json with its status and a code in it; HEAD has none to show."""
    if response.status_code < 400 or case.method == "HEAD":
        return
    assert response.headers["content-type"] == ["application/problem+json"], response.headers
    problem = response.json()
    assert problem["status"] == response.status_code
    assert problem["type"].endswith(":" + problem["code"])
