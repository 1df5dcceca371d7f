"""Logs are JSON that machines read, also of what went wrong."""

import json
import logging

from warmstart.service.ops.logging import REQUEST, JsonFormatter


def record(**more: object) -> logging.LogRecord:
    found = logging.LogRecord(
        "warmstart.x", logging.WARNING, __file__, 1, "%s is %d", ("it", 7), None
    )
    found.__dict__.update(more)
    return found


def test_a_line_is_an_object_with_what_was_said_and_the_request():
    token = REQUEST.set("r1")
    line = json.loads(JsonFormatter().format(record(facts={"status": 200})))
    REQUEST.reset(token)
    assert (
        line["message"] == "it is 7"
        and line["level"] == "warning"
        and line["logger"] == "warmstart.x"
    )
    assert line["request_id"] == "r1" and line["status"] == 200 and line["time"].endswith("+00:00")


def test_an_error_comes_with_where_it_happened_on_the_same_line():
    try:
        raise ValueError("broken")
    except ValueError as error:
        text = JsonFormatter().format(record(exc_info=(ValueError, error, error.__traceback__)))
    assert "\n" not in text and "ValueError: broken" in json.loads(text)["error"]
    assert "request_id" not in json.loads(text)
