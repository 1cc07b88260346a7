"""The page Images: which patches of a page each word of a question matches."""

from __future__ import annotations

from typing import Any

from apps.components import component
from apps.images import image_patches, page_record, printed_page
from apps.pages import Functions, answering, bar
from apps.pages.search import LONGEST_TEXT, question_of
from apps.pictures import FORMATS, MOST_BYTES, Turns, read_page
from apps.text import asked
from apps.workspaces import Workspaces, label
from engine.errors import InputError, NotFoundError
from engine.pictures import check_reads_images


def page(workspaces: Workspaces) -> None:
    """Build the page into the open Blocks.

    Args:
        workspaces: Whose texts can be printed, and whose models are offered.
    """
    bar()
    images = ImagePage(workspaces)
    component("images", None, [images.start, images.printed, images.picture])


class ImagePage(Functions):
    """Matches words with patches; nothing of a picture is kept."""

    def __init__(self, workspaces: Workspaces) -> None:
        super().__init__(workspaces)
        self.turns = Turns()

    @answering
    def start(self, request: dict[str, Any]) -> dict[str, Any]:
        """What the page needs first.

        Args:
            request: "on", the key of the workspace; the first one without it.

        Returns:
            See `Workspaces.about`; models, limits, and an example.
        """
        workspace = self.workspaces.of(request)
        collection = workspace.collection
        query = next(iter(collection.judged_queries), None)
        grades = collection.qrels.get(query or "", {})
        first = self.workspaces.models.offered()[0]
        reads = "image" in getattr(workspace.encoder.model, "modalities", [])
        return {
            **self.workspaces.about(request), "image_model": first["name"] if reads else "",
            "formats": [f".{name.lower()}" for name in FORMATS] + [".jpg", ".pdf"], "bytes": MOST_BYTES,
            "question": collection.queries[query] if query else "what is this about",
            "document": max(grades, key=lambda name: grades[name]) if grades else next(iter(collection.documents)),
        }  # fmt: skip

    @answering
    def printed(self, request: dict[str, Any]) -> dict[str, Any]:
        """Print a document, or a text, on a page and match a question with its patches.

        Args:
            request: "question", and "text" or "document".

        Returns:
            See `page_record`; and the "text".
        """
        workspace, question = self.workspaces.of(request), question_of(request)
        text, name = asked(request, "text"), asked(request, "document")
        if len(text) > LONGEST_TEXT:
            raise InputError(f"Expected a text of at most {LONGEST_TEXT:,} characters, got {len(text):,}: shorten it.")
        if not text.strip():
            if name not in workspace.collection.documents:
                raise NotFoundError(f"No document is called {name!r}: take one from the results of a search.")
            text = workspace.collection.documents[name]
        text = text.encode("utf-8", "replace").decode()
        patches = printed_page(workspace.encoder, text)
        return {**page_record(workspace.encoder, question, patches), "model": label(workspace.encoder.name)}

    @answering
    def picture(self, request: dict[str, Any]) -> dict[str, Any]:
        """Match a question with the patches of a picture, or of a page of a PDF.

        Args:
            request: "question", "image" (a data URL), "page" (of a PDF, from 1) and "model".

        Returns:
            See `page_record`; and the "page" of how many "pages".
        """
        question, model = question_of(request), asked(request, "model").strip()
        if not model:
            raise InputError("Name a model that reads images, such as vidore/colpali-v1.3-hf.")
        with self.turns.turn():
            encoder = self.workspaces.models.get(model)
            check_reads_images(encoder)
            image, page, pages = read_page(request.get("image"), request.get("page"))
            patches = image_patches(encoder, image)
            return {**page_record(encoder, question, patches), "model": label(model), "page": page, "pages": pages}
