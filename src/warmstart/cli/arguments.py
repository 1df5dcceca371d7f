"""Parsers of the values of command-line options; a mistake is refused with a hint."""

import csv
from collections.abc import Sequence

from warmstart.data.interactions import Id, Vocabulary
from warmstart.durations import parse_duration
from warmstart.errors import UsageError
from warmstart.tasks.scenarios import ScenarioOptions

Setting = int | float | str | bool


def split_list(text: str) -> list[str]:
    """The parts between commas; a part that contains a comma is written in double quotes."""
    return [
        part.strip() for part in next(csv.reader([text], skipinitialspace=True), []) if part.strip()
    ]


def parse_pairs(text: str | None, option: str) -> dict[str, str]:
    """The keys and values of `key=value,key=value`."""
    return dict(_pair(part, option) for part in split_list(text or ""))


def parse_settings(parts: Sequence[str] | None) -> dict[str, Setting]:
    """The settings of `--set key=value`, with numbers and booleans converted."""
    return {key: _convert(value) for key, value in (_pair(part, "--set") for part in parts or ())}


def parse_shots(text: str) -> tuple[int, ...]:
    """Numbers of shots, ascending, without repeats."""
    try:
        numbers = sorted({int(part) for part in split_list(text)})
    except ValueError:
        numbers = []
    if not numbers or numbers[0] < 0:
        raise UsageError(
            f'--shots "{text}" is no list of whole numbers from 0 up; write it as 0,1,2,3,5,10,20'
        )
    return tuple(numbers)


def parse_shares(text: str) -> tuple[float, ...]:
    """Shares of the training users, ascending, without repeats."""
    try:
        numbers = sorted({float(part) for part in split_list(text)})
    except ValueError:
        numbers = []
    if not numbers or not all(0 < number <= 1 for number in numbers):
        raise UsageError(
            f'--train-share "{text}" is no list of numbers above 0 and at most 1; '
            "write it as 0.03,0.1,0.3,1"
        )
    return tuple(numbers)


def parse_scenario_options(
    gap: str | None, source: str | None, target: str | None
) -> ScenarioOptions:
    """The options that a scenario needs besides the interactions."""
    return ScenarioOptions(
        parse_duration(gap, "--session-gap"), tuple(split_list(source or "")), target
    )


def parse_history(text: str, items: Vocabulary, usual_value: float) -> dict[Id, float]:
    """Item -> value of `ITEM[:VALUE],...`; a known item id may contain a colon."""
    found: dict[Id, float] = {}
    for part in split_list(text):
        item, colon, value = part.rpartition(":")
        if not colon or items.encode([part])[0] >= 0:
            found[part] = usual_value
        else:
            found[item] = _value(item, value)
    return found


def _value(item: str, value: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise UsageError(
            f'--history: the value "{value}" of item "{item}" is not a number'
        ) from None


def _pair(part: str, option: str) -> tuple[str, str]:
    key, equals, value = part.partition("=")
    if not equals or not key.strip():
        raise UsageError(f'{option}: "{part}" is no pair; write it as key=value')
    return key.strip(), value.strip()


def _convert(value: str) -> Setting:
    if value.lower() in ("true", "false"):
        return value.lower() == "true"
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            continue
    return value
