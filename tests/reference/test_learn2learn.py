"""learn2learn's algorithms against our own, and the errors where that package is not
installed.
"""

import math
import subprocess
import sys
from importlib.util import find_spec
from typing import Any

import pytest
import torch
from torch.testing import assert_close

import warmstart as ws
from warmstart.errors import UsageError
from warmstart.experiments.compare import ProgressCallbacks
from warmstart.learners import MAML, Learn2Learn
from warmstart.learners.base import Query, Support
from warmstart.learners.blocks.head import INNER_RATE
from warmstart.learners.objectives import CandidateSet
from warmstart.training.registry import RECIPES, fit, recipe
from warmstart.training.requests import FitRequest

installed = pytest.mark.skipif(
    find_spec("learn2learn") is None,
    reason="learn2learn is not installed; see benchmarks/speed_meta.py",
)
both = pytest.mark.parametrize("objective", ["ranking", "rating"])
DIM, HIDDEN, STEPS, RATE = 4, 3, 2, 0.7


def doubles(*shape):
    return torch.randn(*shape, dtype=torch.float64)


@pytest.fixture
def world():
    """Three tasks with ragged support and query, candidates, and negatives of each task."""
    torch.manual_seed(0)
    support_mask = torch.arange(5) < torch.tensor([5, 0, 2])[:, None]
    query_mask = torch.arange(6) < torch.tensor([4, 6, 1])[:, None]
    return (
        Support(
            doubles(3, 5, DIM).requires_grad_(),
            doubles(3, 5),
            support_mask,
            doubles(3, DIM).requires_grad_(),
        ),
        Query(doubles(3, 6, DIM).requires_grad_(), doubles(3, 6), query_mask),
        CandidateSet(doubles(7, DIM).requires_grad_(), doubles(7)),
        CandidateSet(doubles(8, DIM).requires_grad_(), doubles(3, 8)),
    )


def pair(objective, algorithm: Any = "maml", *, first_order=False, learn_rates: Any = "one"):
    """Our learner and theirs with equal weights and rates, all of them away from where they
    start.
    """
    torch.manual_seed(1)
    shape = {
        "objective": objective,
        "hidden": HIDDEN,
        "inner_steps": STEPS,
        "first_order": first_order,
    }
    ours = MAML(DIM, learn_rates=learn_rates, **shape).double()
    theirs = Learn2Learn(DIM, algorithm=algorithm, inner_rate=RATE, **shape).double()
    with torch.no_grad():
        for rate in ours.log_rate.values():
            rate.fill_(math.log(RATE * INNER_RATE[objective]))
        for name, weight in ours.head.items():
            weight.add_(0.3 * torch.randn_like(weight))
            theirs.algorithm.module.get_parameter(name).copy_(weight)
    return ours, theirs


def gradients(learner, world):
    """The loss, and its gradients by the head, the priors and all vectors."""
    support, query, candidates, negatives = world
    loss = learner.loss(*world)
    head = learner.head if isinstance(learner, MAML) else learner.algorithm.module
    names = ("represent", "bend", "hidden", "offset", "output")
    wanted = [
        *(head.get_parameter(name) for name in names),
        support.x,
        support.prior,
        query.x,
        candidates.x,
        negatives.x,
    ]
    return loss, torch.autograd.grad(loss.sum(), wanted, allow_unused=True, retain_graph=True)


@installed
@both
@pytest.mark.parametrize("first_order", [False, True])
def test_loss_and_outer_gradients_of_their_maml_are_those_of_ours(objective, first_order, world):
    ours, theirs = pair(objective, first_order=first_order)
    (loss, derivatives), (their_loss, their_derivatives) = (
        gradients(ours, world),
        gradients(theirs, world),
    )
    assert_close(their_loss, loss)
    assert_close(
        [_or_none(derivative) for derivative in their_derivatives],
        [_or_none(derivative) for derivative in derivatives],
    )


def _or_none(derivative):
    """A gradient that nothing sends and one of zeros are the same."""
    return torch.zeros(()) if derivative is None or not derivative.any() else derivative


@installed
@both
def test_the_shift_is_a_change_of_every_prior(objective, world):
    _, theirs = pair(objective)
    theirs.loss(*world).sum().backward()
    assert_close(theirs.algorithm.module.shift.grad, world[0].prior.grad.sum(dim=0))


@installed
@both
def test_their_meta_sgd_learns_the_rates_that_ours_learns(objective, world):
    ours, theirs = pair(objective, "meta-sgd", learn_rates="each")
    (loss, derivatives), (their_loss, their_derivatives) = (
        gradients(ours, world),
        gradients(theirs, world),
    )
    assert_close(their_loss, loss)
    assert_close(
        [_or_none(derivative) for derivative in their_derivatives],
        [_or_none(derivative) for derivative in derivatives],
    )
    loss.sum().backward()
    their_loss.sum().backward()
    names = [
        name.replace("shift", "prior") for name, _ in theirs.algorithm.module.named_parameters()
    ]
    for name, rate in zip(names, theirs.algorithm.lrs, strict=True):
        assert_close(ours.log_rate[name].grad, rate.grad * rate)  # ours are logarithms


@installed
@both
def test_their_gbml_is_maml_until_its_transforms_move(objective, world):
    ours, theirs = pair(objective, "gbml")
    (loss, derivatives), (their_loss, their_derivatives) = (
        gradients(ours, world),
        gradients(theirs, world),
    )
    assert_close(their_loss, loss)
    assert_close(
        [_or_none(derivative) for derivative in their_derivatives],
        [_or_none(derivative) for derivative in derivatives],
    )
    names = [name for name, _ in theirs.algorithm.module.named_parameters()]
    with torch.no_grad():  # a transform is the square of its factors
        theirs.algorithm.compute_update.transforms_modules[
            names.index("hidden")
        ].transform.left.mul_(2.0)
        ours.log_rate["hidden"].add_(math.log(4.0))
    assert_close(theirs.loss(*world), ours.loss(*world))


@installed
@both
@pytest.mark.parametrize("algorithm", ["maml", "meta-sgd", "gbml"])
def test_the_outer_loop_reaches_all_that_an_algorithm_learns(algorithm, objective, world):
    _, theirs = pair(objective, algorithm)
    theirs.loss(*world).sum().backward()
    assert [
        name
        for name, weight in theirs.named_parameters()
        if weight.grad is None or not weight.grad.any()
    ] == []


@installed
@pytest.mark.parametrize("algorithm", ["maml", "meta-sgd", "gbml"])
def test_in_use_the_scores_are_the_same_and_no_graph_is_kept(algorithm, world):
    _, theirs = pair("rating", algorithm)
    support, query, candidates, _ = world
    expected = theirs.score(theirs.adapt(support, candidates), query.x)
    with torch.no_grad():
        state = theirs.adapt(support, candidates)
        scores = theirs.score(state, query.x)
    assert not any(weight.requires_grad for weight in state.values())
    assert_close(scores, expected.detach())


@installed
def test_by_default_it_is_maml_of_second_order_with_two_steps_at_the_usual_rate():
    learner = Learn2Learn(DIM)
    assert (
        type(learner.algorithm).__name__ == "MAML" and learner.algorithm.lr == INNER_RATE["ranking"]
    )
    assert (learner.is_ranking, learner.first_order, learner.inner_steps) == (True, False, 2)


def test_the_package_is_imported_only_when_needed():
    code = "import sys, warmstart.training.registry; sys.exit('learn2learn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.fixture
def absent(monkeypatch):
    monkeypatch.setitem(sys.modules, "learn2learn", None)


def test_where_it_is_absent_the_error_gives_the_remedy(absent):
    message = (
        r'learner "learn2learn" runs the package of that name, '
        r"which cannot be imported here \(.+\); benchmarks"
    )
    with pytest.raises(UsageError, match=message):
        recipe("learn2learn", "rating")


def test_where_it_cannot_be_imported_the_error_gives_the_cause(monkeypatch, tmp_path):
    (tmp_path / "learn2learn.py").write_text(
        'raise RuntimeError("operator torchvision::nms does not exist")'
    )
    monkeypatch.delitem(sys.modules, "learn2learn", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(
        UsageError, match=r"cannot be imported here \(operator torchvision::nms does not exist\)"
    ):
        recipe("learn2learn", "ranking")


def test_a_comparison_fails_before_it_fits_anything(absent, log):
    started = []
    with pytest.raises(UsageError, match="or leave this learner out"):
        ws.evaluate(
            log, ["popularity", "learn2learn"], callbacks=ProgressCallbacks(on_start=started.append)
        )
    assert started == []


def test_a_saved_model_that_needs_it_fails_too(absent, split):
    other = fit(
        "ridge", FitRequest(split, settings={"dim": 4, "steps": 2, "tasks": 4, "validate_every": 2})
    )
    with pytest.raises(UsageError, match="which cannot be imported here"):
        RECIPES["learn2learn"].restore(other.scorer.arrays(), {"objective": "ranking"})
