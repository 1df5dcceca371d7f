"""From music to films: film recommendations for users of whom only music events are known.

The two domains are generated, so that the example runs anywhere and the right answer is known. Each
of 1,200 users has a mood: melancholy, energetic, romantic, playful or solemn. A mood goes with one
genre in each domain, as below; four events in five are of that genre, the fifth of any. A third of
the users has events in both domains, the others in one alone. No model sees a mood.

`--data DIR/amazon-sport-cloth --target clothing_shoes_jewelry --learner stacked-bridge` uses real
data instead, in which some products are listed in both domains, with a learner that uses that.
"""

import argparse

import numpy as np
import polars as pl

import warmstart as ws

MUSIC = {
    "melancholy": "folk",
    "energetic": "punk",
    "romantic": "soul",
    "playful": "ska",
    "solemn": "choral",
}
FILMS = dict(zip(MUSIC, ("drama", "thriller", "romance", "comedy", "history"), strict=True))
USERS, OF_GENRE, FOLLOWS = 1200, 24, 0.8


def generated(rng: np.random.Generator) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The events of both domains, and the table of items."""
    moods = list(MUSIC)
    items = pl.DataFrame(
        [
            {
                "item_id": f"{genre}-{number}",
                "title": f"{genre} {domain} no. {number}",
                "genre": genre,
            }
            for domain, genres in (("record", MUSIC), ("film", FILMS))
            for genre in genres.values()
            for number in range(OF_GENRE)
        ]
    )
    rows = []
    for user in range(USERS):
        mood = moods[user % len(moods)]
        both = [("music", MUSIC), ("films", FILMS)]
        for domain, genres in both if user % 3 == 0 else [both[user % 2]]:
            for _ in range(int(rng.integers(3, 9))):
                genre = (
                    genres[mood] if rng.random() < FOLLOWS else rng.choice(list(genres.values()))
                )
                number = min(int(rng.exponential(6)), OF_GENRE - 1)  # low numbers are popular
                rows.append({"user_id": user, "item_id": f"{genre}-{number}", "domain": domain})
    return pl.DataFrame(rows).unique(maintain_order=True), items


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--data", help="a folder or file with a column of domains, instead of generated data"
    )
    parser.add_argument("--target", default="films", help="the domain in which to recommend")
    parser.add_argument("--learner", default="blend", help="name of the learner")
    parser.add_argument("--steps", type=int, help="training steps, of a learner that is trained")
    arguments = parser.parse_args()
    if arguments.data is None:
        events, items = generated(np.random.default_rng(0))
        log = ws.read(events, items=items, name="music and films")
    else:
        log = ws.read(arguments.data)
    across = ws.ScenarioOptions(target=arguments.target)
    settings = {} if arguments.steps is None else {"steps": arguments.steps}
    learner = arguments.learner

    report = ws.evaluate(
        log,
        [learner],
        scenario="cross-domain",
        options=across,
        shots=[0, 1, 3],
        settings=settings,
        budget="60s",
    )
    print(report)

    model = ws.fit(
        log,
        learner=learner,
        scenario="cross-domain",
        options=across,
        settings=settings,
        budget="60s",
    )
    is_source = log.domain != log.domains.index(arguments.target)
    new_user = log.user[is_source][-1]
    history = log.items.decode(log.item[is_source & (log.user == new_user)][:5])
    print("For a user with the history " + ", ".join(map(str, history)) + ":")
    for found in model.recommend(history, 5).items:
        print(f"  {found.title or found.item}")


if __name__ == "__main__":
    main()
