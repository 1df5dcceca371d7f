"""FewShot: an encoder and a learner made one model, which trains on batches of tasks and serves as a scorer."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor, nn
from torch.nn.functional import embedding  # unlike indexing, its gradient is the same for any number of threads

from warmstart.encoder import Encoder
from warmstart.evidence import CONTENT, Columns, Evidence, Few
from warmstart.learner import Catalogue, Learner, Query, Remover, Sampler, Support, Weighing
from warmstart.scorer import Candidates, Scores, State
from warmstart.tasks import NEXT, Examples, Padded, Profile, Question, TaskBatch

RULED_OUT = -1e9  # as good as minus infinity in a softmax, but differentiable when nothing else is left
EVIDENCE = "evidence."
"""What the names of the evidence's arrays begin with."""


class Sample(NamedTuple):
    """C item codes and the logarithm of how many items of the catalogue each stands for."""

    item: Int64[np.ndarray, "C"]
    log_weight: Float32[np.ndarray, "C"]


def sample(popularity: Float32[np.ndarray, "I"], size: int, rng: np.random.Generator) -> Sample:
    """The whole catalogue where it is small enough, else `size` draws in which popular items are likelier.

    The weights undo the sampling in a softmax's denominator (Bengio & Senecal, IEEE TNN 2008).
    """
    if len(popularity) <= size:
        return Sample(np.arange(len(popularity)), np.zeros(len(popularity), dtype=np.float32))
    chance = np.sqrt(popularity + 1.0, dtype=np.float64)
    chance /= chance.sum()
    item = rng.choice(len(popularity), size=size, p=chance)
    return Sample(item, -np.log(size * chance[item]).astype(np.float32))


class Weighed(NamedTuple):
    """A learner's state after T support sets, and what the evidence adds to the score of each item of the catalogue."""

    state: State
    known: Float[Tensor, "T I"]


class View(NamedTuple):
    """All items as a model sees them in use: their vectors, and the catalogue of the inner loop."""

    vectors: Float[Tensor, "I D"]
    served: Catalogue


class FewShot(nn.Module):
    """This turns tasks in codes into vectors, lets the learner adapt and predict, and says how well that went.

    With `evidence` the learner says how far to trust each witness, and what they say is added to its scores. The
    catalogue is sampled twice: for the inner loop at most `inner` items (in use, always the same ones), for the outer
    softmax at most `outer`. Values enter and leave in the user's units, learners see standard units.
    """

    served_item: Tensor
    served_log_weight: Tensor
    scale: Tensor

    def __init__(
        self,
        encoder: Encoder,
        learner: Learner,
        popularity: Float32[np.ndarray, "I"],
        *,
        value_mean: float = 0.0,
        value_std: float = 1.0,
        evidence: Evidence | None = None,
        inner: int = 1024,
        outer: int = 6000,
    ) -> None:
        super().__init__()
        self.encoder, self.learner, self.evidence = encoder, learner, evidence
        self.popularity, self.inner, self.outer = popularity, inner, outer
        served = sample(popularity, inner, np.random.default_rng(0))
        self.register_buffer("served_item", torch.from_numpy(served.item))
        self.register_buffer("served_log_weight", torch.from_numpy(served.log_weight))
        self.register_buffer("scale", torch.tensor([value_mean, value_std]))

    def forward(self, batch: TaskBatch, rng: np.random.Generator) -> Float[Tensor, ""]:
        """The mean loss of a batch of tasks; the samples of the catalogue are drawn from `rng`.

        A task counts by the events that it has to predict, up to those that are predicted in use: else, where most
        histories are short, the model would be made for people of whom hardly anything is asked.
        """
        vectors = self.encoder()
        padded, query = batch.support.padded(), self._asked(batch).padded()
        support = self.seen(vectors, padded, batch.profile)
        drawn = sample(self.popularity, self.outer, rng)
        met = self._met(batch, padded, query)
        rivals = self._rivals(vectors, drawn, met if self.learner.ranks else [], batch.question)
        asked = Query(*self._examples(vectors, query))
        if self.evidence is not None:
            known = self._known(support, batch.support, batch.own, batch.profile)
            rivals = replace(rivals, log_weight=rivals.log_weight + known[:, torch.from_numpy(drawn.item)])
            asked = replace(asked, known=known.gather(1, torch.from_numpy(query.item)))
        catalogue = self._catalogue(vectors, sample(self.popularity, self.inner, rng))
        loss = self.learner.loss(support, asked, catalogue, rivals)
        weight = asked.mask.sum(dim=1)
        if not self._asks_for_all(batch):
            weight = weight.clamp(max=batch.question.most)
        return (loss * weight).sum() / weight.sum()

    def _asked(self, batch: TaskBatch) -> Examples:
        """What the loss asks for; all that comes next where the learner learns from it, though use asks for less."""
        if not self._asks_for_all(batch):
            return batch.query
        assert batch.own is not None, "training knows all events of a task"
        shots = batch.support.counts
        return batch.own.window(shots, shots + NEXT)

    def _met(self, batch: TaskBatch, padded: Padded, query: Padded) -> list[Padded]:
        """What does not compete with what is asked for.

        Where what was met may come again it does compete, the more so where each event of a sequence is asked for:
        else nothing would say how seldom it comes. That an answer is among its own rivals now and then does no harm.
        """
        if not batch.question.again:
            return [padded, query]
        return [] if self._asks_for_all(batch) else [query]

    def _asks_for_all(self, batch: TaskBatch) -> bool:
        return self.learner.asks_for_all and batch.own is not None and batch.question.most < NEXT

    def view(self) -> View:
        """All items in use; found once, since nothing about them changes any more."""
        vectors = self.encoder().T.contiguous().T  # by column: so the product with one task takes half as long
        return View(vectors, Catalogue(vectors[self.served_item], self.served_log_weight))

    def adapt(self, view: View, examples: Examples, profile: Profile) -> State:
        """The learner's state after T support sets, given all items; `Weighed` with evidence."""
        support = self.seen(view.vectors, examples.padded(), profile)
        state = self.learner.adapt(support, view.served)
        return state if self.evidence is None else Weighed(state, self._known(support, examples, None, profile))

    def of_few(self, view: View, examples: Examples, profile: Profile, items: Few) -> Float[Tensor, "T Q"]:
        """The scores of a few items after T support sets, without what is only needed for the others."""
        support = self.seen(view.vectors, examples.padded(), profile)
        scores = self.learner.score(self.learner.adapt(support, view.served), view.vectors[torch.from_numpy(items)])
        if self.evidence is None:
            return self.in_units(scores)
        assert isinstance(self.learner, Weighing), "only a learner that weighs is told by witnesses"
        witnesses = torch.from_numpy(self.evidence.of_few(examples, profile, items))
        return self.in_units(scores + (witnesses @ self.learner.trust(support).unsqueeze(-1)).squeeze(-1))

    def score(self, vectors: Tensor, state: State, items: Candidates) -> Float[Tensor, "T Q"]:
        """The scores of (Q,) or (T, Q) items, as they leave: ratings in the user's units."""
        code = torch.from_numpy(items)
        whole = items.ndim == 1 and len(items) == len(vectors) and bool((np.diff(items) == 1).all())
        x = vectors if whole else vectors[code]
        if self.evidence is None:
            return self.in_units(self.learner.score(state, x))
        known = state.known if whole else state.known[:, code] if items.ndim == 1 else state.known.gather(1, code)
        return self.in_units(self.learner.score(state.state, x) + known)

    def content(
        self, view: View, examples: Examples, profile: Profile, item: int, columns: Sequence[Columns]
    ) -> Float[Tensor, "P"]:
        """What each set of columns of an item's content adds to its score for one person: with it, less without it."""
        support = self.seen(view.vectors, examples.padded(), profile)
        state = self.learner.adapt(support, view.served)
        without = [self.encoder.without(item, torch.from_numpy(marked)) for marked in columns]
        scores = self.learner.score(state, torch.stack([view.vectors[item], *without]))[0]
        added = scores[0] - scores[1:]
        if self.evidence is not None and self.evidence.content is not None:
            assert isinstance(self.learner, Weighing), "only a learner that weighs is told by witnesses"
            trust = self.learner.trust(support)[0, CONTENT]
            added = added + trust * torch.from_numpy(self.evidence.by_content(examples, item, columns))
        return added if self.learner.ranks else added * self.scale[1]

    def in_units(self, scores: Tensor) -> Tensor:
        """Scores as they leave: ratings in the user's units, ranking scores as they are."""
        return scores if self.learner.ranks else scores * self.scale[1] + self.scale[0]

    def seen(self, vectors: Tensor, examples: Padded, profile: Profile) -> Support:
        """What a learner sees of support sets."""
        return Support(*self._examples(vectors, examples), self.encoder.priors(profile, len(examples.mask)))

    def _known(
        self, support: Support, examples: Examples, own: Examples | None, profile: Profile
    ) -> Float[Tensor, "T I"]:
        """What the witnesses say of each item, as far as the learner trusts them; nothing of items they do not know."""
        assert self.evidence is not None and isinstance(self.learner, Weighing), "only a learner that weighs is asked"
        witnesses = torch.from_numpy(self.evidence.of(examples, own, profile))
        said = (witnesses @ self.learner.trust(support).unsqueeze(-1)).squeeze(-1)
        if len(self.evidence.taken) == len(self.popularity):
            return said
        return said.new_zeros(len(said), len(self.popularity)).index_copy(
            1, torch.from_numpy(self.evidence.taken), said
        )

    def _examples(self, vectors: Tensor, examples: Padded) -> tuple[Tensor, Tensor, Tensor]:
        """Vectors, strengths and mask; for ranking an event is an event, whatever its value."""
        item, value, mask = (torch.from_numpy(column).to(vectors.device) for column in examples)
        strength = torch.ones_like(value) if self.learner.ranks else (value - self.scale[0]) / self.scale[1]
        return embedding(item, vectors), strength, mask

    def _catalogue(self, vectors: Tensor, drawn: Sample) -> Catalogue:
        item, log_weight = (torch.from_numpy(column).to(vectors.device) for column in drawn)
        return Catalogue(embedding(item, vectors), log_weight)

    def _rivals(self, vectors: Tensor, drawn: Sample, known: list[Padded], question: Question) -> Catalogue:
        """The catalogue as each task sees it: what it is known to have met is ruled out, and what is no answer."""
        catalogue = self._catalogue(vectors, drawn)
        met = question.others(len(self.popularity))  # (I,), and (T, I) where somebody has met anything
        if known:
            met = np.tile(met, (len(known[0].mask), 1))
        for examples in known:
            met[np.nonzero(examples.mask)[0], examples.item[examples.mask]] = True
        ruled_out = torch.from_numpy(met[..., drawn.item]).to(vectors.device)
        return Catalogue(catalogue.x, catalogue.log_weight.masked_fill(ruled_out, RULED_OUT))


class Trained:
    """A trained model in use: the vectors of all items are computed once, then it is a `Scorer`."""

    def __init__(self, model: FewShot) -> None:
        self.model = model.eval()
        with torch.no_grad():
            self.view = model.view()
        self.vectors, self.items = self.view.vectors, len(self.view.vectors)

    @torch.no_grad()
    def adapt(self, support: Examples, profile: Profile = None) -> State:
        """The learner's state for T support sets."""
        return self.model.adapt(self.view, support, profile)

    @torch.no_grad()
    def score(self, state: State, items: Candidates) -> Scores:
        """The scores of (Q,) or (T, Q) items, in the user's units where they are ratings."""
        return self.model.score(self.vectors, state, items).numpy()

    @torch.no_grad()
    def of_few(self, support: Examples, profile: Profile, items: Few) -> Scores:
        """The scores of a few items after T support sets."""
        return self.model.of_few(self.view, support, profile, items).numpy()

    @property
    def content_width(self) -> int:
        """Columns of content that the model knows of each item."""
        return self.model.encoder.content_width

    @torch.no_grad()
    def content(
        self, support: Examples, profile: Profile, item: int, columns: Sequence[Columns]
    ) -> Float32[np.ndarray, "P"]:
        """What each set of columns of an item's content adds to its score for one person."""
        return self.model.content(self.view, support, profile, item, columns).numpy()

    def arrays(self) -> dict[str, np.ndarray]:
        """All parameters and buffers by name, and the evidence."""
        evidence = {} if self.model.evidence is None else self.model.evidence.arrays()
        learned = {name: tensor.numpy().copy() for name, tensor in self.model.state_dict().items()}
        return {**learned, **{EVIDENCE + name: array for name, array in evidence.items()}}


class TrainedSampler(Trained):
    """A trained model whose learner knows how unsure it is.

    A class of its own, so that no model has a method which it would have to refuse.
    """

    def __init__(self, model: FewShot, learner: Sampler) -> None:
        super().__init__(model)
        self.learner = learner

    @property
    def noise(self) -> float:
        """Standard deviation of a rating around its score, in the user's units."""
        return self.learner.noise * float(self.model.scale[1])

    @torch.no_grad()
    def sample(self, state: State, rng: np.random.Generator) -> State:
        """A state drawn from all that the support sets leave possible."""
        return self.learner.sample(state, torch.Generator().manual_seed(int(rng.integers(2**63))))


class TrainedRemover(TrainedSampler):
    """A trained model whose learner also knows in closed form what each event adds."""

    def __init__(self, model: FewShot, learner: Remover) -> None:
        super().__init__(model, learner)
        self.remover = learner

    @torch.no_grad()
    def influences(self, support: Examples, profile: Profile, items: Int64[np.ndarray, "Q"]) -> Scores:
        """What each of the N events of all support sets adds to the scores of Q items: (N, Q)."""
        padded = support.padded()
        added = self.remover.added(self.model.seen(self.vectors, padded, profile), self.view.served)
        rows = added[torch.from_numpy(padded.mask)] @ self.vectors[torch.from_numpy(items)].mT
        return (rows * (1.0 if self.model.learner.ranks else self.model.scale[1])).numpy()


def logsumexp(scores: Float32[np.ndarray, "I"]) -> float:
    """The logarithm of the sum of the exponentials; torch takes a quarter of the time of NumPy."""
    return float(torch.from_numpy(scores).logsumexp(dim=0))


def in_use(model: FewShot) -> Trained:
    """The model as a scorer, which can do what its learner can."""
    if isinstance(model.learner, Remover):
        return TrainedRemover(model, model.learner)
    return TrainedSampler(model, model.learner) if isinstance(model.learner, Sampler) else Trained(model)
