"""Texts in which some special tokens are meant as such, such as `<|im_end|>` of a chat template.

`Tokenizer.encode` takes `<|im_end|>` for what it says, eight or ten letters. `encode_special` makes
the token of it. What a person says in a conversation must not become one, wherever a template puts
it: `Guard` marks it before, with two characters that are nowhere in the conversation.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from tfcli.text.symbol_pattern import symbol_pattern

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tfcli.text.tokenizer import Tokenizer

# Unicode's second and third private areas: no text has a meaning for these characters.
PRIVATE = (*range(0xF0000, 0xFFFFE), *range(0x100000, 0x10FFFE))


def encode_special(tokenizer: Tokenizer, text: str) -> list[int]:
    """The ids of a text whose special tokens are meant as such.

    A text after one of them is encoded as one of its own, as llama.cpp does: with the prefix that
    some tokenizers put in front.
    """
    return Guard((), tokenizer, "").encode(text)


class Guard:
    """Tells the special tokens that a template writes from those that a person has typed.

    Args:
        said: all that people have said.
        template: of the conversation. A text such as `<|user|>` in it that is a single token,
            though one with a text, is also taken for a mark of its own.

    """

    def __init__(self, said: Iterable[str], tokenizer: Tokenizer, template: str) -> None:
        self._tokenizer = tokenizer
        own = {
            text
            for text in re.findall(r"<[^<>\s'\"]{1,60}>|\[/?[A-Z_]{2,40}\]", template)
            if text not in tokenizer.special_ids and len(tokenizer.encode_continuation(text)) == 1
        }
        self._special = _pattern(tokenizer.special_ids)
        self._typed = _pattern({*tokenizer.special_ids, *own})
        used = {char for text in (*said, template) for char in text if ord(char) >= PRIVATE[0]}
        unused = (char for char in map(chr, PRIVATE) if char not in used)
        self._start, self._end = next(unused), next(unused)
        self._marked = re.compile(f"{self._start}({self._typed.pattern}){self._end}")
        self._lone = re.compile(f"[{self._start}{self._end}]")

    def mark(self, value: Any) -> Any:
        """What a person has said, in strings, lists and objects, with marks around such texts.

        So a template can still look for them, trim what is around them, or cut the text there.
        """
        if isinstance(value, str):
            return self._typed.sub(lambda found: self._start + found[0] + self._end, value)
        if isinstance(value, dict):
            return {key: self.mark(each) for key, each in value.items()}
        return [self.mark(each) for each in value] if isinstance(value, list) else value

    def unmark(self, text: str) -> str:
        """A text without marks."""
        return self._lone.sub("", text)

    def encode(self, text: str) -> list[int]:
        """The ids of a rendered text: special tokens where the template wrote them."""
        ids: list[int] = []
        opening = True  # whether a text begins here
        for part, special in self._parts(text):
            if special is not None:
                ids.append(special)
            elif opening:
                ids += self._tokenizer.encode(part)
            else:
                ids += self._tokenizer.encode_continuation(part)
            opening = special is not None
        return ids

    def _parts(self, text: str) -> Iterator[tuple[str, int | None]]:
        """The parts of a text, each with the id of the special token that it is, or None.

        A text that was typed is cut after its first character, so that it is no token.
        """
        place = 0
        for found in self._marked.finditer(text):
            yield from self._written(text[place : found.start()])
            yield found[1][:1], None
            yield found[1][1:], None
            place = found.end()
        yield from self._written(text[place:])

    def _written(self, text: str) -> Iterator[tuple[str, int | None]]:
        """The parts of a text without pairs of marks; lone ones only part it."""
        for piece in self._lone.split(text):
            place = 0
            for found in self._special.finditer(piece):
                if found.start() > place:
                    yield piece[place : found.start()], None
                yield found[0], self._tokenizer.special_ids[found[0]]
                place = found.end()
            if place < len(piece):
                yield piece[place:], None


def _pattern(texts: Iterable[str]) -> re.Pattern[str]:
    """Finds any of the texts; none, where there are none."""
    texts = [text for text in texts if text]
    return symbol_pattern(texts) if texts else re.compile("(?!)")
