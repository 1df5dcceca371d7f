"""From music to films: who came for the music is recommended films at once.

The pair of domains is made up, so that everybody can run it, and what is true of it is known. Each
of 1,200 people has a mood: melancholy, energetic, romantic, playful or solemn. Moods lean towards
genres on both sides, as below; four events in five follow the mood, the fifth is of any genre. A
third of the people is known on both sides, the others on one alone. No model ever sees a mood.

`--data DIR/amazon-sport-cloth --target clothing_shoes_jewelry --learner stacked-bridge` takes a
real pair instead, in which the same products are listed on both sides, with a learner that sees
that.
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
PEOPLE, OF_GENRE, FOLLOWS = 1200, 24, 0.8


def made_up(rng: np.random.Generator) -> tuple[pl.DataFrame, pl.DataFrame]:
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
    for person in range(PEOPLE):
        mood = moods[person % len(moods)]
        both = [("music", MUSIC), ("films", FILMS)]
        for domain, genres in both if person % 3 == 0 else [both[person % 2]]:
            for _ in range(int(rng.integers(3, 9))):
                genre = (
                    genres[mood] if rng.random() < FOLLOWS else rng.choice(list(genres.values()))
                )
                number = min(int(rng.exponential(6)), OF_GENRE - 1)  # low numbers are popular
                rows.append({"user_id": person, "item_id": f"{genre}-{number}", "domain": domain})
    return pl.DataFrame(rows).unique(maintain_order=True), items


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data", help="a folder or file with a column of domains, in the place of the made-up pair"
    )
    parser.add_argument("--target", default="films", help="the domain in which to recommend")
    parser.add_argument("--learner", default="blend", help="who learns")
    parser.add_argument("--steps", type=int, help="steps of training, of a learner that takes any")
    arguments = parser.parse_args()
    if arguments.data is None:
        events, items = made_up(np.random.default_rng(0))
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
    elsewhere = log.domain != log.domains.index(arguments.target)
    somebody = log.user[elsewhere][-1]
    history = log.items.decode(log.item[elsewhere & (log.user == somebody)][:5])
    print("To somebody who met " + ", ".join(map(str, history)) + ":")
    for found in model.recommend(history, 5).items:
        print(f"  {found.title or found.item}")


if __name__ == "__main__":
    main()
