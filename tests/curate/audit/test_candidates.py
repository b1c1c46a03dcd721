"""Which pairs are compared: all that planted copies need, few a picture, and no explosion where all are one."""

from __future__ import annotations

import numpy as np
import pandas as pd

from curate.audit.evidence.candidates import LINKS, find_candidates
from curate.audit.evidence.evidence import Evidence
from curate.spec.model import Source, Spec
from curate.vectors.neighbours import BUCKET, EXACT_HASHES, NEAR_HASHES, find_near_hashes


def random_hashes(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2**64, count, dtype=np.uint64, endpoint=False)


def evidence_of(pixels: list[str], hashes: list[int], vectors: np.ndarray) -> Evidence:
    ids = [f"{place:020x}" for place in range(len(pixels))]
    codes = pd.Series(hashes, dtype="uint64")
    mirrored = pd.Series(random_hashes(len(ids), 9), dtype="uint64")
    samples = pd.DataFrame(
        {"sample_id": ids, "reason": "", "pixel_hash": pixels, "phash": codes, "phash_mirrored": mirrored}
    )
    spec = Spec(name="pairs", classes={"a": ""}, sources=[Source(path="nowhere")])
    return Evidence(spec, samples, pd.DataFrame(), embed=lambda _: vectors, read_thumbnails=lambda _: {})


def candidates_of(evidence: Evidence) -> list[tuple[int, int]]:
    return find_candidates(evidence.readable, evidence.neighbours)


def are_connected(pairs: list[tuple[int, int]], count: int) -> bool:
    seen, todo = {0}, [0]
    while todo:
        one = todo.pop()
        new = {b if a == one else a for a, b in pairs if one in (a, b)} - seen
        seen |= new
        todo += new
    return len(seen) == count


def by_loop(hashes: np.ndarray, mirrored: np.ndarray, radius: int) -> list[list[int]]:
    def is_near(one: int, two: int) -> bool:
        sides = ((hashes[one], hashes[two]), (mirrored[one], hashes[two]), (mirrored[two], hashes[one]))
        return any(bin(int(a) ^ int(b)).count("1") <= radius for a, b in sides)

    return [[one, two] for one in range(len(hashes)) for two in range(one + 1, len(hashes)) if is_near(one, two)]


def test_near_hashes_equal_a_plain_loop() -> None:
    hashes, mirrored = random_hashes(60), random_hashes(60, 1)
    hashes[40:] = hashes[:20] ^ np.uint64(0b111)
    mirrored[30] = hashes[3] ^ np.uint64(1 << 63)
    found = find_near_hashes(hashes, mirrored, 3).tolist()
    assert found == by_loop(hashes, mirrored, 3)
    assert [3, 30] in found and [0, 40] in found and len(found) == 21


def test_sampled_bits_find_what_all_pairs_would() -> None:
    count, planted = EXACT_HASHES * 3, 500
    hashes, mirrored = random_hashes(count), random_hashes(count, 1)
    flips = np.random.default_rng(2)
    for row in range(planted):
        bits = flips.choice(64, 4, replace=False)
        copy = hashes[row] ^ np.uint64(sum(1 << int(bit) for bit in bits))
        (hashes if row % 2 else mirrored)[count - 1 - row] = copy
    found = {tuple(pair) for pair in find_near_hashes(hashes, mirrored, 8).tolist()}
    assert sum((row, count - 1 - row) in found for row in range(planted)) >= 0.99 * planted
    assert all(one < two for one, two in found)


def test_hashes_that_are_all_near_give_each_a_few_pairs() -> None:
    count = EXACT_HASHES + 1000
    hashes = np.arange(count, dtype=np.uint64)  # 13 bits differ at most, most of them few
    found = find_near_hashes(hashes, random_hashes(count), 8)
    assert count / 2 <= len(found) <= count * NEAR_HASHES and NEAR_HASHES < BUCKET


def test_no_hashes_have_no_pairs() -> None:
    none = np.zeros(0, np.uint64)
    assert find_near_hashes(none, none, 8).shape == (0, 2)
    assert find_near_hashes(np.zeros(1, np.uint64), np.zeros(1, np.uint64), 64).tolist() == []


def test_one_picture_many_times_is_a_chain_and_not_all_pairs() -> None:
    count = 300
    vectors = np.ones((count, 4), np.float32) / 2
    same = evidence_of(["same"] * count, [7] * count, vectors)
    found = candidates_of(same)
    assert are_connected(found, count)
    assert len(found) <= count * (2 + same.spec.audit.neighbours)


def test_one_hash_many_times_is_linked_and_not_all_pairs() -> None:
    count = 300
    alone = np.zeros((count, 4), np.float32)  # no two alike: only hashes speak
    found = candidates_of(evidence_of([str(place) for place in range(count)], [7] * count, alone))
    assert are_connected(found, count)
    assert len(found) <= count * (LINKS + 1)


def test_pairs_come_once_sorted_and_none_with_itself() -> None:
    vectors = np.repeat(np.eye(5, dtype=np.float32), 2, axis=0)
    found = candidates_of(evidence_of(list("aabcdefghi"), random_hashes(10).tolist(), vectors))
    assert found == sorted(set(found)) and all(one < two for one, two in found)
    assert {(0, 1), (2, 3), (4, 5), (6, 7), (8, 9)} <= set(found)


def test_none_and_one_have_no_candidates() -> None:
    assert candidates_of(evidence_of([], [], np.zeros((0, 4), np.float32))) == []
    assert candidates_of(evidence_of(["a"], [1], np.ones((1, 4), np.float32))) == []
