"""Schemas: what requests hold and what is answered, with the limits of both."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FiniteFloat


def _plain(text: str) -> str:
    if "\0" in text or (
        not text.isprintable() and any("\ud800" <= letter <= "\udfff" for letter in text)
    ):
        raise ValueError(
            "text may hold no NUL and no half of a surrogate pair, which no database keeps"
        )
    return text


Plain = AfterValidator(_plain)
MOST_VALUE = 1e30  # which the numbers of a model can hold
Id = Annotated[
    str, Field(min_length=1, max_length=200, description="An id, as you write it."), Plain
]
Amount = Annotated[FiniteFloat, Field(ge=-MOST_VALUE, le=MOST_VALUE)]
Scalar = str | int | float | bool | None
Properties = dict[Annotated[str, Field(max_length=100)], Scalar | list[str]]
MOST_EVENTS, MOST_HISTORY, MOST_COUNT, MOST_IDS, MOST_ITEMS = 10_000, 1000, 200, 10_000, 10_000


class Strict(BaseModel):
    """A request in which a misspelt field is a mistake, and not ignored."""

    model_config = ConfigDict(extra="forbid", ser_json_inf_nan="null")


class Interaction(Strict):
    """What somebody did with an item."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "user_id": "u1",
                    "item_id": "i7",
                    "type": "purchase",
                    "timestamp": "2026-11-27T12:00:00Z",
                }
            ]
        }
    )

    user_id: Id
    item_id: Id
    type: Annotated[str, Field(min_length=1, max_length=40), Plain] = "event"
    value: Amount | None = Field(None, description="A rating, or how strong the event is.")
    timestamp: datetime | None = Field(
        None, description="When it happened; now, where nothing is said."
    )
    recommendation_id: Annotated[str, Field(max_length=64), Plain] | None = None


class Interactions(Strict):
    """Events to keep; each is taken or refused for itself."""

    interactions: Annotated[list[dict[str, Any]], Field(max_length=MOST_EVENTS)] = Field(
        json_schema_extra={"items": Interaction.model_json_schema()}
    )


class Rejected(BaseModel):
    """An event that was not taken, and why."""

    index: int
    reason: str


class Accepted(BaseModel):
    """What became of a batch of events: those that are counted are on disk."""

    accepted: int
    rejected: list[Rejected]
    took_ms: float


class HistoryItem(Strict):
    """An event of a history that comes with a request."""

    item_id: Id
    value: Amount | None = None


class Explore(Strict):
    """How to show what is not known to be best."""

    strategy: Literal["epsilon-greedy", "thompson"] = "epsilon-greedy"
    epsilon: Annotated[float, Field(ge=0, le=1)] = Field(
        0.1, description="The share of places that chance fills."
    )
    seed: int | None = Field(None, ge=0, description="The same seed gives the same answer.")


class RecommendRequest(Strict):
    """Whom to recommend what."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"history": ["i7", "i9"], "profile": {"country": "FR"}, "count": 5}]
        }
    )

    user_id: Id | None = Field(
        None, description="Whose stored events and profile count; unknown ones are new users."
    )
    history: Annotated[list[Id | HistoryItem], Field(max_length=MOST_HISTORY)] = Field(
        [], description="Events that come after the stored ones, oldest first."
    )
    profile: Properties = Field({}, description="What is known of the user, beside what is stored.")
    count: Annotated[int, Field(ge=1, le=MOST_COUNT)] = 10
    exclude_ids: Annotated[list[Id], Field(max_length=MOST_IDS)] = []
    exclude_seen: bool = True
    filter: Annotated[dict[str, Scalar | list[Scalar]], Field(max_length=20)] = Field(
        {}, description="Properties that an item must have: a value, or one of a list."
    )
    explore: Explore | None = None
    explain: bool = False
    language: Literal["en", "zh"] = "en"


class RankRequest(Strict):
    """Items to bring in order for somebody."""

    user_id: Id | None = None
    history: Annotated[list[Id | HistoryItem], Field(max_length=MOST_HISTORY)] = []
    profile: Properties = {}
    item_ids: Annotated[list[Id], Field(min_length=1, max_length=MOST_IDS)]


class ReasonOut(BaseModel):
    """One reason."""

    model_config = ConfigDict(extra="allow")

    kind: Literal["event", "profile", "prior", "together"]
    adds: float
    share: float


class RecommendedItem(BaseModel):
    """One recommended item."""

    item_id: str
    title: str | None = None
    score: float
    probability: float | None = Field(
        None,
        description=(
            "The chance that the model gives it of being next, among all that might "
            "have been shown."
        ),
    )
    propensity: float = Field(description="The chance that it was shown in its place.")
    why: str | None = None
    reasons: list[ReasonOut] | None = None
    properties: dict[str, Any]


class UserSummary(BaseModel):
    """What was known of whom the answer is for."""

    events_used: int
    stage: Literal["prior", "few-shot", "known"]


class Recommendations(BaseModel):
    """An answer, best items first."""

    recommendation_id: str
    model: str
    took_ms: float
    user: UserSummary
    items: list[RecommendedItem]
    fidelity: dict[str, float] | None = None
    warnings: list[str]


class ItemIn(Strict):
    """What is known of an item."""

    properties: Properties = Field(
        {}, json_schema_extra={"examples": [{"title": "Oak desk lamp", "category": "Light"}]}
    )


class ItemsIn(Strict):
    """Many items at once."""

    items: Annotated[dict[Id, Properties], Field(max_length=MOST_ITEMS)]


class UserIn(Strict):
    """What is known of a user."""

    profile: Properties = {}


class MergeInto(Strict):
    """The user who stays."""

    into: Id


class PageOut(BaseModel):
    """Some rows of a list, and the cursor behind which the next begin."""

    rows: list[dict[str, Any]]
    cursor: str | None


class Problem(BaseModel):
    """A problem document (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[dict[str, Any]] | None = None
