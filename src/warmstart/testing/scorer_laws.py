"""Laws of a fitted scorer, as item codes: batches, candidates, empty support, purity."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from warmstart.scorer import Candidates, Scorer, Scores
from warmstart.tasks.examples import Examples, Profile

SHOTS = (4, 0, 1, 3)  # of the four tasks; one has no event


@dataclass(frozen=True)
class ScorerCase:
    """A scorer, and four support sets of different sizes."""

    scorer: Scorer
    support: Examples
    order_matters: bool = False
    """Whether the order of the support may change the scores."""

    @classmethod
    def of(cls, scorer: Scorer, *, order_matters: bool = False, seed: int = 0) -> "ScorerCase":
        """Support sets of items drawn at random, without repeats, with values from 1 to 5."""
        rng = np.random.default_rng(seed)
        sizes = np.minimum(SHOTS, scorer.items)
        item = np.concatenate([rng.choice(scorer.items, size, replace=False) for size in sizes])
        value = rng.integers(1, 6, len(item)).astype(np.float32)
        offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        return cls(scorer, Examples(item.astype(np.int64), value, offsets), order_matters)

    def scores(
        self,
        support: Examples | None = None,
        items: Candidates | None = None,
        profile: Profile = None,
    ) -> Scores:
        """The scores of some items, by default of the whole catalogue: (T, Q)."""
        state = self.scorer.adapt(self.support if support is None else support, profile)
        return self.scorer.score(state, self.everything if items is None else items)

    @property
    def everything(self) -> Candidates:
        return np.arange(self.scorer.items)


def it_has_what_the_contract_names(case: ScorerCase) -> None:
    missing = [
        name for name in ("items", "adapt", "score", "arrays") if not hasattr(case.scorer, name)
    ]
    assert not missing, f"a scorer has items, adapt, score and arrays; missing: {missing}"


def scores_are_single_precision_with_a_row_for_each_task(case: ScorerCase) -> None:
    scores = case.scores()
    expected = (len(SHOTS), case.scorer.items)
    assert scores.shape == expected, f"score returns (T, Q) = {expected}, not {scores.shape}"
    assert scores.dtype == np.float32, f"scores are float32, not {scores.dtype}"


def an_empty_support_has_finite_scores_that_differ_between_items(case: ScorerCase) -> None:
    empty = Examples(
        np.array([], dtype=np.int64), np.array([], dtype=np.float32), np.zeros(3, dtype=np.int64)
    )
    scores = case.scores(empty)
    assert np.isfinite(scores).all(), "the prior of a task without events is finite"
    assert np.ptp(scores[0]) > 0, "the prior of a task without events tells items apart"


def a_ragged_batch_is_each_of_its_tasks_alone(case: ScorerCase) -> None:
    alone = [case.scores(case.support.take(np.array([task]))) for task in range(len(SHOTS))]
    _assert_close(case.scores(), np.concatenate(alone))


def the_order_of_the_candidates_does_not_matter(case: ScorerCase) -> None:
    some = np.random.default_rng(1).integers(0, case.scorer.items, 6)
    _assert_close(case.scores(items=some), case.scores()[:, some])


def candidates_may_differ_from_task_to_task(case: ScorerCase) -> None:
    own = np.random.default_rng(2).integers(0, case.scorer.items, (len(SHOTS), 3))
    expected = np.take_along_axis(case.scores(), own, axis=1)
    _assert_close(case.scores(items=own), expected)


def the_order_of_the_support_matters_only_where_it_is_said_to(case: ScorerCase) -> None:
    if case.order_matters:
        return
    turned = case.support.shuffled(np.random.default_rng(1))
    _assert_close(case.scores(turned), case.scores())


def scoring_twice_gives_the_same_bits(case: ScorerCase) -> None:
    np.testing.assert_array_equal(case.scores(), case.scores())


def adapting_to_others_leaves_a_state_as_it_was(case: ScorerCase) -> None:
    state = case.scorer.adapt(case.support)
    before = case.scorer.score(state, case.everything).copy()
    case.scores(case.support.take(np.array([3, 0])))
    np.testing.assert_array_equal(case.scorer.score(state, case.everything), before)


def input_is_never_modified(case: ScorerCase) -> None:
    items = case.everything[:3].copy()
    before = [column.copy() for column in _columns(case.support)]
    case.scores(items=items)
    np.testing.assert_array_equal(items, case.everything[:3])
    for column, as_it_was in zip(_columns(case.support), before, strict=True):
        np.testing.assert_array_equal(column, as_it_was)


SCORER_LAWS: tuple[Callable[[ScorerCase], None], ...] = (
    it_has_what_the_contract_names,
    scores_are_single_precision_with_a_row_for_each_task,
    an_empty_support_has_finite_scores_that_differ_between_items,
    a_ragged_batch_is_each_of_its_tasks_alone,
    the_order_of_the_candidates_does_not_matter,
    candidates_may_differ_from_task_to_task,
    the_order_of_the_support_matters_only_where_it_is_said_to,
    scoring_twice_gives_the_same_bits,
    adapting_to_others_leaves_a_state_as_it_was,
    input_is_never_modified,
)


def check_scorer(scorer: Scorer, *, order_matters: bool = False) -> None:
    """Hold a fitted scorer to all laws.

    Raises an `AssertionError` that names the first broken law; whatever the scorer itself raises
    comes through with the law's name as a note.
    """
    case = ScorerCase.of(scorer, order_matters=order_matters)
    for law in SCORER_LAWS:
        name = law.__name__.replace("_", " ")
        try:
            law(case)
        except AssertionError as error:
            raise AssertionError(f'law "{name}": {error}') from error
        except Exception as error:
            error.add_note(f'while the law "{name}" was checked')
            raise


def _assert_close(found: Scores, expected: Scores) -> None:
    """Equal but for the rounding of single precision, summed in another order."""
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def _columns(support: Examples) -> tuple[np.ndarray, ...]:
    return support.item, support.value, support.offsets
