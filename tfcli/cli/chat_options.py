"""What `generate --chat` begins with."""

from __future__ import annotations

from dataclasses import dataclass

from tfcli.options import OptionError, Options, option

CHAT = "Chat"


@dataclass(frozen=True, kw_only=True)
class ChatOptions(Options):
    """Whether the prompt is a turn of a conversation, and what is said in front of it."""

    chat: bool = option(
        False, panel=CHAT, conflicts=("unconditional", "special", "raw"),
        help="Answer the prompt as the model's chat template has it; with -i, a conversation.",
    )  # fmt: skip
    system: str | None = option(
        None, metavar="TEXT", panel=CHAT,
        help="With --chat: the system prompt, which tells the model how to answer.",
    )  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        try:
            (self.system or "").encode()
        except UnicodeEncodeError:  # bytes of the command line that were not UTF-8
            raise OptionError("system", "is not valid UTF-8") from None
