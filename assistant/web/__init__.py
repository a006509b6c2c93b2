"""The pages around the chat: signing in, the account, and the work of admins. Plain HTML over the API."""

from assistant.web.app import mount

__all__ = ["mount"]
