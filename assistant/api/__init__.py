"""The HTTP API: OpenAI's chat on the person's documents, and everything that the page and the command line do."""

from assistant.api.app import create

__all__ = ["create"]
