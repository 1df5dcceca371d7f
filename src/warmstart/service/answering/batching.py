"""Batches: requests that come while others are being answered are answered together, in one
adaptation.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


class Batcher(Generic[Asked, Answer]):
    """This hands all that waits to `answer` at once, at most `most`, one batch after the other.

    Nobody waits for company: where nothing is under way, a request is a batch of its own. So a
    service that is little asked is as quick as it can be, and the more it is asked, the less each
    answer takes. If a batch fails, each of its requests is answered alone, and only those whose
    fault it is fail.

    What waits for others, as for a store, belongs in a thread of its own. What computes is done
    between two turns of the event loop: a thread would have to take turns with the loop for every
    line of Python.
    """

    def __init__(
        self, answer: Callable[[Sequence[Asked]], list[Answer]], most: int, *, waits: bool
    ) -> None:
        self.answer, self.most = answer, most
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="batches") if waits else None
        self._waiting: list[tuple[Asked, asyncio.Future[Answer]]] = []
        self._at_work: asyncio.Task[None] | None = None

    async def submit(self, asked: Asked) -> Answer:
        """The answer to a request, together with those of others."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((asked, future))
        if self._at_work is None:
            self._at_work = asyncio.create_task(self._work())
        return await future

    def close(self) -> None:
        """Wait for what is under way."""
        if self._thread is not None:
            self._thread.shutdown()

    async def _work(self) -> None:
        while self._waiting:
            await asyncio.sleep(0)  # whoever else has come is in the batch
            batch, self._waiting = self._waiting[: self.most], self._waiting[self.most :]
            questions = [asked for asked, _ in batch]
            if self._thread is None:
                found = self._each(questions)
            else:
                found = await asyncio.get_running_loop().run_in_executor(
                    self._thread, self._each, questions
                )
            for (_, future), one in zip(batch, found, strict=True):
                if future.done():  # who asked has gone
                    continue
                if isinstance(one, Exception):
                    future.set_exception(one)
                else:
                    future.set_result(one)
        self._at_work = None

    def _each(self, batch: Sequence[Asked]) -> Sequence[Answer | Exception]:
        try:
            return self.answer(batch)
        except Exception as error:
            return [error] if len(batch) == 1 else [self._each([one])[0] for one in batch]
