"""Generated metadata look like those of a library."""

from __future__ import annotations

import numpy as np

from eval.synthetic_metadata import SHARES, MetadataMixture
from service.store.records import Details


def drawn(count: int) -> list[Details]:
    mixture, random = MetadataMixture(), np.random.default_rng(0)
    return [mixture.draw(random, number) for number in range(count)]


def test_most_is_known_of_most_photographs() -> None:
    details = drawn(4_000)
    metadata = [each.metadata for each in details]
    assert all(each.taken_at is not None for each in metadata)
    assert 0.8 < np.mean([each.camera is not None for each in metadata]) < 0.95
    assert 0.02 < np.mean([each.town_id is not None for each in details]) < 0.6
    assert len({each.taken_at.date() for each in metadata if each.taken_at}) > 80
    assert all((each.latitude is None) == (each.longitude is None) for each in metadata)


def test_keywords_with_a_share_are_on_that_share() -> None:
    keywords = [each.metadata.keywords for each in drawn(20_000)]
    for name, share in SHARES.items():
        found = np.mean([name in each for each in keywords])
        assert abs(found - share) < 4 * (share / 20_000) ** 0.5


def test_the_same_seed_gives_the_same_metadata() -> None:
    assert drawn(50) == drawn(50)
