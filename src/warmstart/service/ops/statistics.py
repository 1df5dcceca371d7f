"""Activity: what goes on in a service, as its dashboard and /v1/stats tell it; from the store, so
of all workers.
"""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from warmstart.service.answering.catalogue import Catalogue
from warmstart.service.store.records import Event, LoggedRecommendation
from warmstart.service.store.store import Store

BARS = 60  # steps of time in a window
SAMPLE = 5000  # recommendations and events that are looked at for what cannot be counted


def overview(store: Store, catalogue: Catalogue, window: int) -> dict[str, Any]:
    """The last `window` seconds: events and recommendations by time, latency, stages, coverage, and
    the model's age.
    """
    width = max(1, window // BARS)
    now = time.time()
    since = now - width * BARS
    events, given = store.counted(since, width, BARS)
    sample = store.latest_recommendations(SAMPLE, since)
    took = [one.took_ms for one in sample]
    stages = Counter(one.stage for one in sample)
    shown = {item["item_id"] for one in sample for item in one.items}
    items = len(catalogue.model.items)
    return {
        "seconds": width * BARS,
        "series": [
            {
                "time": since + width * place,
                "events_per_s": events[place] / width,
                "recommendations_per_s": n / width,
            }
            for place, n in enumerate(given)
        ],
        "events": sum(events),
        "recommendations": sum(given),
        "latency_ms": {f"p{q}": float(np.percentile(took, q)) for q in (50, 95, 99)}
        if took
        else None,
        "stages": {stage: count / len(sample) for stage, count in stages.items()},
        "coverage": len(shown) / items if items else 0.0,
        "sample": len(sample),
        "model": {
            "version": catalogue.serving.version,
            "learner": catalogue.model.learner,
            "items": items,
            "new_items": len(catalogue.new),
            "age_s": None if catalogue.serving.saved is None else now - catalogue.serving.saved,
        },
    }


def item_activity(store: Store, catalogue: Catalogue, item_id: str) -> dict[str, Any]:
    """How often an item is met and recommended, day by day since it came: how a cold item warms
    up.
    """
    met = store.events_of_item(item_id, SAMPLE)
    given = [one for one in store.latest_recommendations(SAMPLE, 0.0) if _shows(one, item_id)]
    to = next((one.user_id for one in given if one.user_id is not None), None)
    return {
        "item_id": item_id,
        "new": item_id in catalogue.new,
        "events": len(met),
        "users": len({event.user_id for event in met}),
        "recommended": len(given),
        "last_recommended_to": to,
        "series": _by_day([event.time for event in met], [one.time for one in given]),
        "latest": [event._asdict() for event in met[:20]],
    }


def recent_activity(store: Store) -> dict[str, list[dict[str, Any]]]:
    """The users and the items of the latest events, the most recent first."""
    events = store.latest_events(SAMPLE)
    return {"users": _counted(events, "user_id"), "items": _counted(events, "item_id")}


def _counted(events: Sequence[Event], name: str) -> list[dict[str, Any]]:
    counts = Counter(getattr(event, name) for event in events)
    last: dict[str, float] = {}
    for event in events:
        last.setdefault(getattr(event, name), event.time)
    return [{name: one, "events": counts[one], "last": at} for one, at in list(last.items())[:100]]


def _shows(given: LoggedRecommendation, item_id: str) -> bool:
    return any(item["item_id"] == item_id for item in given.items)


def _days(moments: Sequence[float]) -> list[str]:
    """The day of each moment in UTC; of any year, while Python's own dates begin with the first."""
    seconds = np.floor(np.array(moments, dtype=np.float64)).astype(np.int64)
    return seconds.astype("datetime64[s]").astype("datetime64[D]").astype(str).tolist()


def _by_day(met: Sequence[float], given: Sequence[float]) -> list[Mapping[str, Any]]:
    days = [Counter(_days(moments)) for moments in (met, given)]
    return [
        {"day": day, "events": days[0][day], "recommendations": days[1][day]}
        for day in sorted(days[0] | days[1])
    ]
