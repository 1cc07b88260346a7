"""Fixed dimensional encodings: against a plain version, another package, and what the paper says of them."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import TokenEmbeddings, maxsim
from engine.errors import InputError
from engine.muvera import FORMS, Muvera, MuveraSettings
from engine.simd import threads
from tests.conftest import ragged

RNG = np.random.default_rng(5)
DOCUMENTS = ragged(RNG, [*RNG.integers(1, 40, 60).tolist(), 0, 90], 20)
QUERIES = ragged(RNG, [5, 8, 1], 20)
SMALL = MuveraSettings(dim=640, k_sim=3, projection=8, repetitions=10)


def plain(muvera: Muvera, tokens: np.ndarray, document: bool) -> np.ndarray:
    """One text as the paper writes it, token by token, in float64."""
    layout, found = muvera.layout, []
    for turn in range(layout.repetitions):
        projection = muvera.projections[turn if len(muvera.projections) > 1 else 0].astype(np.float64)
        bits = (tokens @ muvera.planes[turn].T > 0).astype(np.int64)
        codes = bits @ (1 << np.arange(layout.k_sim))
        for part in range(1 << layout.k_sim):
            mine = tokens[codes == part]
            if len(mine):
                vector = mine.mean(axis=0) if document else mine.sum(axis=0)
            elif document:
                wanted = (part >> np.arange(layout.k_sim)) & 1
                vector = tokens[np.argmin((bits != wanted).sum(axis=1))]
            else:
                vector = np.zeros(tokens.shape[1])
            found.append(projection @ vector)
    whole = np.concatenate(found) / (1 if document else layout.repetitions)
    if len(muvera.buckets) == 0:
        return whole
    out = np.zeros(layout.dim)
    np.add.at(out, muvera.buckets, muvera.flips * whole)
    return out


@pytest.mark.parametrize(
    "chosen",
    [
        SMALL,
        replace(SMALL, repetitions=25),  # with a final projection
        MuveraSettings(dim=800, k_sim=2, projection=20, repetitions=10),  # vectors as they are
        MuveraSettings(dim=1536, k_sim=6, projection=3, repetitions=8),
    ],
)
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_equals_the_plain_version(chosen, dtype):
    muvera = Muvera.make(20, chosen)
    documents = DOCUMENTS.astype(dtype)
    for texts, encode, document in (
        (documents, muvera.encode_document, True),
        (QUERIES.astype(dtype), muvera.encode_query, False),
    ):
        expected = [
            plain(muvera, tokens.astype(np.float64), document) if len(tokens) else np.zeros(chosen.dim)
            for tokens in texts
        ]
        np.testing.assert_allclose(encode(texts), expected, atol=2e-6)


def test_wide_vectors_and_projections_are_cut_into_panels():
    wide = ragged(np.random.default_rng(1), [7, 3], 100)
    for projection in (40, 100):
        muvera = Muvera.make(100, MuveraSettings(dim=8 * projection * 4, k_sim=3, projection=projection))
        expected = [plain(muvera, tokens.astype(np.float64), True) for tokens in wide]
        np.testing.assert_allclose(muvera.encode_document(wide), expected, atol=5e-6)


def test_equals_another_package_on_the_same_hyperplanes(monkeypatch):
    """muvera-python with our random numbers, its numbers of parts translated.

    It numbers a part by running sums of its bits, but takes the bits back from the number by running sums again instead
    of differences (0.2.0), so that it fills empty parts from others than the nearest: here its way back is mended.
    """
    package = pytest.importorskip("muvera")
    theirs, helper = pytest.importorskip("muvera.muvera"), pytest.importorskip("muvera.helper")
    muvera = Muvera.make(20, MuveraSettings(dim=4 * 16 * 8, k_sim=4, projection=8, repetitions=4))
    planes, projections = (
        {turn: np.ascontiguousarray(arrays[turn].T) for turn in range(4)}
        for arrays in (muvera.planes, muvera.projections)
    )
    monkeypatch.setattr(theirs, "simhash_matrix_from_seed", lambda dim, k, seed: planes[seed])
    monkeypatch.setattr(theirs, "ams_projection_matrix_from_seed", lambda dim, to, seed: projections[seed])
    monkeypatch.setattr(package, "_RUST_AVAILABLE", False)  # its Rust does the same, and cannot be mended
    for module in (theirs, helper):
        monkeypatch.setattr(module, "gray_code_to_binary", lambda number: number ^ (number >> 1))
    peer = theirs.Muvera(4, 4, 20, "ams_sketch", 8, True, None, seed=0)
    bits = np.arange(16)[:, None] >> np.arange(4) & 1
    number = np.bitwise_xor.accumulate(bits, axis=1) @ (8 >> np.arange(4))  # of our parts, among theirs
    filled = DOCUMENTS.select(np.flatnonzero(DOCUMENTS.lengths))
    for texts, ours, reference in (
        (filled, muvera.encode_document(filled), peer.encode_documents),
        (QUERIES, muvera.encode_query(QUERIES) * 4, peer.encode_queries),
    ):
        expected = np.asarray(reference([np.asarray(tokens) for tokens in texts])).reshape(-1, 4, 16, 8)
        np.testing.assert_allclose(ours.reshape(expected.shape), expected[:, :, number], atol=1e-5)


@given(seed=st.integers(0, 2**32 - 1), planes=st.integers(1, 6), dim=st.integers(3, 40))
@settings(max_examples=25, deadline=None)
def test_one_token_each_gives_their_product_exactly(seed, planes, dim):
    """In one part of space or filled from another one, a document of one token is that token everywhere."""
    rng = np.random.default_rng(seed)
    query, document = ragged(rng, [1], dim, unit=False), ragged(rng, [1], dim, unit=False)
    muvera = Muvera.make(dim, MuveraSettings(dim=(dim << planes) * 8, k_sim=planes, projection=dim, seed=seed))
    product = (muvera.encode_query(query) @ muvera.encode_document(document).T).item()
    assert product == pytest.approx(float(query.values[0] @ document.values[0]), abs=1e-4)


@given(seed=st.integers(0, 2**32 - 1), lengths=st.lists(st.integers(1, 9), min_size=2, max_size=5))
@settings(max_examples=25, deadline=None)
def test_queries_add_up_token_by_token_and_by_their_lengths(seed, lengths):
    rng = np.random.default_rng(seed)
    muvera = Muvera.make(20, SMALL)
    query = ragged(rng, [sum(lengths)], 20, unit=False)
    parts = TokenEmbeddings(query.values, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))
    np.testing.assert_allclose(muvera.encode_query(parts).sum(axis=0), muvera.encode_query(query)[0], atol=1e-5)
    heavier = TokenEmbeddings(query.values * np.float32(2.5), query.offsets)
    np.testing.assert_allclose(muvera.encode_query(heavier), 2.5 * muvera.encode_query(query), atol=1e-5)


def clustered(rng: np.random.Generator, texts: int, tokens: int, dim: int) -> TokenEmbeddings:
    """Tokens near one of 40 words: what text has and random vectors lack, a near token for each of a query's."""
    words = np.random.default_rng(0).standard_normal((40, dim))
    values = words[rng.integers(0, 40, texts * tokens)] + 0.4 * rng.standard_normal((texts * tokens, dim))
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    return TokenEmbeddings(values.astype(np.float32), np.arange(0, texts * tokens + 1, tokens, dtype=np.int64))


def test_error_falls_as_the_dimension_grows():
    rng = np.random.default_rng(3)
    documents, queries = clustered(rng, 150, 30, 32), clustered(rng, 20, 8, 32)
    truth = maxsim(queries, documents)
    errors, kept = [], []
    for repetitions in (2, 8, 32, 128):
        muvera = Muvera.make(32, MuveraSettings(dim=repetitions * 512, k_sim=5, projection=16))
        found = muvera.encode_query(queries) @ muvera.encode_document(documents).T
        errors.append(np.mean([np.std(row) for row in found - truth]))
        best, among = np.argsort(-truth, axis=1)[:, :5], np.argsort(-found, axis=1)[:, :30]
        kept.append(np.mean([np.isin(*rows).mean() for rows in zip(best, among, strict=True)]))
    assert errors == sorted(errors, reverse=True)
    assert kept == sorted(kept)
    assert kept[-1] > 0.9 > kept[0]


def test_a_final_projection_keeps_products_on_average():
    rng = np.random.default_rng(8)
    documents, queries = clustered(rng, 100, 20, 32), clustered(rng, 10, 8, 32)
    whole = Muvera.make(32, MuveraSettings(dim=20 * 512, k_sim=5, projection=16))
    short = Muvera.make(32, MuveraSettings(dim=2048, k_sim=5, projection=16, repetitions=20))
    products = [m.encode_query(queries) @ m.encode_document(documents).T for m in (whole, short)]
    assert short.encode_query(queries).shape == (10, 2048)
    assert np.corrcoef(products[0].ravel(), products[1].ravel())[0, 1] > 0.7
    assert abs(np.mean(products[0] - products[1])) < 0.1


@pytest.mark.parametrize("form", FORMS)
def test_forms_keep_the_scores(form):
    muvera = Muvera.make(20, replace(SMALL, form=form))
    kept, queries = muvera.encode(DOCUMENTS), muvera.encode_query(QUERIES)
    exact = queries @ muvera.encode_document(DOCUMENTS).T
    full = np.flatnonzero(DOCUMENTS.lengths)
    scores = kept.scores(queries)
    atol = {"float32": 1e-5, "float16": 1e-3, "int8": 0.02, "1bit": 1.5}[form]
    np.testing.assert_allclose(scores[:, full], exact[:, full], atol=atol)
    assert np.corrcoef(scores[:, full].ravel(), exact[:, full].ravel())[0, 1] > (0.8 if form == "1bit" else 0.999)
    assert np.isneginf(scores[:, DOCUMENTS.lengths == 0]).all()
    assert kept.nbytes == len(DOCUMENTS) * muvera.settings.bytes_per_document


@pytest.mark.parametrize("form", ["int8", "1bit"])
def test_scores_are_those_of_the_stored_numbers(form):
    """Decoded and multiplied in float64: queries are not rounded."""
    muvera = Muvera.make(20, replace(SMALL, form=form))
    kept, queries = muvera.encode(DOCUMENTS), muvera.encode_query(QUERIES)
    if form == "int8":
        numbers = kept.rows.astype(np.float64) - 128
    else:
        numbers = np.unpackbits(kept.rows[:, None, :], axis=1, bitorder="little").reshape(len(kept), -1) * 2.0 - 1
    expected = queries.astype(np.float64) @ (numbers * kept.scales[:, None].astype(np.float64)).T
    full = np.flatnonzero(DOCUMENTS.lengths)
    np.testing.assert_allclose(kept.scores(queries)[:, full], expected[:, full], atol=1e-4)


@pytest.mark.parametrize("form", FORMS)
def test_the_same_at_any_number_of_threads_and_in_any_blocks(form, monkeypatch):
    muvera = Muvera.make(20, replace(SMALL, form=form))
    queries, found = muvera.encode_query(QUERIES), []
    for count, block in ((1, 1 << 26), (3, 4 * 640 * 7)):
        monkeypatch.setattr("engine.muvera.encoding.BLOCK_BYTES", block)
        with threads.use_threads(count):
            kept = muvera.encode(DOCUMENTS)
            found.append((kept.rows.tobytes(), kept.scales.tobytes(), kept.scores(queries).tobytes()))
    assert found[0] == found[1]


def test_search_breaks_ties_as_told_and_looks_only_where_told():
    twins = TokenEmbeddings.from_list([QUERIES[0], DOCUMENTS[2], QUERIES[0], DOCUMENTS[3][:0], QUERIES[0]])
    muvera = Muvera.make(20, SMALL)
    kept, queries = muvera.encode(twins), muvera.encode_query(QUERIES[:1])
    assert kept.search(queries, 2)[0][0].tolist() == [0, 2]
    assert kept.search(queries, 2, tie_order=np.array([4, 3, 2, 1, 0]))[0][0].tolist() == [4, 2]
    assert kept.search(queries, 9)[0][0].tolist() == [0, 2, 4, 1]  # one without tokens is never found
    among, scores = kept.search(queries, 9, tie_order=np.array([4, 3, 2, 1, 0]), among=np.array([0, 1, 4]))[0]
    assert among.tolist() == [4, 0, 1]
    np.testing.assert_array_equal(scores, kept.scores(queries)[0, among])


def test_a_seed_decides_everything():
    first, again, other = (Muvera.make(20, replace(SMALL, repetitions=20, seed=seed)) for seed in (1, 1, 2))
    encoded = [muvera.encode_document(DOCUMENTS).tobytes() for muvera in (first, again, other)]
    assert encoded[0] == encoded[1] != encoded[2]


@pytest.mark.parametrize(
    ("chosen", "layout"),
    [({"dim": 10240}, (5, 20, 16)), ({"dim": 5120}, (5, 20, 8)), ({"dim": 2560}, (4, 20, 8)),
     ({"dim": 1280}, (3, 20, 8)),
     ({"dim": 1024, "k_sim": 2, "projection": 4}, (2, 64, 4)), ({"dim": 1000, "repetitions": 30}, (3, 30, 8))],
)  # fmt: skip
def test_a_dimension_is_spent_as_the_paper_does(chosen, layout):
    found = MuveraSettings(**chosen).layout(128)
    assert (found.k_sim, found.repetitions, found.projection) == layout


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ({"dim": 10000}, "take 9984 or 10240"),
        ({"dim": 8}, "take 64"),
        ({"dim": 12}, "multiple of 8.*take 16"),
        ({"dim": 0}, "dim as a whole number of 1 or more"),
        ({"dim": 1 << 17}, "at most 65536"),
        ({"dim": 2560, "projection": 64}, "at most 20"),
        ({"dim": 2560, "repetitions": 3}, "raise repetitions to 20"),
        ({"k_sim": 11}, "at most 10"),
        ({"k_sim": -1}, "k_sim as a whole number of 0 or more"),
        ({"form": "int4"}, "choose among float32"),
        ({"seed": -1}, "seed"),
        ({"repetitions": -2}, "repetitions"),
    ],
)
def test_refuses_settings_that_make_no_encoding(chosen, words):
    with pytest.raises(InputError, match=words):
        Muvera.make(20, MuveraSettings(**chosen))


def test_refuses_vectors_that_do_not_fit():
    muvera = Muvera.make(20, SMALL)
    with pytest.raises(InputError, match=r"dimension 20.*got 8"):
        muvera.encode_query(ragged(RNG, [3], 8))
    broken = DOCUMENTS.select([0, 1])
    broken.values[0, 0] = np.nan
    with pytest.raises(InputError, match="finite"):
        muvera.encode(broken)
    with pytest.raises(InputError, match=r"\[m, 640\]"):
        muvera.encode(DOCUMENTS).scores(np.zeros((1, 320), np.float32))
    assert muvera.encode(DOCUMENTS.select([])).scores(np.zeros((2, 640), np.float32)).shape == (2, 0)
