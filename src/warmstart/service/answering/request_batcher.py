"""Request batcher: requests for recommendations that come together are answered together."""

import time
from typing import Any

from fastapi.concurrency import run_in_threadpool

from warmstart.service.answering.answering import (
    PreparedRequest,
    RecommendationService,
    TimedRequest,
)
from warmstart.service.answering.batching import Batcher
from warmstart.service.api.schemas import RecommendRequest

MAX_LOOKUPS, MAX_ANSWERS = (
    64,
    16,
)  # requests that are looked up, and that are answered, in one batch


class RequestBatcher:
    """Looks up users in the store, and then computes recommendations on the event loop.

    It waits for another machine's answer in a thread; SQLite's, which is there in less time than a
    thread takes to wake up, and waits for no writer, it takes at once.
    """

    def __init__(self, answering: RecommendationService) -> None:
        self.answering = answering
        self._lookups: Batcher[TimedRequest, PreparedRequest] = Batcher(
            answering.prepare, MAX_LOOKUPS, waits=answering.store.on_postgresql
        )
        self._answers: Batcher[PreparedRequest, dict[str, Any]] = Batcher(
            answering.answer, MAX_ANSWERS, waits=False
        )

    async def recommend(self, asked: RecommendRequest) -> dict[str, Any]:
        """The best items for somebody."""
        if (
            asked.explain or asked.explore
        ):  # which takes long enough that nobody else should wait for it
            return await run_in_threadpool(self.answering.recommend, asked)
        request = TimedRequest(asked, time.perf_counter())
        if asked.filter:  # all items have to be gone through
            [prepared] = await run_in_threadpool(self.answering.prepare, [request])
        elif asked.user_id is None:  # nothing to look up
            [prepared] = self.answering.prepare([request])
        else:
            prepared = await self._lookups.submit(request)
        return await self._answers.submit(prepared)

    def close(self) -> None:
        """Wait for what is under way."""
        self._lookups.close()
