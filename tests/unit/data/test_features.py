"""Features: what each type of column becomes, and that it comes back from JSON unchanged."""

import json
import os
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

from warmstart.data.features.table import Features

ROWS = 120
RNG = np.random.default_rng(7)
WORDS = ("oak", "desk", "lamp", "steel", "chair", "blue", "small", "garden", "table", "kettle")


def texts(*values: str | None) -> list[str | None]:
    return [values[k] for k in RNG.integers(len(values), size=ROWS)]


TABLE = pl.DataFrame(
    {
        "colour": texts("red", "green", "blue", None),
        "level": RNG.integers(1, 5, ROWS),
        "age": [None, *RNG.integers(15, 90, ROWS - 1).tolist()],
        "income": np.exp(RNG.normal(8, 1.5, ROWS)),
        "tags": texts("a|b", "b|c|a", "c", "", None),
        "new": RNG.integers(2, size=ROWS),
        "used": RNG.integers(2, size=ROWS).astype(bool),
        "released": texts("01-Jan-1995", "12-Mar-1987", "30-Nov-2004", None),
        "title": [" ".join(RNG.choice(WORDS, 4)) + f" {row}x" for row in range(ROWS)],
        "code": [f"q{row}" for row in range(ROWS)],
        "sku_id": RNG.integers(5, size=ROWS),
        "zip_code": texts("12345", "99999"),
        "page": [f"https://shop.example/{row % 7}" for row in range(ROWS)],
        "row": range(ROWS),
        "same": ["x"] * ROWS,
        "none": pl.Series([None] * ROWS, dtype=pl.String),
        "nested": [[1]] * ROWS,
    }
)
KINDS = {
    "colour": "categorical",
    "level": "categorical",
    "age": "numeric",
    "income": "numeric",
    "tags": "multi-valued",
    "new": "flag",
    "used": "flag",
    "released": "date",
    "title": "text",
    "code": "ignored: nearly all values differ, as in an id",
    "sku_id": "ignored: an id, address or code by its name",
    "zip_code": "ignored: an id, address or code by its name",
    "page": "ignored: web addresses",
    "row": "ignored: nearly all values differ, as in an id",
    "same": "ignored: always the same",
    "none": "ignored: empty",
    "nested": "ignored: nested",
}
FEATURES = Features.fit(TABLE)


def dense(table: pl.DataFrame, fitted: pl.DataFrame | None = None) -> np.ndarray:
    return Features.fit(table if fitted is None else fitted).transform(table).toarray()


@pytest.mark.parametrize(("column", "kind"), KINDS.items())
def test_each_column_is_taken_for_its_kind(column, kind):
    assert FEATURES.described[column] == kind


def test_the_matrix_has_a_named_column_for_all_of_its_width():
    matrix = FEATURES.transform(TABLE)
    assert matrix.shape == (ROWS, FEATURES.width)
    assert matrix.dtype == np.float32
    assert len(set(FEATURES.names)) == len(FEATURES.names) == FEATURES.width
    assert {"colour=red", "tags=b", "new", "released.decade=1980"} <= set(FEATURES.names)


def test_restored_features_transform_identically():
    described = json.loads(json.dumps(FEATURES.to_dict()))
    restored = Features.restore(
        described, {name: array.copy() for name, array in FEATURES.arrays().items()}
    )
    np.testing.assert_array_equal(
        restored.transform(TABLE).toarray(), FEATURES.transform(TABLE).toarray()
    )
    assert restored.names == FEATURES.names
    assert restored.described == FEATURES.described


def test_fitting_twice_gives_the_same():
    np.testing.assert_array_equal(
        Features.fit(TABLE).transform(TABLE).toarray(), FEATURES.transform(TABLE).toarray()
    )


def test_each_row_is_transformed_by_itself():
    whole = FEATURES.transform(TABLE).toarray()
    for row in (0, 17, ROWS - 1):
        np.testing.assert_allclose(
            FEATURES.transform(TABLE[row : row + 1]).toarray()[0], whole[row], atol=1e-6
        )


def test_values_as_text_give_the_same_as_typed_ones():
    typed = FEATURES.transform(TABLE[:9]).toarray()
    written = FEATURES.transform(TABLE[:9].drop("nested").cast(pl.String)).toarray()
    np.testing.assert_allclose(written, typed, atol=1e-6)


def test_missing_columns_count_as_missing_values():
    lacking = FEATURES.transform(pl.DataFrame({"colour": ["red"], "unknown": [3]})).toarray()[0]
    assert np.flatnonzero(lacking).tolist() == [FEATURES.names.index("colour=red")]


def test_a_table_without_rows_has_no_features():
    empty = Features.fit(TABLE.clear())
    assert empty.width == 0
    assert empty.transform(TABLE).shape == (ROWS, 0)


def test_categories_are_one_hot_and_unseen_ones_have_no_entry():
    fitted = pl.DataFrame({"colour": ["red", "blue"] * 30 + ["odd"]})
    found = dense(pl.DataFrame({"colour": ["blue", "red", "odd", "green", None]}), fitted)
    assert found.tolist() == [[1, 0], [0, 1], [0, 0], [0, 0], [0, 0]]


def test_a_category_seen_once_counts_in_a_small_table():
    assert Features.fit(pl.DataFrame({"colour": ["red", "red", "odd"]})).names == [
        "colour=odd",
        "colour=red",
    ]


def test_whole_floats_and_integers_are_the_same_category():
    fitted = Features.fit(pl.DataFrame({"level": [1, 2, 3] * 30}))
    assert fitted.described["level"] == "categorical"
    assert fitted.transform(pl.DataFrame({"level": [2.0]})).toarray().tolist() == [[0, 1, 0]]


def test_lists_have_one_entry_a_value_scaled_by_their_number():
    found = dense(
        pl.DataFrame({"tags": ["a|b", "b", "c| a|b|a", "", None, "new|b"]}),
        pl.DataFrame({"tags": ["a|b", "c"]}),
    )
    half, third = 2**-0.5, 3**-0.5
    expected = [[half, half, 0], [0, 1, 0], [third, third, third], [0, 0, 0], [0, 0, 0], [0, 1, 0]]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_numbers_are_standardised_and_missing_ones_are_zero():
    ages = pl.DataFrame({"age": [*range(20, 80), None]}).cast(pl.Float64) + 0.5
    found = dense(ages)[:, 0]
    reference = np.array([age + 0.5 for age in range(20, 80)])
    np.testing.assert_allclose(
        found[:-1], (reference - reference.mean()) / reference.std(), rtol=1e-5
    )
    assert found[-1] == 0


def test_heavy_tails_are_taken_by_their_logarithm():
    incomes = np.exp(np.random.default_rng(0).normal(5, 2, 400))
    logs = np.log1p(incomes)
    found = dense(pl.DataFrame({"income": incomes}))[:, 0]
    np.testing.assert_allclose(found, (logs - logs.mean()) / logs.std(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("wild", [1e300, -1e300, float("inf"), float("nan"), "much"])
def test_wild_numbers_stay_in_bounds(wild):
    found = FEATURES.transform(pl.DataFrame({"age": [wild]})).toarray()
    assert np.isfinite(found).all()
    assert np.abs(found).max() <= 8


def test_flags_are_as_they_are():
    found = dense(pl.DataFrame({"new": [0, 1, 1, None]}))
    assert found.tolist() == [[0], [1], [1], [0]]


@pytest.mark.parametrize("form", ["%Y-%m-%d", "%d-%b-%Y", "%Y-%m-%dT%H:%M:%S", None])
def test_dates_are_a_year_and_a_decade(form):
    days = pl.Series("day", [date(1985, 5, 1), date(1995, 1, 31), date(1996, 12, 1)] * 20)
    column = days if form is None else days.cast(pl.Datetime).dt.strftime(form)
    features = Features.fit(column.to_frame())
    assert features.names == ["day.year", "day.decade=1980", "day.decade=1990"]
    years = np.array([1985, 1995, 1996])
    found = features.transform(column.to_frame()).toarray()[:3]
    np.testing.assert_allclose(found[:, 0], (years - years.mean()) / years.std(), rtol=1e-5)
    assert found[:, 1:].tolist() == [[1, 0], [0, 1], [0, 1]]


def test_titles_have_unit_length_and_those_of_no_known_word_none():
    fitted = Features.fit(TABLE.select("title"))
    found = fitted.transform(pl.DataFrame({"title": ["oak desk", "unknown", None]})).toarray()
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), [1, 0, 0], atol=1e-6)


def test_similarity_of_titles_is_that_of_their_weighted_words():
    """Ten words span ten dimensions at most, so the projection loses nothing."""
    titles = [" ".join(RNG.choice(WORDS, 4)) for _ in range(ROWS)]
    words = TfidfVectorizer(min_df=2, sublinear_tf=True).fit_transform(titles).toarray()
    fitted = Features.fit(pl.DataFrame({"title": titles}))
    assert fitted.described["title"] == "text"
    found = fitted.transform(pl.DataFrame({"title": titles})).toarray()
    of_words, of_features = words @ words.T, found @ found.T
    assert np.corrcoef(of_words.ravel(), of_features.ravel())[0, 1] > 0.97


@pytest.mark.parametrize("rows", [20, 60])
def test_text_without_anything_in_common_is_ignored(rows):
    table = pl.DataFrame({"title": [f"only{row} here{row} once{row}" for row in range(rows)]})
    assert Features.fit(table).described == {"title": "ignored: text with too little in common"}


def test_values_that_never_repeat_make_no_category():
    table = pl.DataFrame({"tag": [f"a{row}|b{row}" for row in range(60)]})
    assert Features.fit(table).described == {"tag": "ignored: no value occurs twice"}


@pytest.mark.skipif(
    "WARMSTART_DATA" not in os.environ,
    reason="WARMSTART_DATA does not name the folder of data sets",
)
def test_movielens_columns_are_taken_for_what_they_are():
    folder = Path(os.environ["WARMSTART_DATA"]) / "ml-100k"
    users = Features.fit(pl.read_parquet(folder / "users.parquet").drop("user_id")).described
    movies = Features.fit(pl.read_parquet(folder / "items.parquet").drop("item_id")).described
    assert [users[name] for name in ("age", "gender", "occupation")] == [
        "numeric",
        "categorical",
        "categorical",
    ]
    assert users["zip_code"].startswith("ignored")
    assert [movies[name] for name in ("title", "release_date", "genre_Comedy")] == [
        "text",
        "date",
        "flag",
    ]
    assert movies["video_release_date"] == "ignored: empty"
