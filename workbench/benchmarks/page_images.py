"""Pages as pictures, prepared like texts: their vectors are made once and kept."""

from __future__ import annotations

import hashlib

from engine import Encoder
from engine.errors import InputError
from engine.pictures import check_reads_images, encode_pictures
from engine.reading.page_images import Pages, read_vidore
from workbench.benchmarks.catalogue import page_dataset
from workbench.cache import cached_pictures
from workbench.experiments.prepare import Prepared, prepare


def prepare_pages(task: str, place: str, model: str, device: str) -> Prepared:
    """The pages of a task of ViDoRe with their vectors.

    Args:
        task: Of ViDoRe, a language behind a slash where the task has several ("esg_reports_v2/english"); or any dataset
            in its layout, "owner/name".
        place: A folder of such datasets, or an owner on the hub; "" for the known ones.
        model: For `Encoder.load`: one that reads images.
        device: Where it runs.

    Returns:
        The collection of its pages, with vectors of pages and questions.

    Raises:
        UnsupportedError: the model reads text only.
        NotFoundError: its data are not here and cannot be fetched.
    """
    encoder = Encoder.load(model, device=device)
    check_reads_images(encoder)
    return pages_with_vectors(read_vidore(page_dataset(task, place)), encoder)


def pages_with_vectors(pages: Pages, encoder: Encoder) -> Prepared:
    """Pages and the questions about them with their vectors, as experiments take them.

    Args:
        pages: Read.
        encoder: Reads images.

    Returns:
        The collection with its vectors.

    Raises:
        InputError: nothing is asked of them.
    """
    if not pages.collection.queries:
        raise InputError(f"{pages.collection.name!r} has no queries, so nothing can be asked: search them instead.")
    digests = []
    for name in pages.collection.documents:
        picture = pages.draw(name)
        digests.append(hashlib.blake2b(f"{picture.size}".encode() + picture.tobytes(), digest_size=16).hexdigest())
    drawn = (pages.draw(name) for name in pages.collection.documents)
    documents = cached_pictures(encoder, digests, lambda: encode_pictures(encoder, drawn))
    queries = encoder.encode_query(list(pages.collection.queries.values()))
    return prepare(pages.collection, encoder.name, documents, queries)
