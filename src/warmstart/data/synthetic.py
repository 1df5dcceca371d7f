"""Synthetic data of a shop, for demonstrations and tests.

Preferences of users depend on their profiles, and popularity follows Zipf's law.
"""

from typing import NamedTuple

import numpy as np
import polars as pl
from jaxtyping import Float, Int64

from warmstart.data.interactions import Interactions, Vocabulary

Codes = Int64[np.ndarray, "_"]
Utilities = Float[np.ndarray, "U I"]

NOUNS: dict[str, tuple[str, ...]] = {
    "Lighting": ("desk lamp", "floor lamp", "lantern", "night light", "chandelier"),
    "Kitchen": ("frying pan", "teapot", "chopping board", "bread knife", "mixing bowl"),
    "Garden": ("watering can", "hand trowel", "plant pot", "bird feeder", "garden hose"),
    "Sports": ("yoga mat", "skipping rope", "water bottle", "tennis racket", "running belt"),
    "Toys": ("building blocks", "puzzle", "train set", "kite", "spinning top"),
    "Books": ("cookbook", "atlas", "detective novel", "picture book", "travel guide"),
    "Bedroom": ("pillow", "duvet", "bedside table", "wool blanket", "alarm clock"),
    "Music": ("ukulele", "drum pad", "music stand", "harmonica", "headphones"),
}
STYLES = (
    "Oak",
    "Steel",
    "Linen",
    "Copper",
    "Bamboo",
    "Ceramic",
    "Walnut",
    "Glass",
    "Felt",
    "Marble",
)
MAKERS = (
    "Nordhus",
    "Alba & Co",
    "Kestrel",
    "Miro",
    "Tanaka",
    "Oldfield",
    "Verve",
    "Lumo",
    "Petit",
    "Granger",
)
MOODS = ("handmade", "eco", "gift", "compact", "classic", "outdoor", "premium", "sale")
COUNTRIES = ("Canada", "France", "Germany", "Japan", "Kenya", "Spain")
AGES = ("18-24", "25-34", "35-49", "50-64", "65+")
FIRST_SECOND = 1_700_000_000
HALF_A_YEAR = 180 * 24 * 3600


class _Items(NamedTuple):
    category: Codes
    style: Codes
    mood: Codes
    brand: Codes
    log_popularity: Float[np.ndarray, "_"]
    """Log-odds of an item against another of equal fit."""


def synthetic_shop(*, users: int = 1500, items: int = 400, seed: int = 0) -> Interactions:
    """Half a year of purchases: 8 to 80 a user, popularity after Zipf.

    Preferences for categories depend on country and age; those for styles are the user's alone.
    """
    rng = np.random.default_rng(seed)
    goods = _items(rng, items)
    country, age = rng.integers(len(COUNTRIES), size=users), rng.integers(len(AGES), size=users)
    counts = _counts(rng, users, items)
    bought = [
        _basket(utilities, count, rng)
        for utilities, count in zip(_utilities(rng, goods, country, age), counts, strict=True)
    ]
    user, item = np.repeat(np.arange(users), counts), np.concatenate(bought)
    time = FIRST_SECOND + _times(rng, counts)
    order = np.argsort(time, kind="stable")
    return Interactions(
        user=user[order],
        item=item[order],
        value=np.ones(len(order), dtype=np.float32),
        time=time[order],
        domain=None,
        users=Vocabulary(pl.Series([f"u{number}" for number in range(1, users + 1)])),
        items=Vocabulary(pl.Series([f"i{number}" for number in range(1, items + 1)])),
        item_table=_item_table(rng, goods),
        user_table=pl.DataFrame(
            {"country": np.take(COUNTRIES, country), "age_group": np.take(AGES, age)}
        ),
        name="shop",
    )


def _items(rng: np.random.Generator, items: int) -> _Items:
    return _Items(
        category=rng.integers(len(NOUNS), size=items),
        style=rng.integers(len(STYLES), size=items),
        mood=rng.integers(len(MOODS), size=items),
        brand=rng.integers(len(MAKERS), size=items),
        log_popularity=-0.8 * np.log(1.0 + rng.permutation(items)),
    )


def _counts(rng: np.random.Generator, users: int, items: int) -> Codes:
    """Purchases of each user: 8 and an exponential number, at most 80 and at most all items."""
    return np.minimum(np.clip(8 + rng.exponential(18.0, users), 8, 80).astype(np.int64), items)


def _utilities(rng: np.random.Generator, goods: _Items, country: Codes, age: Codes) -> Utilities:
    """Utilities of the I items for the U users: log-odds of a purchase, (U, I)."""
    by_country, by_age = (
        rng.normal(size=(len(COUNTRIES), len(NOUNS))),
        rng.normal(size=(len(AGES), len(NOUNS))),
    )
    by_user = rng.normal(size=(len(country), len(NOUNS)))
    for_category = 1.0 * by_country[country] + 1.0 * by_age[age] + 1.2 * by_user
    for_style = rng.normal(size=(len(country), len(STYLES)))
    for_mood = 0.7 * rng.normal(size=(len(AGES), len(MOODS)))[age] + 0.7 * rng.normal(
        size=(len(country), len(MOODS))
    )
    return (
        for_category[:, goods.category]
        + for_style[:, goods.style]
        + for_mood[:, goods.mood]
        + goods.log_popularity
    )


def _basket(utilities: Float[np.ndarray, "_"], count: np.int64, rng: np.random.Generator) -> Codes:
    """Distinct items in the order of purchase: draws without replacement by the Gumbel trick."""
    return np.argsort(-(utilities + rng.gumbel(size=len(utilities))))[:count]


def _times(rng: np.random.Generator, counts: Codes) -> Codes:
    """Seconds since the first day, ascending within each user."""
    user = np.repeat(np.arange(len(counts)), counts)
    times = rng.integers(HALF_A_YEAR, size=len(user))
    return times[np.lexsort((times, user))]


def _item_table(rng: np.random.Generator, goods: _Items) -> pl.DataFrame:
    kinds = list(NOUNS)
    nouns = [NOUNS[kinds[category]] for category in goods.category]
    choice = rng.integers(min(map(len, nouns), default=1), size=len(nouns))
    second = rng.integers(len(MOODS), size=len(nouns))
    tags = [
        sorted({MOODS[mood], MOODS[other]}) for mood, other in zip(goods.mood, second, strict=True)
    ]
    return pl.DataFrame(
        {
            "title": [
                f"{STYLES[style]} {noun[k]}"
                for style, noun, k in zip(goods.style, nouns, choice, strict=True)
            ],
            "category": [kinds[category] for category in goods.category],
            "brand": [MAKERS[brand] for brand in goods.brand],
            "price": np.round(np.exp(rng.normal(3.0, 0.8, len(nouns))), 2),
            "tags": ["|".join(both) for both in tags],
        }
    )
