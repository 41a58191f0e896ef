"""What other programs call the keys of a request: those of OpenAI, transformers, vLLM, llama.cpp.

As `tfcli.cli.other_names` has it for the command line. Aliases, which work, are not here.
"""

from __future__ import annotations

COMMAND_LINE = "on the command line, for all requests"
ANSWERS = "leave it out: every answer has them"

OTHER_KEYS: dict[str, str] = {
    "text": "'prompt'",
    "input": "'prompt'",
    "inputs": "'prompt'",
    "content": "'prompt'",
    "messages": "'prompt', with the conversation as one text",
    "custom_id": "'id'",
    "request_id": "'id'",
    "max_completion_tokens": "'max_new_tokens'",
    "max_length": "'max_new_tokens'",
    "n_predict": "'max_new_tokens'",
    "num_predict": "'max_new_tokens'",
    "stop_sequences": "'stop'",
    "stop_strings": "'stop'",
    "repeat_penalty": "'repetition_penalty'",
    "typical": "'typical_p'",
    "random_seed": "'seed'",
    "do_sample": "'greedy', its opposite",
    "response_format": "'json_schema'",
    "guided_json": "'json_schema'",
    "guided_regex": "'regex'",
    "guided_choice": "'choices'",
    "grammar": "'regex' or 'json_schema'",
    "n": f"-n {COMMAND_LINE}",
    "samples": f"-n {COMMAND_LINE}",
    "best_of": f"-n {COMMAND_LINE}",
    "num_return_sequences": f"-n {COMMAND_LINE}",
    "num_beams": f"--num-beams {COMMAND_LINE}",
    "echo": f"--echo {COMMAND_LINE}",
    "model": f"--run {COMMAND_LINE}",
    "run": f"--run {COMMAND_LINE}",
    "timeout": f"--max-time {COMMAND_LINE}",
    "max_time": f"--max-time {COMMAND_LINE}",
    "logprobs": ANSWERS,
    "return_tokens": ANSWERS,
    "stream": "leave it out: an answer is written once it is complete",
}


def meant_key(key: str) -> str | None:
    """What to write in place of a key of another program, as a hint."""
    plain = key.lower().replace("-", "_")
    meant = OTHER_KEYS.get(plain) or OTHER_KEYS.get(plain.removesuffix("s"))
    return f"did you mean {meant}?" if meant and meant.startswith("'") else meant
