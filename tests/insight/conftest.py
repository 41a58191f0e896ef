"""A small model and its tokenizer, as the tests of generation have them."""

from tests.generation.conftest import model, tokenizer

__all__ = ["model", "tokenizer"]
