"""Whatever the model prefers, a text is made of whole characters, wherever it ends."""

from __future__ import annotations

import codecs

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.generation.conftest import numpy_engine, random_model
from tfcli.generation.beam import beam_search
from tfcli.generation.characters import LACKING, START, CharacterMask, state_after
from tfcli.generation.generate import Generator, RequestList, TokenEvent
from tfcli.generation.request import GenerationRequest, Sampling
from tfcli.model.config import named_config
from tfcli.text.tokenizer import Tokenizer
from tfcli.text.tokenizer_training import train_tokenizer

interesting = st.one_of(
    st.binary(max_size=5),
    st.text(max_size=2).map(str.encode),
    st.lists(st.sampled_from([0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2,
                              0xDF, 0xE0, 0xED, 0xEF, 0xF0, 0xF4, 0xF5, 0xFF]), max_size=4)
    .map(bytes),
)  # fmt: skip


@given(interesting)
def test_bytes_may_follow_if_they_begin_valid_utf8(data: bytes) -> None:
    """As Python's own incremental decoder has it."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        decoder.decode(data)
    except UnicodeDecodeError:
        assert state_after(START, data) is None
        return
    state = state_after(START, data)
    assert state is not None
    pending = decoder.getstate()[0]
    assert (state == START) == (pending == b"")
    shortest = next(n for n in range(4) if _can_be_finished(pending, n))
    assert LACKING[state] == shortest


def _can_be_finished(pending: bytes, count: int) -> bool:
    fillers = (b"", b"\x80", b"\xa0", b"\x90")
    for second in fillers[1:] if count else fillers[:1]:
        try:
            (pending + second + b"\x80" * (count - 1)).decode()
        except UnicodeDecodeError:
            continue
        return True
    return False


def test_tokens_of_several_bytes_across_characters_are_followed() -> None:
    """As in byte-level BPE, where a token may end one character and begin the next."""
    vocabulary = [b"", b"a", b"\xe6\x97", b"\xa5\xe6", b"\x97\xa5", b"\xa5", "日".encode(), b"\xff"]
    mask = CharacterMask(vocabulary)

    def possible(state: int, room: int = 9) -> set[bytes]:
        logits = mask.allow(np.zeros((1, len(vocabulary))), [state], [room])
        return {vocabulary[i] for i in np.isfinite(logits[0]).nonzero()[0]}

    assert possible(START) == {b"", b"a", b"\xe6\x97", "日".encode()}
    assert possible(START, room=1) == {b"", b"a", "日".encode()}
    within = mask.state_after(START, 2)
    assert possible(within) == {b"\xa5\xe6", b"\xa5"}
    assert possible(within, room=1) == {b"\xa5"}
    assert possible(mask.state_after(within, 3)) == {b"\x97\xa5", b"\xa5"}
    assert possible(mask.state_after(within, 3), room=1) == {b"\x97\xa5"}
    assert mask.state_after(within, 5) == START


@pytest.mark.parametrize("beams", [0, 3])
def test_text_is_valid_utf8_cut_at_every_length(tokenizer: Tokenizer, beams: int) -> None:
    """A vocabulary with few characters, so that a random model spells most of them in bytes."""
    config = named_config(
        "nano", vocab_size=tokenizer.vocab_size, context_length=64, num_layers=1, d_model=32,
        num_heads=2, tied_head=False,
    )  # fmt: skip
    model = random_model(config)
    with_bytes = 0
    for length in range(1, 13):
        engine = numpy_engine(model, max(8, beams))
        generator = Generator(engine, tokenizer, rows=8)
        requests = [
            GenerationRequest(
                prompt="é", max_new_tokens=length, seed=3, row=row,
                sampling=Sampling(temperature=3.0, top_k=0),
            )
            for row in range(40)
        ]  # fmt: skip
        written: dict[int, list[int]] = {row: [] for row in range(40)}
        if beams:
            found = beam_search(
                engine, tokenizer, generator.read_prompt(requests[0], most_taken=1)[0], beams=beams,
                max_new_tokens=length, logits_processor=generator.logits_processor(requests[0]),
            )  # fmt: skip
            written = {row: list(text.tokens) for row, text in enumerate(found)}
        else:
            for event in generator.stream(RequestList(requests)):
                if isinstance(event, TokenEvent):
                    written[event.index].append(event.token)
        for tokens in written.values():
            tokenizer.decode_continuation(tokens).decode()  # raises if it is not valid
            with_bytes += sum(token in tokenizer.byte_ids for token in tokens)
    assert with_bytes > 20


@pytest.mark.slow
def test_ten_thousand_samples_of_a_vocabulary_of_bytes_are_valid_utf8() -> None:
    """Japanese, emoji and a dash, none of which has a token; cut at every length."""
    text = "日本語の本—🦊と🐻‍❄️。\n" * 50
    tokenizer, _ = train_tokenizer([b"a" * 100], text_bytes=100, vocab_size=260)
    assert set(tokenizer.encode(text)) <= tokenizer.byte_ids | set(tokenizer.encode("\n"))
    config = named_config(
        "nano", vocab_size=tokenizer.vocab_size, context_length=64, num_layers=1, d_model=32,
        num_heads=2, tied_head=False,
    )  # fmt: skip
    generator = Generator(numpy_engine(random_model(config), 64), tokenizer, rows=64)
    samples = [bytearray() for _ in range(10_000)]
    requests = (
        GenerationRequest(
            prompt="日本語—🦊"[row % 6 :], max_new_tokens=1 + row % 24, seed=3, row=row,
            sampling=Sampling(temperature=3.0, top_k=0), ignore_eos=True,
        )
        for row in range(len(samples))
    )  # fmt: skip
    for event in generator.stream(RequestList(requests)):
        samples[event.index] += event.data
    for row, sample in enumerate(samples):
        sample.decode()  # raises if it is not valid
        assert 1 <= len(sample) <= 1 + row % 24
    assert sum(not sample.isascii() for sample in samples) > 5_000
