"""Features of names: lists and columns of people and places, as distinct from titles."""

import json

import numpy as np
import polars as pl

from warmstart.data.features.table import Features

ROWS = 120
RNG = np.random.default_rng(7)
WORDS = ("oak", "desk", "lamp", "steel", "chair", "blue", "small", "garden", "table", "kettle")
NAMES = [
    f"{first} {last}"
    for first in ("Ann", "Bob", "Cy")
    for last in ("Oak", "Elm", "Fir", "Ash", "Yew")
]


def test_names_with_commas_between_are_several_values():
    rows = [", ".join(RNG.choice(NAMES, RNG.integers(1, 4), replace=False)) for _ in range(ROWS)]
    table = pl.DataFrame(
        {
            "actors": [
                f"{row}, Zoe Zinc (voice)" if i % 3 == 0 else row for i, row in enumerate(rows)
            ]
        }
    )
    fitted = Features.fit(table)
    assert fitted.described == {"actors": "multi-valued"} and "actors=Zoe Zinc" in fitted.names
    again = Features.restore(json.loads(json.dumps(fitted.to_dict())), fitted.arrays())
    row = again.transform(pl.DataFrame({"actors": ["Ann Oak, Bob Elm, Nobody"]})).toarray()[0]
    assert {again.names[i] for i in np.flatnonzero(row)} == {"actors=Ann Oak", "actors=Bob Elm"}


def test_names_that_mostly_come_again_are_categories_and_titles_are_text():
    rare = [f"Only Once {row}" for row in range(ROWS // 3)]
    authors = [*rare, *(NAMES[row % len(NAMES)] for row in range(ROWS - len(rare)))]
    titles = [
        f"The {' '.join(RNG.choice(WORDS, 3))} {row}x{', A' if row % 2 else ''}"
        for row in range(ROWS)
    ]
    described = Features.fit(pl.DataFrame({"author": authors, "title": titles})).described
    assert described == {"author": "categorical", "title": "text"}
