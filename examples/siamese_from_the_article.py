"""The minimal Siamese network of introductory articles, completed to a recommender.

Such an article shows a linear layer from 10 numbers to 5, one norm and `argsort`. The example adds:

- the distance of each pair, row by row: one norm over the batch is one number for all pairs;
- labelled pairs: two items of one user are similar (1), an item of a user and a random item are
  not (0);
- the contrastive loss and its training loop: similar pairs are pulled together, the others pushed
  apart up to a margin;
- item features: a truncated SVD of the item-user matrix of training users, 10 numbers of unit
  length;
- the distance of an item to a support set: the mean over its items, for users unseen in training;
- hit rate and nDCG of such users, beside popularity and random items. Popularity wins, since a
  distance alone knows nothing of popularity. The learner of the package uses both:
  `ws.fit(data, learner="siamese")`.
"""

import argparse

import numpy as np
import scipy.sparse as sp
import torch
from sklearn.decomposition import TruncatedSVD
from sklearn.preprocessing import normalize
from torch import Tensor, nn

import warmstart as ws

SHOTS, TOP, MARGIN, BATCH = 5, 10, 1.0, 256


class SiameseNetwork(nn.Module):
    def __init__(self, input_dim: int = 10, embedding_dim: int = 5) -> None:
        super().__init__()
        self.embed = nn.Linear(input_dim, embedding_dim)

    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        """The distance of each pair of rows: (N, 10), (N, 10) -> (N,)."""
        return torch.norm(self.embed(one) - self.embed(other), dim=1)


def pairs(
    histories: list[np.ndarray], items: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Item codes of equally many similar and dissimilar pairs, with their labels."""
    users = rng.permutation(len(histories))[:BATCH]
    one, another = np.array(
        [rng.choice(histories[user], size=2, replace=False) for user in users]
    ).T
    other = np.concatenate([another, rng.integers(items, size=len(users))])
    similar = torch.cat([torch.ones(len(users)), torch.zeros(len(users))])
    return torch.from_numpy(np.tile(one, 2)), torch.from_numpy(other), similar


def train(
    network: SiameseNetwork,
    x: Tensor,
    known: list[np.ndarray],
    steps: int,
    rng: np.random.Generator,
) -> None:
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    for step in range(1, steps + 1):
        one, other, similar = pairs(known, len(x), rng)
        distance = network(x[one], x[other])
        loss = (
            similar * distance**2 + (1 - similar) * (MARGIN - distance).clamp(min=0) ** 2
        ).mean()  # contrastive
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % max(steps // 5, 1) == 0:
            near, far = distance[similar == 1].mean(), distance[similar == 0].mean()
            print(
                f"step {step}: loss {loss:.3f}, mean distance of similar pairs {near:.3f}, "
                f"of other pairs {far:.3f}"
            )


@torch.no_grad()
def recommend(network: SiameseNetwork, x: Tensor, support: np.ndarray) -> np.ndarray:
    """The nearest items to the support set, without the set itself."""
    distances = torch.stack([network(x, x[item].expand_as(x)) for item in support]).mean(dim=0)
    distances[support] = torch.inf
    return torch.argsort(distances)[:TOP].numpy()


def evaluate(top: np.ndarray, query: np.ndarray) -> tuple[float, float]:
    """Hit (any query item in the list) and nDCG of a list."""
    hits, discount = np.isin(top, query), 1 / np.log2(np.arange(2, len(top) + 2))
    return float(hits.any()), float((hits * discount).sum() / discount[: len(query)].sum())


def histories_of(log: ws.Interactions, rng: np.random.Generator) -> list[np.ndarray]:
    """The items of each user, oldest first; the users in random order."""
    order = np.argsort(log.user, kind="stable")
    parts = np.split(log.item[order], np.flatnonzero(np.diff(log.user[order])) + 1)
    return [np.array(list(dict.fromkeys(parts[user]))) for user in rng.permutation(len(parts))]


def features(histories: list[np.ndarray], items: int, seed: int) -> Tensor:
    """Each item as 10 numbers of unit length."""
    offsets = np.cumsum([0, *map(len, histories)])
    matrix = sp.csr_array(
        (np.ones(offsets[-1]), np.concatenate(histories), offsets), shape=(len(histories), items)
    )
    return torch.from_numpy(
        normalize(TruncatedSVD(10, random_state=seed).fit_transform(matrix.T))
    ).float()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", help="a data folder; else a generated shop")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    rng = np.random.default_rng(chosen.seed)
    torch.manual_seed(chosen.seed)
    log = ws.read(chosen.data) if chosen.data else ws.synthetic_shop()
    histories, items = histories_of(log, rng), len(log.items)
    known = [history for history in histories[len(histories) // 5 :] if len(history) > 1]
    new = [history for history in histories[: len(histories) // 5] if len(history) > SHOTS]
    x, network = features(known, items, chosen.seed), SiameseNetwork()
    train(network, x, known, chosen.steps, rng)

    titles = (
        log.items.ids if log.item_table is None else log.item_table.to_series()
    )  # the first column
    print("The history of a new user:", *titles[new[0][:SHOTS]], sep="\n  ")
    print("Nearest items:", *titles[recommend(network, x, new[0][:SHOTS])], sep="\n  ")

    popular = np.argsort(-np.bincount(np.concatenate(known), minlength=items), kind="stable")
    rankings = {
        "siamese": lambda support: recommend(network, x, support),
        "popularity": lambda support: popular[~np.isin(popular, support)][:TOP],
        "random": lambda support: rng.permutation(np.setdiff1d(popular, support))[:TOP],
    }
    print(f"{len(new)} new users, {SHOTS} known events each, top {TOP}:")
    for name, ranking in rankings.items():
        hit, ndcg = np.mean(
            [evaluate(ranking(history[:SHOTS]), history[SHOTS:]) for history in new], axis=0
        )
        print(f"  {name}: hit rate {hit:.3f}, nDCG {ndcg:.3f}")


if __name__ == "__main__":
    main()
