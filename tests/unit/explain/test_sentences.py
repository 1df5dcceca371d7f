"""Reasons in words, in two languages."""

from typing import get_args

import pytest

from warmstart.errors import UsageError
from warmstart.explain.reasons import Kind, Reason
from warmstart.explain.sentences import LANGUAGES, sentence

LIKED = Reason("event", 2.0, 0.35, item=7, title="Alien")
ALSO = Reason("event", 1.0, 0.23, item="b")
PEOPLE = Reason("profile", 0.5, 0.12, column="country", value="FR")
PRIOR = Reason("prior", 0.4, 0.10)
AGAINST = Reason("event", -0.9, -0.16, item=9, title="Heidi")
FAINT = Reason("together", 0.1, 0.04)


def test_the_weightiest_reasons_come_first_with_their_shares():
    assert sentence([LIKED, ALSO, PEOPLE, PRIOR, FAINT]) == (
        "because you liked Alien and b (58 %), and people with country FR like it (12 %), and "
        "many like it (10 %)"
    )


def test_what_speaks_against_it_is_said_too():
    assert (
        sentence([LIKED, AGAINST])
        == "because you liked Alien (35 %), although Heidi speaks against it (16 %)"
    )


def test_the_weightiest_objection_is_told_whatever_it_is():
    rare, all_of_it = Reason("prior", -1.0, -0.3), Reason("together", -2.0, -0.5)
    assert sentence([LIKED, rare, AGAINST]).endswith(", although few like it (30 %)")
    assert sentence([all_of_it, rare]) == (
        "nothing in particular speaks for it, although all of it together speaks against it (50 %)"
    )
    others = Reason("profile", -1.0, -0.6, column="age", value=9)
    assert sentence([LIKED, others], "zh").endswith("，尽管age为9的用户不太喜欢它（60 %）")


def test_chinese_has_sentences_of_its_own():
    assert (
        sentence([LIKED, ALSO, PEOPLE], "zh")
        == "因为您喜欢《Alien》和《b》（58 %），而且country为FR的用户喜欢它（12 %）"
    )


def test_every_language_says_everything():
    kinds = set(get_args(Kind))
    assert all(set(texts.phrases) == set(texts.objects) == kinds for texts in LANGUAGES.values())
    for language in LANGUAGES:
        told = sentence([LIKED, PEOPLE, PRIOR, Reason("together", 1.0, 0.2), AGAINST], language)
        assert all(name in told for name in ("Alien", "FR", "Heidi", "20 %", "10 %"))


def test_without_any_reason_it_says_so():
    assert sentence([FAINT]) == "nothing in particular speaks for it"


def test_an_unknown_language_is_refused():
    with pytest.raises(UsageError, match='en or zh, not in "de"'):
        sentence([LIKED], "de")
