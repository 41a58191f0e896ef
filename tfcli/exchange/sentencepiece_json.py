"""The SentencePiece model that a `tokenizer.json` was made from.

Those of Llama 1 and 2, TinyLlama, Mistral and Gemma were. Not all say it in the same words: the
space in front of a text is a normalizer in some, in others a pre-tokenizer (`Metaspace`); and the
pairs that make a piece are in either order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tfcli.errors import DataError
from tfcli.exchange.tokenizer_json import PREFIX, SPACES
from tfcli.text.sentencepiece_model import (
    BYTE_PIECE,
    MAX_PIECE_LENGTH,
    SPACE_MARK,
    Algorithm,
    Piece,
    PieceType,
    SentencePieceModel,
    merges,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    Pair = tuple[str, str]

MAX_VOCAB_SIZE = 1 << 20
# There are no spaces any more where this pre-tokenizer, which is Gemma's, looks for them.
NOTHING_TO_SPLIT = {"type": "Split", "pattern": {"String": " "}}
BEGINS, ENDS = ("<s>", "<bos>"), ("</s>", "<eos>")


def from_tokenizer_json(
    value: Any, *, bos: str | None = None, eos: str | None = None, add_bos: bool = True
) -> SentencePieceModel:
    """The pieces of a `tokenizer.json` that was made from a byte-pair model of SentencePiece.

    Args:
        bos, eos: the tokens that begin and end a text; None: as they are usually called.
        add_bos: whether every text begins with `bos`.

    Raises:
        DataError: it is of another kind, or would split some texts differently.

    """
    try:
        _check_settings(value)
        model, added = value["model"], _added(value)
        texts = _texts(model["vocab"], added)
        normal = {text for text in texts if _type(text, added.get(text)) is PieceType.NORMAL}
        given = [_pair(merge) for merge in model["merges"]]
        given = [pair for pair in given if {*pair, "".join(pair)} <= normal]
        ranks = _ranks(given)
        begins = _find(texts, [bos] if bos else BEGINS) if add_bos else -1
        ends = _find(texts, [eos] if eos else ENDS)
        unknown = texts.index(model["unk_token"])
        pieces = SentencePieceModel(
            Algorithm.BPE,
            tuple(
                Piece(
                    text,
                    float(-ranks.get(text, len(ranks))),
                    PieceType.UNKNOWN if i == unknown
                    else PieceType.CONTROL if i in {begins, ends}
                    else _type(text, added.get(text)),
                )
                for i, text in enumerate(texts)
            ),
            dummy_prefix=_has_prefix(value),
            unk_id=unknown, bos_id=begins, eos_id=ends,
        )  # fmt: skip
        _check_merges(pieces, given, ranks)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise _another_kind(f"{type(error).__name__}: {error}") from None
    return pieces


def _check_settings(value: Any) -> None:
    """Raises ValueError if a setting would split texts differently."""
    model = value["model"]
    if model.get("type") != "BPE" or not model.get("byte_fallback"):
        raise ValueError("it is not a byte-pair model with byte fallback")
    for name in ("dropout", "continuing_subword_prefix", "end_of_word_suffix", "ignore_merges"):
        if model.get(name):
            raise ValueError(f"it has the setting {name}")


def _has_prefix(value: Any) -> bool:
    """Whether a space is put in front of a text; raises ValueError where more is done to it."""
    normalizers, scanner = _steps(value.get("normalizer")), value.get("pre_tokenizer")
    if scanner is None or {k: scanner.get(k) for k in NOTHING_TO_SPLIT} == NOTHING_TO_SPLIT:
        if normalizers not in ([SPACES], [PREFIX, SPACES]):
            raise ValueError("it changes the text in a way that SentencePiece does not")
        return len(normalizers) > 1
    if scanner.get("type") != "Metaspace" or scanner.get("split") is not False or normalizers:
        raise ValueError("it has a pre-tokenizer")
    if scanner.get("replacement") != SPACE_MARK:
        raise ValueError("its spaces are not those of SentencePiece")
    scheme = scanner.get("prepend_scheme", "always")
    if scheme not in {"always", "first", "never"}:
        raise ValueError(f"its prepend_scheme is {str(scheme)[:40]!r}")
    return bool(scheme != "never")


def _steps(normalizer: Any) -> Any:
    if normalizer is None:
        return []
    steps: list[Any] = [normalizer]
    return normalizer["normalizers"] if normalizer["type"] == "Sequence" else steps


def _added(value: Any) -> dict[str, tuple[int, bool]]:
    """The id of each added token by its text, and whether it is special."""
    added: dict[str, tuple[int, bool]] = {}
    for token in value.get("added_tokens") or []:
        text, special = token["content"], token["special"] is True
        if not special and any(token.get(each) for each in ("lstrip", "rstrip", "single_word")):
            raise ValueError(f"its token {text[:20]!r} is matched in another way")
        # a normalizer would make a mark of each space in a token; SentencePiece does in all
        added[text if special else text.replace(" ", SPACE_MARK)] = (token["id"], special)
    return added


def _texts(vocab: dict[str, int], added: dict[str, tuple[int, bool]]) -> list[str]:
    """All pieces in the order of their ids."""
    ids = dict(vocab)
    for text, (i, _) in added.items():
        if ids.setdefault(text, i) != i:
            raise ValueError(f"its token {text[:20]!r} has two ids")
    if sorted(ids.values()) != list(range(len(ids))) or len(ids) > MAX_VOCAB_SIZE:
        raise ValueError(f"its ids have gaps, or are more than {MAX_VOCAB_SIZE:,}")
    texts = sorted(ids, key=ids.__getitem__)
    if any(len(text) > MAX_PIECE_LENGTH for text in texts):
        raise ValueError(f"a piece has more than {MAX_PIECE_LENGTH:,} characters")
    for text in texts:
        text.encode()  # fails for a lone surrogate
    return texts


def _find(texts: list[str], names: Any) -> int:
    return next((texts.index(name) for name in names if name in texts), -1)


def _type(text: str, added: tuple[int, bool] | None) -> PieceType:
    if BYTE_PIECE.fullmatch(text):  # also one that marks a gap, which is a special token there
        return PieceType.BYTE
    if added:
        return PieceType.CONTROL if added[1] else PieceType.USER_DEFINED
    return PieceType.NORMAL


def _pair(merge: Any) -> Pair:
    left, right = merge.split(" ") if isinstance(merge, str) else merge
    return left, right


def _ranks(merges: list[Pair]) -> dict[str, int]:
    """When each piece is made: the lower, the earlier.

    Pieces whose pairs are mixed have the same score in SentencePiece, and here the same rank.
    """
    last: dict[str, int] = {}
    for place, pair in enumerate(merges):
        last["".join(pair)] = place
    ranks: dict[str, int] = {}
    rank, end = -1, -1  # of the pieces whose pairs are mixed so far
    for place, pair in enumerate(merges):
        text = "".join(pair)
        if text not in ranks:
            if place > end:
                rank += 1
            ranks[text] = rank
            end = max(end, last[text])
    return ranks


def _check_merges(pieces: SentencePieceModel, given: list[Pair], ranks: dict[str, int]) -> None:
    """Raises ValueError if pairs are merged otherwise than SentencePiece does.

    It merges any two pieces that are a piece together, in the order of the latter's scores. The
    pairs of one piece are in the order of their ids, or by their lengths. Those of added tokens do
    not matter: these are found first.
    """
    ids = {piece.text: i for i, piece in enumerate(pieces.pieces)}
    expected = sorted(
        merges(pieces.pieces), key=lambda pair: (ids["".join(pair)], ids[pair[0]], ids[pair[1]])
    )
    orders: tuple[Callable[[Pair], tuple[int, int]], ...] = (
        lambda pair: (ids[pair[0]], ids[pair[1]]),
        lambda pair: (-len(pair[0]), -len(pair[1])),
        lambda pair: (len(pair[0]), len(pair[1])),
    )
    if not any(
        given == sorted(expected, key=lambda pair: (ranks["".join(pair)], order(pair)))
        for order in orders
    ):
        raise ValueError("its merges are not those of its pieces")


def _another_kind(why: str) -> DataError:
    return DataError(
        "this tokenizer.json was not made from a SentencePiece model",
        why=why[:200],
        hint="add the model's tokenizer.model to the folder, if it has one",
    )
