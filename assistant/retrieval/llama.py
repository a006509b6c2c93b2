"""The search as a LlamaIndex retriever, for query engines, post-processors and evaluators of that framework.

Nothing in the program imports this module: LlamaIndex takes seconds to import.
"""

from __future__ import annotations

from collections.abc import Sequence

from llama_index.core.retrievers import BaseRetriever
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode

from assistant.records import Passage
from assistant.retrieval.search import Search


class PassageRetriever(BaseRetriever):
    """Finds passages for somebody who may see ``scopes``, limited to ``document_ids`` if there are any."""

    def __init__(self, search: Search, *, scopes: Sequence[str], document_ids: Sequence[int] = ()) -> None:
        super().__init__()
        self._search = search
        self._scopes = scopes
        self._document_ids = document_ids

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        found = self._search.search(query_bundle.query_str, scopes=self._scopes, document_ids=self._document_ids)
        return [NodeWithScore(node=_node(passage), score=passage.score) for passage in found.passages]


def _node(passage: Passage) -> TextNode:
    return TextNode(
        id_=f"{passage.document_id}:{passage.start}-{passage.end}",
        text=passage.text,
        start_char_idx=passage.start,
        end_char_idx=passage.end,
        metadata={"document": passage.document, "document_id": passage.document_id, "page": passage.page},
    )
