"""A chat assistant over your own documents that becomes more faithful to them while it is used."""

__version__ = "0.1.0"
