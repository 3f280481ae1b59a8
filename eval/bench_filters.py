"""What filters cost a search, and what they cost its hits: time beside the same search without one, and recall.

A synthetic library has keywords on 0.1, 1, 10 and 50 % of its photographs. `Library.search` finds texts and photographs
without a filter and then with each of these keywords as a filter, in one run. Texts are encoded before, so that only
what a filter changes is timed. Recall is of the candidates that matches are computed for, against an exact scan of the
photographs that the filter leaves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np

from eval.bench_report import BenchReport, Figure, check_range, check_repeats, machine_facts, versions_of
from eval.query_texts import query_texts
from eval.synthetic_library import check_photographs, temporary_library
from eval.synthetic_metadata import SHARES
from eval.timing import elapsed_s
from service.library import Library
from service.search.query import Query
from service.search.search import MIN_CANDIDATES
from service.store.filters import Filters
from service.types import Float32Array, OnStage

SIZES = (100_000,)
"""Default sizes of the synthetic libraries, in photographs."""
MAX_QUERIES = 1_000
WARM = 10
K = 10


def bench_filters(
    photographs: Sequence[int] = (),
    *,
    queries: int = 200,
    repeats: int = 3,
    seed: int = 0,
    on_stage: OnStage = lambda what, done, total: None,
) -> BenchReport:
    """Search synthetic libraries of some sizes with and without filters.

    Args:
        photographs: sizes of the libraries, smallest first; empty for SIZES. A million takes 6 GB of disk.
        queries: texts, and photographs, of each repeat, from 1 to 1,000.
        repeats: how often times are measured; recall is measured once.
        seed: seed of the libraries and of the texts.
        on_stage: follows the progress.

    Raises:
        UsageError: an argument is out of range.
    """
    check_repeats(repeats)
    check_range("--queries", queries, 1, MAX_QUERIES)
    sizes = sorted(set(photographs or SIZES))
    for each in sizes:
        check_photographs(each)
    machine = machine_facts()
    figures: list[Figure] = []
    settings: dict[str, object] = {"photographs": sizes, "queries": queries, "repeats": repeats, "seed": seed}
    for size in sizes:
        progress = partial(on_stage, f"{size:,}: making the library")
        with temporary_library(size, seed=seed, on_progress=progress) as folder:
            found, kind = _measure(folder, queries, repeats, seed, partial(on_stage, f"{size:,}: searching"))
        figures += [Figure(f"{size:,}: {each.name}", each.unit, each.values) for each in found]
        settings[f"index at {size:,}"] = kind
    notes = [
        "Times are of Library.search for ten hits, with matches and metadata, of texts that are encoded already and of "
        "photographs of the library; × is the median of a filter over that without a filter in the same repeat.",
        f"recall@{K} is of the candidates that matches are computed for, against an exact scan of what the filter "
        "leaves.",
    ]
    versions = versions_of("faiss-cpu", "numpy", "openvino", "torch")
    return BenchReport("filters", figures, settings, notes, machine, versions)


def _measure(
    folder: Path, queries: int, repeats: int, seed: int, on_progress: partial[None]
) -> tuple[list[Figure], str]:
    """The figures of one library, and the kind of its index."""
    with Library.open(folder) as library:
        random = np.random.default_rng(seed)
        ids = library.select().ids
        searches = {
            "texts": [Query(text=text, k=K, min_match=0.0) for text in islice(query_texts(seed), queries)],
            "photographs": [Query(photo_id=int(each), k=K) for each in random.choice(ids, min(queries, len(ids)))],
        }
        for query in searches["texts"]:
            library.search(query)
        filters = {"without a filter": Filters()}
        filters |= {f"{100 * share:g} %": Filters(keyword=(name,)) for name, share in SHARES.items()}
        figures = []
        for what, some in searches.items():
            times: dict[str, list[float]] = {name: [] for name in filters}
            for turn in range(repeats):
                on_progress(turn, repeats)
                for name, each in filters.items():
                    times[name].append(_median_ms(library, some, each))
            for name, values in times.items():
                figures.append(Figure(f"{what}, {name}", "ms", tuple(values)))
                if filters[name]:
                    ratios = np.array(values) / np.array(times["without a filter"])
                    figures.append(Figure(f"{what}, {name}, over that without", "×", tuple(ratios.tolist())))
                figures.append(Figure(f"recall@{K} of {what}, {name}", "%", (_recall(library, some, filters[name]),)))
        on_progress(repeats, repeats)
        return figures, library.check().index.kind


def _median_ms(library: Library, queries: Sequence[Query], filters: Filters) -> float:
    calls = [partial(library.search, replace(query, filters=filters)) for query in queries]
    for call in calls[:WARM]:
        call()
    return 1_000 * float(np.median([elapsed_s(call) for call in calls]))


def _recall(library: Library, queries: Sequence[Query], filters: Filters) -> float:
    """The share in percent of the `K` nearest photographs that filters leave that are candidates."""
    target = library.check()
    among = library.select(filters).ids if filters else None
    shares = []
    for query in queries:
        vector: Float32Array = target.encode_query(query.item)
        nearest = target.index.rank(vector, K, among)
        if not len(nearest):
            continue
        depth = MIN_CANDIDATES if target.scorer.reorders(query.kind) else K
        _, candidates, _ = target.index.candidates(vector, depth, among)
        shares.append(float(np.isin(nearest.ids, candidates).mean()))
    return 100.0 * float(np.mean(shares)) if shares else float("nan")
