"""What a model thinks before it answers: `<think>...</think>`, which is not part of its answer."""

from __future__ import annotations

from typing import NamedTuple

BEGIN, END = "<think>", "</think>"


class Said(NamedTuple):
    """A piece of what a model writes."""

    text: str
    thought: bool


class ThinkingFilter:
    """Tells what is thought from what is answered, as it comes.

    Only the beginning of a text is thought. Newlines around the thoughts belong to neither.

    Args:
        possible: whether the model is one that thinks; otherwise all is answered.
        begun: whether the prompt ends with the mark that begins the thoughts.

    """

    def __init__(self, *, possible: bool, begun: bool = False) -> None:
        self._held = ""
        self._place = "end" if not possible else "thought" if begun else "start"
        self._trims = begun  # newlines before the next piece

    @property
    def thinking(self) -> bool:
        """Whether it has not begun to answer."""
        return self._place == "thought"

    def feed(self, text: str) -> list[Said]:
        """What is clear after some more text."""
        text = self._held + text
        self._held = ""
        found: list[Said] = []
        if self._place == "start":
            begun = text.lstrip()
            if begun.startswith(BEGIN):
                text, self._place, self._trims = begun.removeprefix(BEGIN), "thought", True
            elif BEGIN.startswith(begun):
                self._held = text
                return []
            else:
                self._place = "end"
        if self._place == "thought":
            thought, ends, text = text.partition(END)
            if not ends:
                kept = thought[: len(thought) - _overlap(thought)].rstrip("\n")
                self._held, thought = thought[len(kept) :], kept
            self._say(found, thought.rstrip("\n") if ends else thought, thought=True)
            if not ends:
                return found
            self._place, self._trims = "end", True
        self._say(found, text, thought=False)
        return found

    def rest(self) -> list[Said]:
        """What was held back, when the text has ended."""
        held, self._held = self._held, ""
        text = held.rstrip("\n") if self.thinking else held
        return [Said(text, self.thinking)] if text else []

    def _say(self, found: list[Said], text: str, *, thought: bool) -> None:
        if self._trims:
            text = text.lstrip("\n")
        if text:
            self._trims = False
            found.append(Said(text, thought))


def _overlap(text: str) -> int:
    """The length of the end of a text that may be the beginning of `END`."""
    return next((n for n in range(len(END) - 1, 0, -1) if text.endswith(END[:n])), 0)


class Answer(NamedTuple):
    """What a model has written, taken apart.

    Attributes:
        content: what it answers.
        reasoning: what it thought before; may be empty.

    """

    content: str
    reasoning: str

    def to_message(self) -> dict[str, str]:
        """As a turn of the conversation; templates leave out what was thought, or know where."""
        thought = {"reasoning_content": self.reasoning} if self.reasoning else {}
        return {"role": "assistant", "content": self.content, **thought}


def split_answer(text: str, thinking: ThinkingFilter) -> Answer:
    """A complete text, taken apart."""
    return join_answer([*thinking.feed(text), *thinking.rest()])


def join_answer(said: list[Said]) -> Answer:
    """What was thought, and what was answered."""
    return Answer(
        "".join(piece.text for piece in said if not piece.thought),
        "".join(piece.text for piece in said if piece.thought),
    )
