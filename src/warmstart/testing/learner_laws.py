"""Laws of a learner, as tensors: shapes, padding, batches of tasks, gradients, inference."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.testing import assert_close

from warmstart.learners.base import Learner, Query, State, Support
from warmstart.learners.objectives import CandidateSet

TASKS, SHOTS, QUERIES, CANDIDATES, DIM = (
    3,
    4,
    5,
    7,
    6,
)  # all different, so that no axis hides another
COUNTS = torch.tensor([4, 0, 2])  # of the support examples; a task without any is valid


@dataclass(frozen=True)
class LearnerCase:
    """A learner with random parameters, and T tasks of random vectors to adapt to."""

    learner: Learner
    support: Support
    query: Query
    candidates: CandidateSet
    items: Tensor
    """(Q, D): items that all tasks share as candidates."""

    @classmethod
    def of(cls, learner: Learner) -> "LearnerCase":
        """The case of one learner, whose parameters are moved away from where they start: zeros
        hide mistakes.
        """
        rng = torch.Generator().manual_seed(1)
        mask = torch.arange(SHOTS) < COUNTS[:, None]
        asked = torch.arange(QUERIES) < torch.tensor([5, 3, 4])[:, None]
        return cls(
            randomised(learner, rng).eval(),
            Support(
                torch.randn(TASKS, SHOTS, DIM, generator=rng),
                torch.randn(TASKS, SHOTS, generator=rng),
                mask,
                torch.randn(TASKS, DIM, generator=rng),
            ),
            Query(
                torch.randn(TASKS, QUERIES, DIM, generator=rng),
                torch.randn(TASKS, QUERIES, generator=rng),
                asked,
            ),
            CandidateSet(
                torch.randn(CANDIDATES, DIM, generator=rng), torch.randn(CANDIDATES, generator=rng)
            ),
            torch.randn(QUERIES, DIM, generator=rng),
        )

    def scores(self, support: Support | None = None, items: Tensor | None = None) -> Tensor:
        """The scores of (Q, D) or (T, Q, D) items after T support sets: (T, Q)."""
        state = self.adapt(support)
        return self.learner.score(state, self.items if items is None else items)

    def adapt(self, support: Support | None = None) -> State:
        return self.learner.adapt(self.support if support is None else support, self.candidates)


def scores_have_a_row_for_each_task(case: LearnerCase) -> None:
    scores = case.scores()
    assert isinstance(scores, Tensor) and scores.is_floating_point(), (
        f"score returns a tensor of floating-point numbers, not {_kind(scores)}"
    )
    assert scores.shape == (TASKS, QUERIES), (
        f"score returns (T, Q) = {(TASKS, QUERIES)} for {TASKS} tasks and {QUERIES} items, "
        f"not {tuple(scores.shape)}"
    )
    assert scores.isfinite().all(), "scores are finite, also of a task without events"


def the_loss_has_a_number_for_each_task(case: LearnerCase) -> None:
    loss = _loss(case, slice(None))
    assert loss.shape == (TASKS,), (
        f"loss returns (T,) = ({TASKS},), one number a task, not {tuple(loss.shape)}"
    )
    assert loss.isfinite().all(), "losses are finite, also of a task without events"


def padding_never_reaches_a_score(case: LearnerCase) -> None:
    blank, support = ~case.support.mask, case.support
    junk = replace(
        support,
        x=torch.where(blank.unsqueeze(-1), 1e3, support.x),
        y=torch.where(blank, -1e3, support.y),
    )
    assert_close(case.scores(junk), case.scores())


def wider_padding_changes_nothing(case: LearnerCase) -> None:
    support = case.support
    wide = Support(
        torch.cat([support.x, torch.ones(TASKS, 2, DIM)], dim=1),
        torch.cat([support.y, torch.ones(TASKS, 2)], dim=1),
        torch.cat([support.mask, torch.zeros(TASKS, 2, dtype=torch.bool)], dim=1),
        support.prior,
    )
    assert_close(case.scores(wide), case.scores())


def a_batch_is_each_of_its_tasks_alone(case: LearnerCase) -> None:
    alone = [case.scores(_part(case.support, slice(t, t + 1))) for t in range(TASKS)]
    assert_close(case.scores(), torch.cat(alone))


def the_loss_of_a_batch_is_that_of_its_tasks(case: LearnerCase) -> None:
    alone = [_loss(case, slice(t, t + 1)) for t in range(TASKS)]
    assert_close(_loss(case, slice(None)), torch.cat(alone))


def shared_and_own_candidates_score_alike(case: LearnerCase) -> None:
    own = case.items.expand(TASKS, QUERIES, DIM)
    assert_close(case.scores(items=own), case.scores())


def the_order_of_the_support_matters_only_where_it_is_said_to(case: LearnerCase) -> None:
    if case.learner.order_matters:
        return
    turned = torch.tensor([3, 2, 1, 0])
    support = case.support
    reversed_support = Support(
        support.x[:, turned], support.y[:, turned], support.mask[:, turned], support.prior
    )
    # Sums in another order round otherwise, and several steps of descent enlarge that.
    assert_close(case.scores(reversed_support), case.scores(), rtol=1e-4, atol=1e-5)


def adapting_again_leaves_a_state_as_it_was(case: LearnerCase) -> None:
    state = case.adapt()
    before = case.learner.score(state, case.items).detach().clone()
    case.adapt(_part(case.support, slice(1, 3)))
    assert_close(case.learner.score(state, case.items).detach(), before, rtol=0, atol=0)


def no_gradient_is_needed_in_use(case: LearnerCase) -> None:
    expected = case.scores()
    with torch.no_grad():
        scores = case.scores()
    assert not scores.requires_grad, "under torch.no_grad() scores carry no gradient"
    assert_close(scores, expected.detach())


LEARNER_LAWS: tuple[Callable[[LearnerCase], None], ...] = (
    scores_have_a_row_for_each_task,
    the_loss_has_a_number_for_each_task,
    padding_never_reaches_a_score,
    wider_padding_changes_nothing,
    a_batch_is_each_of_its_tasks_alone,
    the_loss_of_a_batch_is_that_of_its_tasks,
    shared_and_own_candidates_score_alike,
    the_order_of_the_support_matters_only_where_it_is_said_to,
    adapting_again_leaves_a_state_as_it_was,
    no_gradient_is_needed_in_use,
)


def check_learner(
    learner: Callable[..., Learner],
    *,
    objectives: Iterable[str] = ("ranking", "rating"),
    settings: Mapping[str, Any] | None = None,
) -> None:
    """Hold a learner to all laws, under each objective.

    `learner` is the class, or anything that makes one from `dim`, `objective` and `settings`.
    Raises an `AssertionError` that names the first broken law; whatever the learner itself raises
    comes through with the law's name as a note.
    """
    for objective in objectives:
        torch.manual_seed(0)
        case = LearnerCase.of(learner(dim=DIM, objective=objective, **(settings or {})))
        for law in LEARNER_LAWS:
            name = law.__name__.replace("_", " ")
            try:
                law(case)
            except AssertionError as error:
                raise AssertionError(f'law "{name}" ({objective}): {error}') from error
            except Exception as error:
                error.add_note(f'while the law "{name}" was checked ({objective})')
                raise


def randomised(module: nn.Module, rng: torch.Generator) -> Any:
    """The module, every parameter moved by a tenth of a standard normal."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=rng))
    return module


def _loss(case: LearnerCase, tasks: slice) -> Tensor:
    query = case.query
    part = Query(query.x[tasks], query.y[tasks], query.mask[tasks])
    return case.learner.loss(_part(case.support, tasks), part, case.candidates, case.candidates)


def _part(support: Support, tasks: slice) -> Support:
    return Support(support.x[tasks], support.y[tasks], support.mask[tasks], support.prior[tasks])


def _kind(value: object) -> str:
    return f"a tensor of {value.dtype}" if isinstance(value, Tensor) else type(value).__name__
