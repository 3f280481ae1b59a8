"""The benchmark of the kinds of scan, on few vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from eval import bench_scans as bench
from eval.bench_report import BenchReport
from eval.bench_scans import KINDS, bench_scans
from eval.exact_search import kth_similarity
from service.errors import UsageError
from service.types import Float32Array, Int64Array

pytestmark = pytest.mark.e2e


def encode(texts: Sequence[str]) -> Float32Array:
    vectors = np.random.default_rng(0).normal(size=(len(texts), 512)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def report() -> BenchReport:
    return bench_scans(encode, [1_000, 1_500], queries=6, repeats=2)


def test_every_kind_is_measured_at_every_size(report: BenchReport) -> None:
    found = {figure.name: figure for figure in report.figures}
    for size in ("1,000", "1,500"):
        for kind in KINDS:
            for what in ("a photograph", "a text", "among 1 %"):
                assert len(found[f"{size}: {kind}, {what}"].values) == 2
            assert found[f"{size}: {kind}, opened"].median > 0
            assert found[f"{size}: {kind}, size"].median >= 1_000 * (1024 + 8)
            for what in ("photograph", "text"):
                assert found[f"{size}: {kind}, recall@10 of a {what}"].median == pytest.approx(100.0)
    assert report.settings["exact at 1,000"] == "SQfp16"


def test_wrong_results_have_no_recall() -> None:
    rows, vectors = bench._vectors(1_000, 4, 0, lambda *_: None)
    queries = bench._QuerySet(vectors, kth_similarity(vectors, bench._decoded_chunks(rows), 10))

    class Wrong:
        def candidates(self, query: Float32Array, k: int) -> tuple[object, Int64Array]:
            return None, np.argsort(rows.astype(np.float32) @ query)[:k] + 1

    assert bench._recall(Wrong(), rows, queries) == 0.0  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda: bench_scans(encode, [10]), "--photos"),
        (lambda: bench_scans(encode, queries=0), "--queries"),
        (lambda: bench_scans(encode, repeats=0), "--repeats"),
    ],
)
def test_options_out_of_range_are_refused(wrong: Callable[[], object], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        wrong()
