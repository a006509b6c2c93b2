"""Measures answers: Ragas metrics with the bundled judge or a language model, and figures that need no judge at all."""
