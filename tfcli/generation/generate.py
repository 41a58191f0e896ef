"""The generation loop: prompt in, tokens out, one at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfcli.generation.sampling import choose_token, row_random
from tfcli.text.tokenizer import BEGIN, END

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tfcli.generation.engines.engine import Engine
    from tfcli.generation.request import GenerationRequest
    from tfcli.text.tokenizer import Tokenizer


def generate(
    engine: Engine,
    tokenizer: Tokenizer,
    request: GenerationRequest,
    *,
    many_documents: bool = False,
    notice: Callable[[str], None] = lambda _: None,
) -> Iterator[int]:
    """Yields the tokens of a text that goes on from a prompt.

    It ends at `</s>`, which is not yielded, or at the limit. When the context is full, the model
    goes on with the later half of it in view.

    Args:
        many_documents: whether the model learned from several documents; then an empty prompt
            asks for the beginning of one.
        notice: told once when a prompt is too long, and once when the context is full.

    """
    random = row_random(request.seed)
    ids = tokenizer.encode(request.prompt)
    if not ids and many_documents:
        ids = [END]  # the one before has ended
    ids = [BEGIN, *ids]
    length = engine.context_length
    if len(ids) > length:
        notice(
            f"the prompt has {len(ids) - 1} tokens, the model sees {length - 1} at once: "
            f"it goes on from the last {length - 1}"
        )
        ids = [BEGIN, *ids[len(ids) - length + 1 :]]
    slid = False
    logits = None
    for _ in range(request.max_new_tokens):
        if logits is None:
            logits = engine.prefill(ids)
        elif len(ids) <= length:
            logits = engine.decode(ids[-1])
        else:
            if not slid:
                notice(f"the context of {length} tokens is full: its later half stays in view")
                slid = True
            ids = [BEGIN, *ids[len(ids) - max(1, length // 2) :]]
            logits = engine.prefill(ids[-length:])
        token = choose_token(
            logits, temperature=request.temperature, top_k=request.top_k, random=random
        )
        if token == END:
            return
        yield token
        ids.append(token)
