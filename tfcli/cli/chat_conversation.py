"""`tfcli generate -i --chat`: a conversation with a model, turn by turn."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tfcli.cli import streams
from tfcli.cli.chat_output import AnswerOut
from tfcli.cli.dialogue import Dialogue
from tfcli.cli.interactive import Conversation
from tfcli.cli.line_editing import HELP
from tfcli.errors import TfcliError, UsageError
from tfcli.generation.streaming import make_visible
from tfcli.generation.thinking import ThinkingFilter
from tfcli.quantities import counted

if TYPE_CHECKING:
    from collections.abc import Callable

    from tfcli.generation.chat import Chat
    from tfcli.generation.generate import Generator
    from tfcli.generation.request import GenerationRequest

CHAT_HELP = {
    "a line": "say this, and let the model answer; empty: let it continue its answer",
    "line \\": HELP["line \\"],
    "Ctrl-C": HELP["Ctrl-C"],
    "/retry": "let the model answer again, with another seed",
    "/retry N": "N answers to choose from; the last one stands until /take",
    "/take K": HELP["/take K"],
    "/undo": "remove the last line and its answer, or bring back the conversation before /new or "
    "/load; /undo N: N times",
    "/new": "start a new conversation, which belongs to no file yet; the system prompt stays",
    "/system TEXT": "change the system prompt, which tells the model how to answer; without TEXT, "
    "remove it",
    "/show": HELP["/show"] + "; and the system prompt",
    "/set NAME VALUE": HELP["/set NAME VALUE"],
    "/set NAME": HELP["/set NAME"],
    "/load FILE": "continue the conversation in a file",
    "/save FILE": "write the conversation to a file, as JSON; without a name, to the one it was "
    "loaded from or saved to",
    "/quit": HELP["/quit"],
}

CUT = "the answer was cut off; press Enter to continue it, /set max_new_tokens gives more room"
CUT_THOUGHT = "cut off before there was an answer; /set max_new_tokens gives more room, then /retry"


class ChatConversation(Conversation):
    """A conversation of a person and a model.

    Args:
        name: of the model, for terminals without colors.

    """

    help = CHAT_HELP
    _draft: Dialogue

    def __init__(
        self,
        generator: Generator,
        request: GenerationRequest,
        reporter: streams.Reporter,
        notes: streams.DeferredNotes,
        *,
        chat: Chat,
        system: str | None,
        name: str,
    ) -> None:
        super().__init__(generator, request, reporter, notes)
        self._draft = Dialogue(system)
        self._chat, self._name = chat, name

    def _invitation(self) -> str:
        return "Say something"

    def _commands(self) -> dict[str, Callable[[str], None]]:
        return {**super()._commands(), "/system": self._system}

    def _answer(self, line: str) -> None:
        if line.strip():
            super()._answer(line)
        elif self._draft.is_answered and self._draft.turns[-1].get("content"):
            self._continue()
        else:
            hint = "/retry" if self._draft.turns else None
            raise UsageError("there is no answer to continue", hint=hint)

    def _continue(self, lead: str | None = None) -> None:  # noqa: ARG002 (an answer is shown alone)
        """Lets the model answer, until it ends or Ctrl-C."""
        from tfcli.generation.generate import Finished, RequestList

        goes_on = self._draft.is_answered
        try:
            request = self._chat.request(self._draft.messages, self._request)
        except TfcliError:  # what the template refuses is not said
            if not goes_on:
                self._draft.undo()
            raise
        self._request = replace(self._request, row=self._request.row + 1)
        out = AnswerOut(
            ThinkingFilter(possible=False) if goes_on else self._chat.thinking_filter(request),
            name="" if goes_on else self._name,
        )
        try:
            for event in self._generator.stream(RequestList([request])):
                out.write(event.data)
                if isinstance(event, Finished) and event.reason == "length":
                    self._notes(CUT if out.answer.content else CUT_THOUGHT)
                if isinstance(event, Finished) and event.reason == "incomplete":
                    self._notes("incomplete: the required format was not matched")
        except KeyboardInterrupt:
            self._reporter.note("")
        finally:
            out.close()
            self._notes.release()
            self._draft.add_answer(out.answer)

    def _begin(self, _: str) -> None:
        left = self._draft.path if self._draft.unsaved else None
        self._draft.begin("")
        self._chat.forget()
        unsaved = f"; /undo brings back {left}, which has unsaved changes" if left else ""
        self._reporter.note(f"New conversation{unsaved}.")

    def _show_tail(self) -> None:
        """Where the conversation stands: what was said last, and the answer."""
        for message in self._draft.turns[-2:]:
            content = message.get("content")
            said = content if isinstance(content, str) else "..."
            if message["role"] == "assistant":
                out = AnswerOut(ThinkingFilter(possible=False), name=self._name)
                out.write(said.encode())
                out.close()
            else:
                streams.write_result(f"> {make_visible(said)}\n".encode())
        if not self._draft.turns:
            self._reporter.note("New conversation.")

    def _size(self) -> str:
        return counted(len(self._draft.messages), "message")

    def _show(self, words: str) -> None:
        if self._draft.system is not None:
            self._reporter.note(f"System prompt: {self._draft.system}")
        super()._show(words)

    def _system(self, text: str) -> None:
        before, self._draft.system = self._draft.system, text or None
        if text:
            self._reporter.note("System prompt changed; /retry answers with it.")
        elif before is None:
            self._reporter.note("There is no system prompt.")
        else:
            self._reporter.note(f"System prompt removed: {before}")
