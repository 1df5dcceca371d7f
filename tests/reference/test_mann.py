"""MANN against its formulas, written out one task, one event and one slot at a time; and what its
memory is for.
"""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from warmstart.evaluation.evaluate import evaluate
from warmstart.learners import MANN
from warmstart.learners.base import Support
from warmstart.learners.mann import Memory
from warmstart.learners.objectives import CandidateSet
from warmstart.training import registry as recipes
from warmstart.training.requests import FitRequest

DIM, WIDTH, SLOTS, DECAY = 5, 4, 3, 0.9
NOBODY = CandidateSet(torch.zeros(1, DIM), torch.zeros(1))  # unused by this learner
MASK = [[1, 1, 1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0, 0], [1, 0, 1, 1, 0, 1, 0], [1, 1, 0, 0, 0, 0, 0]]
SMALL = {
    "dim": 16,
    "steps": 120,
    "tasks": 32,
    "validate_every": 40,
    "rate": 0.01,
    "most_shots": 8,
    "queries": 6,
}


def doubles(*shape):
    return torch.randn(*shape, dtype=torch.float64)


def world() -> Support:
    """Four tasks, more events than slots, with gaps between them; padding holds junk."""
    torch.manual_seed(0)
    return Support(doubles(4, 7, DIM), doubles(4, 7), torch.tensor(MASK).bool(), doubles(4, DIM))


def mann(scale: float = 1.0, **settings) -> MANN:
    torch.manual_seed(1)
    learner = MANN(DIM, width=WIDTH, **{"slots": SLOTS, "decay": DECAY, **settings}).double()
    with torch.no_grad():
        for parameter in learner.parameters():
            parameter.add_(0.5 * torch.randn_like(parameter))
        for layer in (learner.look_up, learner.word):
            for parameter in layer.parameters():
                parameter.mul_(scale)
    return learner


def plain(**settings) -> MANN:
    """Each event goes into one slot, whole, under the key that its item alone has."""
    learner = mann(**settings)
    with torch.no_grad():
        learner.gate.fill_(-math.inf)
        for parameter in learner.word.parameters():
            parameter.zero_()
    return learner


def adapted(learner: MANN, support: Support) -> Memory:
    with torch.no_grad():
        return learner.adapt(support, NOBODY)


def linear(layer, v):
    out = [sum(w * float(a) for w, a in zip(row, v, strict=True)) for row in layer.weight.tolist()]
    return (
        out
        if layer.bias is None
        else [a + b for a, b in zip(out, layer.bias.tolist(), strict=True)]
    )


def dot(a, b):
    return sum(float(p) * float(q) for p, q in zip(a, b, strict=True))


def sigmoid(a):
    return 1 / (1 + math.exp(-a))


def lstm(cell, v, hidden, memory):
    """Input, forget, candidate and output gates, in that order."""
    pre = np.array(cell.weight_ih.tolist()) @ v + np.array(cell.bias_ih.tolist())
    pre += np.array(cell.weight_hh.tolist()) @ hidden + np.array(cell.bias_hh.tolist())
    n = len(hidden)
    memory = [
        sigmoid(pre[n + i]) * memory[i] + sigmoid(pre[i]) * math.tanh(pre[2 * n + i])
        for i in range(n)
    ]
    return [sigmoid(pre[3 * n + i]) * math.tanh(memory[i]) for i in range(n)], memory


def attend(learner, key, content):
    """The share of each slot, where empty slots have none and a null slot has some."""
    weight = []
    for slot in content:
        length = math.sqrt(dot(slot, slot) + 1e-6) * math.sqrt(dot(key, key) + 1e-6)
        weight.append(
            math.exp(learner.log_sharpness.exp().item() * dot(key, slot) / length)
            if any(slot)
            else 0.0
        )
    total = math.exp(learner.null.item()) + sum(weight)
    return [w / total for w in weight]


def value_of(learner, x, content, prior):
    attention = attend(learner, linear(learner.look_up, x), content)
    return dot(x, prior) + sum(
        a * dot(linear(learner.value, x), c) for a, c in zip(attention, content, strict=True)
    )


def remember(learner, events, shots, prior):
    """The memory after the events (number, x, y) of one task: content, written, usage, attention,
    hidden, cell.
    """
    content = [[0.0] * WIDTH for _ in range(SLOTS)]
    written = [[0.0] * SLOTS for _ in range(shots)]
    usage, attention = [0.0] * SLOTS, [0.0] * SLOTS
    hidden, cell = [0.0] * WIDTH, [0.0] * WIDTH
    for number, x, y in events:
        expected = value_of(learner, x, content, prior)
        read = [sum(attention[m] * content[m][w] for m in range(SLOTS)) for w in range(WIDTH)]
        hidden, cell = lstm(learner.controller, [*x, y, expected, *read], hidden, cell)
        key = [
            a + b
            for a, b in zip(linear(learner.look_up, x), linear(learner.word, hidden), strict=True)
        ]
        least, gate = usage.index(min(usage)), sigmoid(learner.gate.item())
        content[least] = [0.0] * WIDTH
        for earlier in written:
            earlier[least] = 0.0
        for m in range(SLOTS):
            written[number][m] = gate * attention[m] + (1 - gate) * (m == least)
            content[m] = [c + written[number][m] * k for c, k in zip(content[m], key, strict=True)]
        attention = attend(learner, key, content)
        usage = [
            DECAY * u + a + w for u, a, w in zip(usage, attention, written[number], strict=True)
        ]
    return content, written, usage, attention, hidden, cell


@pytest.mark.parametrize(
    "scale", [1.0, 0.03], ids=["keys of any length", "keys of hardly any length"]
)
def test_the_memory_is_that_of_the_formulas(scale):
    support, learner = world(), mann(scale)
    memory = adapted(learner, support)
    for t in range(4):
        kept = [s for s in range(7) if MASK[t][s]]
        events = [(s, support.x[t, s].tolist(), support.y[t, s].item()) for s in kept]
        expected = remember(learner, events, 7, support.prior[t].tolist())
        for found, wanted in zip(memory, [*expected, support.prior[t].tolist()], strict=True):
            assert_close(found[t], torch.tensor(wanted, dtype=torch.float64))


@pytest.mark.parametrize(
    "scale", [1.0, 0.03], ids=["keys of any length", "keys of hardly any length"]
)
def test_an_item_is_scored_by_what_its_own_key_reads(scale):
    support, learner, items = world(), mann(scale), doubles(6, DIM)
    memory = adapted(learner, support)
    with torch.no_grad():
        scores = learner.score(memory, items)
    for t in range(4):
        content, prior = memory.content[t].tolist(), support.prior[t].tolist()
        expected = [value_of(learner, x, content, prior) for x in items.tolist()]
        assert_close(scores[t], torch.tensor(expected, dtype=torch.float64))


def test_it_starts_with_sixteen_slots_and_writes_mostly_into_the_least_used():
    learner, support = MANN(DIM).double(), world()
    memory = adapted(learner, support)
    assert memory.content.shape == (4, 16, 64) and memory.hidden.shape == (4, 64)
    assert learner.decay == 0.95 and learner.value.bias is None
    assert learner.log_sharpness.exp().item() == pytest.approx(3) and learner.null.item() == 0
    assert learner.gate.sigmoid().item() == pytest.approx(1 / (1 + math.exp(2)))


def test_slots_are_taken_in_turn_and_then_the_least_used_again():
    learner = plain()
    with torch.no_grad():
        learner.null.fill_(1e9)  # nothing is read, so usage counts the writes alone
    holds = [adapted(learner, _first(world(), count)).written[0].T.tolist() for count in range(8)]
    last = [[row.index(1.0) if 1.0 in row else None for row in slots] for slots in holds]
    assert last == [
        [None, None, None],
        [0, None, None],
        [0, 1, None],
        [0, 1, 2],
        [3, 1, 2],
        [3, 4, 2],
        [3, 4, 5],
        [6, 4, 5],
    ]


def test_a_slot_that_was_read_is_not_the_next_to_be_taken_again():
    x = torch.tensor(
        [[1.0, 0, 0, 0, 0], [0, 1, 0, 0, 0], [1, 0, 0, 0, 0], [0, 0, 1, 0, 0]]
    ).double()[None]
    support = Support(
        x, torch.ones(1, 4).double(), torch.ones(1, 4).bool(), torch.zeros(1, DIM).double()
    )
    learner = plain(decay=0.7)
    with torch.no_grad():
        learner.log_sharpness.fill_(math.log(50))
        learner.look_up.weight.copy_(torch.eye(WIDTH, DIM))
        learner.look_up.bias.zero_()
        learner.null.fill_(-1e9)
        assert (
            _slot_of(learner.adapt(support, NOBODY), event=3) == 1
        )  # the first was read again by the third event
        learner.null.fill_(1e9)
        assert (
            _slot_of(learner.adapt(support, NOBODY), event=3) == 0
        )  # without reading the first is the oldest


def test_a_slot_is_cleared_before_it_is_written_again():
    support, learner = world(), plain()
    with torch.no_grad():
        learner.null.fill_(1e9)
        keys = learner.look_up(support.x[0])
    assert_close(adapted(learner, support).content[0], keys[[6, 4, 5]])


def test_what_is_written_tells_which_events_a_slot_holds():
    support, learner = world(), mann()
    with torch.no_grad():
        learner.word.weight.zero_()
        keys = learner.look_up(support.x) + learner.word.bias
    memory = adapted(learner, support)
    assert_close(memory.content, memory.written.mT @ keys)
    assert (memory.written[0].count_nonzero(dim=0) > 1).any()  # a slot may hold more than one event


def test_padding_leaves_the_memory_as_it_was():
    support, learner = world(), mann()
    memory, before = adapted(learner, support), adapted(learner, _first(support, 6))
    for after, same in zip(memory._replace(written=memory.written[:, :6]), before, strict=True):
        assert_close(after[1:], same[1:])  # the last entry of these tasks is padding
    assert not torch.allclose(memory.content[0], before.content[0], atol=1e-2)


@pytest.mark.parametrize("objective", ["ranking", "rating"])
def test_with_a_zeroed_memory_the_prior_holds(objective):
    support, learner, items = world(), mann(objective=objective), doubles(6, DIM)
    memory = adapted(learner, support)
    with torch.no_grad():
        scores = learner.score(memory._replace(content=torch.zeros_like(memory.content)), items)
        assert_close(scores, support.prior @ items.T, rtol=0, atol=1e-12)
        assert not torch.allclose(learner.score(memory, items)[0], scores[0], atol=0.1)


def test_a_slot_whose_numbers_cancel_is_not_empty():
    learner, items = mann(), doubles(6, DIM)
    content = torch.tensor([1.0, -1.0, 2.0, -2.0]).double().expand(4, SLOTS, WIDTH)
    memory = adapted(learner, world())._replace(content=content)
    with torch.no_grad():
        scores = learner.score(memory, items)
    expected = [
        value_of(learner, x, content[0].tolist(), memory.prior[0].tolist()) for x in items.tolist()
    ]
    assert_close(scores[0], torch.tensor(expected, dtype=torch.float64))


def test_the_score_of_an_event_enters_the_memory():
    support = world()
    learner = mann()
    before = adapted(learner, support).content
    after = adapted(learner, replace(support, prior=support.prior + 1.0)).content
    assert not torch.allclose(before[0], after[0], atol=1e-3)
    with torch.no_grad():
        learner.controller.weight_ih[:, DIM + 1] = (
            0.0  # the controller turns a deaf ear to the expectation
        )
    deaf = [
        adapted(learner, replace(support, prior=support.prior + shift)).content
        for shift in (0.0, 1.0)
    ]
    assert_close(deaf[0], deaf[1])


def test_the_order_of_the_events_counts_and_the_learner_declares_it():
    support, learner, items = world(), mann(), doubles(6, DIM)
    turned = replace(support, x=support.x.flip(1), y=support.y.flip(1))
    first, second = (learner.score(adapted(learner, s), items)[0] for s in (support, turned))
    assert learner.order_matters and not torch.allclose(first, second, atol=1e-2)


def test_gradients_are_finite_where_slots_are_empty():
    learner, support = mann(), world()
    learner.score(learner.adapt(support, NOBODY), doubles(6, DIM)).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in learner.parameters())


@pytest.fixture(scope="module")
def trained(split):
    return recipes.fit("mann", FitRequest(split, settings=SMALL)).scorer


class Damaged:
    """A scorer whose memory is changed between adaptation and scoring."""

    def __init__(self, scorer, damage):
        self.scorer, self.damage, self.items = scorer, damage, scorer.items
        self.score, self.arrays = scorer.score, scorer.arrays
        self.capabilities = scorer.capabilities

    def adapt(self, support, profile=None):
        memory = self.scorer.adapt(support, profile)
        return memory._replace(content=self.damage(memory.content))


DAMAGES = {
    "zeroed": torch.zeros_like,
    "of the task before": lambda content: content.roll(1, dims=0),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_without_its_own_memory_it_recommends_worse(damage, trained, split):
    tasks = replace(split.test, profile=None)
    found = [
        evaluate(scorer, tasks, shots=[5], queries=4)
        for scorer in (trained, Damaged(trained, damage))
    ]
    whole, damaged = (one.values["ndcg@10"][5].mean() for one in found)
    assert damaged < 0.8 * whole


def test_after_adaptation_slots_with_things_of_a_kind_resemble_each_other(trained, examples):
    memory = trained.adapt(examples([[2, 8, 5, 11, 14, 3]]))
    slots, held = memory.written[0].max(dim=0).indices[:6], memory.written[0].max(dim=0).values
    assert slots.tolist() == [0, 1, 2, 3, 4, 5] and (held[6:] == 0).all()
    content = torch.nn.functional.normalize(memory.content[0, :6], dim=-1)
    same_label = torch.tensor([0, 0, 1, 1, 0, 1])[:, None] == torch.tensor([0, 0, 1, 1, 0, 1])
    cosine, apart = content @ content.T, ~torch.eye(6, dtype=torch.bool)
    assert cosine[same_label & apart].mean() > cosine[~same_label].mean() + 0.3


def _first(support: Support, count: int) -> Support:
    """The support sets as they were when `count` columns of them were known, but never none."""
    mask = support.mask & (torch.arange(7) < count)
    width = max(count, 1)
    return Support(support.x[:, :width], support.y[:, :width], mask[:, :width], support.prior)


def _slot_of(memory: Memory, *, event: int) -> int:
    return int(memory.written[0, event].argmax())
