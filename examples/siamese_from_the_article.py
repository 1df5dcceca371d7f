"""The minimal Siamese network as articles sketch it, filled in until it recommends.

Such a sketch shows a linear layer from 10 numbers to 5, one norm and `argsort`. What it lacks is
here:
- the distance of each pair, row by row: a single norm over the whole batch would be one number for
  all pairs;
- pairs with a label: two items of one user are alike (1), an item of a user and any item are not
  (0);
- the loss and the training loop: alike pulls together, unlike pushes apart up to a margin
  (contrastive loss);
- real data: the 10 numbers of an item say who met it (truncated SVD of items by training users,
  unit length);
- the distance to a support set, the mean over its examples, for users that training never saw;
- hit rate and nDCG for such users, beside popularity and chance. Popularity wins: a distance alone
  does not know what many like. The learner of the package knows both: `ws.fit(data,
  learner="siamese")`.
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
    """Item codes of as many alike as unlike pairs, with their labels."""
    users = rng.permutation(len(histories))[:BATCH]
    one, another = np.array(
        [rng.choice(histories[user], size=2, replace=False) for user in users]
    ).T
    other = np.concatenate([another, rng.integers(items, size=len(users))])
    alike = torch.cat([torch.ones(len(users)), torch.zeros(len(users))])
    return torch.from_numpy(np.tile(one, 2)), torch.from_numpy(other), alike


def train(
    network: SiameseNetwork,
    x: Tensor,
    known: list[np.ndarray],
    steps: int,
    rng: np.random.Generator,
) -> None:
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    for step in range(1, steps + 1):
        one, other, alike = pairs(known, len(x), rng)
        distance = network(x[one], x[other])
        loss = (
            alike * distance**2 + (1 - alike) * (MARGIN - distance).clamp(min=0) ** 2
        ).mean()  # contrastive
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % max(steps // 5, 1) == 0:
            near, far = distance[alike == 1].mean(), distance[alike == 0].mean()
            print(
                f"step {step}: loss {loss:.3f}, mean distance of pairs alike {near:.3f}, unlike {far:.3f}"
            )


@torch.no_grad()
def recommend(network: SiameseNetwork, x: Tensor, support: np.ndarray) -> np.ndarray:
    """The items nearest to the support set, but for those in it."""
    distances = torch.stack([network(x, x[item].expand_as(x)) for item in support]).mean(dim=0)
    distances[support] = torch.inf
    return torch.argsort(distances)[:TOP].numpy()


def judge(top: np.ndarray, query: np.ndarray) -> tuple[float, float]:
    """Whether anything of the query is in the top, and its nDCG."""
    hits, discount = np.isin(top, query), 1 / np.log2(np.arange(2, len(top) + 2))
    return float(hits.any()), float((hits * discount).sum() / discount[: len(query)].sum())


def histories_of(log: ws.Interactions, rng: np.random.Generator) -> list[np.ndarray]:
    """The items that each user met, oldest first; the users in random order."""
    order = np.argsort(log.user, kind="stable")
    parts = np.split(log.item[order], np.flatnonzero(np.diff(log.user[order])) + 1)
    return [np.array(list(dict.fromkeys(parts[user]))) for user in rng.permutation(len(parts))]


def features(histories: list[np.ndarray], items: int, seed: int) -> Tensor:
    """Each item as 10 numbers of unit length."""
    start = np.cumsum([0, *map(len, histories)])
    met = sp.csr_array(
        (np.ones(start[-1]), np.concatenate(histories), start), shape=(len(histories), items)
    )
    return torch.from_numpy(
        normalize(TruncatedSVD(10, random_state=seed).fit_transform(met.T))
    ).float()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", help="a folder as warmstart reads it; else a made-up shop")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    rng = np.random.default_rng(chosen.seed)
    torch.manual_seed(chosen.seed)
    log = ws.read(chosen.data) if chosen.data else ws.shop()
    histories, items = histories_of(log, rng), len(log.items)
    known = [met for met in histories[len(histories) // 5 :] if len(met) > 1]
    new = [met for met in histories[: len(histories) // 5] if len(met) > SHOTS]
    x, network = features(known, items, chosen.seed), SiameseNetwork()
    train(network, x, known, chosen.steps, rng)

    titles = (
        log.items.ids if log.item_table is None else log.item_table.to_series()
    )  # the first column
    print("A new user met:", *titles[new[0][:SHOTS]], sep="\n  ")
    print("Nearest to that:", *titles[recommend(network, x, new[0][:SHOTS])], sep="\n  ")

    popular = np.argsort(-np.bincount(np.concatenate(known), minlength=items), kind="stable")
    rankings = {
        "siamese": lambda support: recommend(network, x, support),
        "popularity": lambda support: popular[~np.isin(popular, support)][:TOP],
        "chance": lambda support: rng.permutation(np.setdiff1d(popular, support))[:TOP],
    }
    print(f"{len(new)} new users, {SHOTS} events known of each, top {TOP}:")
    for name, ranking in rankings.items():
        hit, ndcg = np.mean([judge(ranking(met[:SHOTS]), met[SHOTS:]) for met in new], axis=0)
        print(f"  {name}: hit rate {hit:.3f}, nDCG {ndcg:.3f}")


if __name__ == "__main__":
    main()
