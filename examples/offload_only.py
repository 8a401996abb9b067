"""The offload layer alone: run a function over many documents, without HTTP.

Word counting is pure Python, so threads would take turns; `auto` sends it to processes. A document that fails is a
result like any other, and the rest goes on.
"""

import asyncio
import time
from collections import Counter

from scraper import OffloadPool

DOCUMENTS = 2_000


def count_words(text: str) -> dict[str, int]:
    words = [word.strip(".,").lower() for word in text.split()]
    if not words:
        raise ValueError("an empty document")
    return dict(Counter(words))


def document(number: int) -> str:
    return "" if number % 500 == 499 else f"Document {number} tells of a river, a road and {number % 7} bridges. " * 40


async def main() -> None:
    total: Counter[str] = Counter()
    failed = 0
    started_s = time.perf_counter()
    async with OffloadPool(count_words) as pool:
        async for result in pool.map(document(n) for n in range(DOCUMENTS)):
            if result.failure is None:
                total.update(result.value)
            else:
                failed += 1
        print(pool.statistics())
    elapsed_s = time.perf_counter() - started_s
    print(
        f"{DOCUMENTS - failed} documents in {elapsed_s:.1f} s, {failed} failed; most frequent: {total.most_common(3)}"
    )


if __name__ == "__main__":
    asyncio.run(main())
