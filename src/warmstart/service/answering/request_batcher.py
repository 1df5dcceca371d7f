"""Desk: where requests for recommendations come in, and go out again in batches."""

import time
from typing import Any

from fastapi.concurrency import run_in_threadpool

from warmstart.service.answering.answering import Answering, Question, Wish
from warmstart.service.answering.batching import Batches
from warmstart.service.api.schemas import Asked

LOOKED_UP, AT_ONCE = 64, 16  # requests that are looked up, and that are answered, in one batch


class Desk:
    """This looks up what the store knows, and then computes what is recommended on the event loop.

    It waits for another machine's answer in a thread; SQLite's, which is there in less time than a
    thread takes to wake up, and waits for no writer, it takes at once.
    """

    def __init__(self, answering: Answering) -> None:
        self.answering = answering
        self._lookups: Batches[Question, Wish] = Batches(
            answering.prepare, LOOKED_UP, waits=answering.store.on_postgresql
        )
        self._answers: Batches[Wish, dict[str, Any]] = Batches(
            answering.answer, AT_ONCE, waits=False
        )

    async def recommend(self, asked: Asked) -> dict[str, Any]:
        """The best items for somebody."""
        if (
            asked.explain or asked.explore
        ):  # which takes long enough that nobody else should wait for it
            return await run_in_threadpool(self.answering.recommend, asked)
        question = Question(asked, time.perf_counter())
        if asked.filter:  # all items have to be gone through
            [wish] = await run_in_threadpool(self.answering.prepare, [question])
        elif asked.user_id is None:  # nothing to look up
            [wish] = self.answering.prepare([question])
        else:
            wish = await self._lookups.ask(question)
        return await self._answers.ask(wish)

    def close(self) -> None:
        """Wait for what is under way."""
        self._lookups.close()
