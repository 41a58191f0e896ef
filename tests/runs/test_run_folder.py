"""Runs: begun once, found by what a person calls them, and read past what is damaged."""

from __future__ import annotations

import copy
import errno
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.files.faults import SystemCall, count_calls, fails_with, faulty, meanwhile
from tests.runs.helpers import make_run, metadata, save, tokenizer
from tfcli.errors import (
    ConflictError,
    DamagedError,
    DataError,
    NotFoundError,
    TfcliError,
    UsageError,
)
from tfcli.files import (
    MANIFEST,
    check_name,
    read_json,
    remove_leftovers,
    to_json,
    write_checked_json,
)
from tfcli.model.config import ModelConfig
from tfcli.runs.run import (
    RUN_JSON,
    TOKENIZER,
    Run,
    create_run,
    find_run,
    list_runs,
    open_run,
    require_new,
)
from tfcli.runs.step import MODEL, STATE, list_steps, step_name
from tfcli.runs.summary import summarize
from tfcli.runs.valid_steps import (
    best_valid_step,
    newest_valid_step,
    open_step,
    prune,
    steps_by_loss,
)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return make_run(tmp_path / "checkpoints" / "tale")


def set_time(run: Run, seconds: int) -> None:
    """Makes a run one that was last worked on at that time."""
    for path in (run.path / RUN_JSON, *list_steps(run.path)):
        os.utime(path, (seconds, seconds))


# beginning


def test_a_run_holds_its_card_and_its_tokenizer(run: Run) -> None:
    assert open_run(run.path) == run
    assert run.name == "tale"
    assert run.metadata == {"schema": 1, **metadata()}
    assert run.model_config == ModelConfig.from_json(metadata()["model"])
    assert run.tokenizer().model == tokenizer().model


def test_a_run_is_not_begun_twice(run: Run) -> None:
    before = (run.path / RUN_JSON).read_bytes()
    with pytest.raises(ConflictError, match="already"):
        create_run(run.path, metadata() | {"seed": 2}, tokenizer())
    with pytest.raises(ConflictError, match="already"):
        require_new(run.path)
    assert (run.path / RUN_JSON).read_bytes() == before


def test_a_folder_without_a_card_is_no_run_and_can_be_begun_again(run: Run) -> None:
    (run.path / RUN_JSON).unlink()
    with pytest.raises(NotFoundError):
        open_run(run.path)
    assert make_run(run.path) == run


def test_a_run_is_not_begun_under_a_name_that_leads_elsewhere(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot name a run"):
        make_run(tmp_path / ".hidden")
    assert list(tmp_path.iterdir()) == []


def test_whichever_call_fails_a_run_is_begun_or_can_be(tmp_path: Path) -> None:
    for call in range(count_calls(lambda: make_run(tmp_path / "counted"))):
        path = tmp_path / str(call)
        with suppress(TfcliError, OSError), faulty(fails_with(errno.ENOSPC), call, call):
            make_run(path)
        begun = open_run(path) if (path / RUN_JSON).exists() else make_run(path)
        remove_leftovers(path)
        assert begun.tokenizer().model == tokenizer().model
        assert {file.name for file in path.iterdir()} == {RUN_JSON, TOKENIZER}


# the card and the tokenizer


def test_a_newer_run_asks_for_a_newer_program(run: Run) -> None:
    (run.path / RUN_JSON).write_bytes(to_json({"schema": 2}))
    with pytest.raises(DataError, match="newer tfcli") as caught:
        open_run(run.path)
    assert caught.value.hint == "pip install --upgrade tfcli"


@pytest.mark.parametrize("key", ["schema", "model", "plan", "tokenizer", "corpus", "seed"])
def test_a_card_without_a_key_is_damage_that_names_it(run: Run, key: str) -> None:
    del run.metadata[key]
    write_checked_json(run.path / RUN_JSON, run.metadata)
    with pytest.raises(DamagedError, match=f"has no {key}"):
        open_run(run.path)


def use(path: Path) -> None:
    """Reads all of a run that this room reads."""
    run = open_run(path)
    assert run.model_config.vocab_size > 0
    assert run.tokenizer().vocab_size > 0
    summary = summarize(run)
    assert summary["name"] == path.name
    assert type(summary["parameters"]) is int
    assert isinstance(run.metadata.get("machine"), dict | None)
    assert 0 <= run.metadata["seed"] < 1 << 64


KEYS = [
    *(("schema",), ("model",), ("plan",), ("tokenizer",), ("corpus",), ("seed",), ("parameters",)),
    *(("model", "family"), ("model", "vocab_size"), ("model", "d_ff")),
    *(("tokenizer", "fingerprint"), ("corpus", "training_tokens"), ("machine",), ("baselines",)),
]
DELETED = object()
WRONG: list[object] = [DELETED, None, -1, 1 << 100, 0.5, "text", [], {}]


@pytest.mark.parametrize("keys", KEYS, ids=".".join)
def test_a_card_with_wrong_values_is_damage_and_never_our_mistake(
    run: Run, keys: tuple[str, ...]
) -> None:
    for wrong in WRONG:
        changed = copy.deepcopy(run.metadata)
        *parents, key = keys
        place = changed
        for parent in parents:
            place = place[parent]
        if wrong is DELETED:
            place.pop(key, None)
        else:
            place[key] = wrong
        write_checked_json(run.path / RUN_JSON, changed)
        try:
            use(run.path)
        except DataError:
            continue


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"[" * 100_000])
def test_a_card_that_is_no_json_object_is_damage(run: Run, content: bytes) -> None:
    (run.path / RUN_JSON).write_bytes(content)
    with pytest.raises(DamagedError, match=RUN_JSON):
        open_run(run.path)


@given(data=st.data())
@settings(max_examples=40)
def test_any_flipped_bit_of_a_card_is_noticed(tmp_path: Path, data: Any) -> None:
    """Or changes nothing: 1e-06 may become 1E-06."""
    path = tmp_path / "run"
    shutil.rmtree(path, ignore_errors=True)
    run = make_run(path)
    content = bytearray((path / RUN_JSON).read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    (path / RUN_JSON).write_bytes(content)
    with suppress(DataError):
        use(path)
        assert open_run(path) == run


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes of POSIX")
@pytest.mark.parametrize("name", [RUN_JSON, TOKENIZER])
def test_a_pipe_in_the_place_of_a_file_is_damage(run: Run, name: str) -> None:
    (run.path / name).unlink()
    os.mkfifo(run.path / name)
    with pytest.raises(DamagedError, match=name):
        open_run(run.path).tokenizer()


def test_another_tokenizer_is_noticed(run: Run) -> None:
    (run.path / TOKENIZER).write_bytes(tokenizer(310).model)
    with pytest.raises(DamagedError, match="not the tokenizer") as caught:
        run.tokenizer()
    assert caught.value.hint


@pytest.mark.parametrize("content", [b"", b"garbage", b"\0" * 100])
def test_a_damaged_tokenizer_is_noticed(run: Run, content: bytes) -> None:
    (run.path / TOKENIZER).write_bytes(content)
    with pytest.raises(DataError, match=TOKENIZER):
        run.tokenizer()


def test_a_run_without_its_tokenizer_says_so(run: Run) -> None:
    (run.path / TOKENIZER).unlink()
    with pytest.raises(NotFoundError, match=TOKENIZER):
        run.tokenizer()


# finding


def test_a_run_is_found_by_name_and_by_path(run: Run) -> None:
    root = run.path.parent
    assert find_run("tale", root) == (run, None)
    assert find_run(str(run.path), root) == (run, None)
    assert find_run(str(run.path) + "/", root / "elsewhere") == (run, None)


def test_a_step_is_found_by_its_path(run: Run) -> None:
    root = run.path.parent
    step = save(run, 5)
    assert find_run(str(step), root / "elsewhere") == (run, step)
    assert find_run(f"tale/{step.name}", root) == (run, step)


def test_a_name_in_the_root_comes_before_a_path(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run(tmp_path / "tale")
    monkeypatch.chdir(tmp_path)
    assert find_run("tale", run.path.parent)[0].path == run.path
    assert find_run("./tale", tmp_path / "elsewhere")[0].path == Path("tale")


@pytest.mark.parametrize("name", [".", "../tale"])
def test_a_run_found_from_within_keeps_its_name(
    run: Run, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(run.path)
    assert find_run(name)[0].name == "tale"


def test_a_run_found_from_within_a_step_is_all_there(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = summarize(run)
    (run.path / "notes").mkdir()
    monkeypatch.chdir(run.path / "notes")
    assert summarize(find_run("..")[0]) == expected | {"path": ".."}


def test_a_step_found_from_within_its_run_belongs_to_it(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = save(run, 5)
    monkeypatch.chdir(run.path)
    found, path = find_run(step.name)
    assert found.name == "tale"
    assert path is not None
    assert path.samefile(step)


def test_the_newest_run_is_the_one_that_was_worked_on_last(run: Run) -> None:
    root = run.path.parent
    other = make_run(root / "other")
    set_time(run, 1000)
    set_time(other, 2000)
    assert list_runs(root) == [run.path, other.path]
    assert find_run(None, root) == (other, None)
    os.utime(save(run, 5), (3000, 3000))
    assert list_runs(root) == [other.path, run.path]
    assert find_run(None, root) == (run, None)


def test_runs_of_the_same_time_are_listed_by_name(tmp_path: Path) -> None:
    for name in ("b", "c", "a"):
        set_time(make_run(tmp_path / name), 1000)
    assert [path.name for path in list_runs(tmp_path)] == ["a", "b", "c"]


def test_what_is_no_run_is_not_listed(run: Run) -> None:
    root = run.path.parent
    (root / "empty").mkdir()
    (root / "README.md").write_bytes(b"x")
    (root / "begun").mkdir()
    (root / "begun" / TOKENIZER).write_bytes(b"x")
    assert list_runs(root) == [run.path]


@pytest.mark.parametrize("name", ["tael", "tales", "Tale"])
def test_the_nearest_name_is_offered(run: Run, name: str) -> None:
    with pytest.raises(NotFoundError, match=name) as caught:
        find_run(name, run.path.parent)
    assert caught.value.hint == "did you mean 'tale'?"


def test_where_there_is_no_run_at_all_the_way_to_one_is_shown(tmp_path: Path) -> None:
    for name in (None, "tale"):
        with pytest.raises(NotFoundError, match=r"no runs in|not found in") as caught:
            find_run(name, tmp_path)
        assert str(caught.value.hint).startswith("tfcli train FILE")


@given(name=st.text(min_size=1))
def test_whatever_is_asked_for_the_command_offered_names_a_possible_run(
    tmp_path: Path, name: str
) -> None:
    with pytest.raises(NotFoundError) as caught:
        find_run("nosuch/" + name.replace("/", "-"), tmp_path)
    _, offered = str(caught.value.hint).split(" --run ", 1)
    assert check_name(offered, "run") == offered


@pytest.mark.parametrize("name", ["", "\0", "x" * 300, "x" * 5000, "x/" * 3000])
def test_a_name_that_no_file_can_have_is_not_found(run: Run, name: str) -> None:
    with pytest.raises(NotFoundError):
        find_run(name, run.path.parent)


def test_a_step_that_is_not_there_is_not_found(run: Run) -> None:
    save(run, 5)
    with pytest.raises(NotFoundError):
        find_run(str(run.path / step_name(6)), run.path.parent)


def test_a_link_to_a_step_is_not_found(run: Run, tmp_path: Path) -> None:
    step = save(make_run(tmp_path / "other"), 7)
    (run.path / step_name(7)).symlink_to(step)
    with pytest.raises(NotFoundError):
        find_run(f"tale/{step_name(7)}", run.path.parent)


# valid steps


class Reports(list[TfcliError]):
    """Takes note of every damaged step."""

    def __call__(self, error: TfcliError) -> None:
        self.append(error)


def flip(step: Path) -> None:
    content = bytearray((step / MODEL).read_bytes())
    content[-1] ^= 1
    (step / MODEL).write_bytes(content)


def truncate(step: Path) -> None:
    os.truncate(step / MODEL, 5)


def lose(step: Path) -> None:
    (step / MODEL).unlink()


def lose_manifest(step: Path) -> None:
    (step / MANIFEST).unlink()


def lose_state(step: Path) -> None:
    (step / STATE).unlink()


def lose_everything(step: Path) -> None:
    shutil.rmtree(step)
    step.mkdir()


def put_a_folder_in_its_place(step: Path) -> None:
    (step / MODEL).unlink()
    (step / MODEL).mkdir()


def put_a_folder_in_place_of_the_state(step: Path) -> None:
    (step / STATE).unlink()
    (step / STATE).mkdir()


def come_from_a_newer_program(step: Path) -> None:
    manifest = read_json(step / MANIFEST)
    (step / MANIFEST).write_bytes(to_json(manifest | {"schema": 2}))


def have_a_state_of_its_own(step: Path) -> None:
    (step / STATE).write_bytes(b"{}")


DAMAGES = [
    *(flip, truncate, lose, lose_manifest, lose_state, lose_everything),
    *(put_a_folder_in_its_place, put_a_folder_in_place_of_the_state),
    *(come_from_a_newer_program, have_a_state_of_its_own),
]
Damage = Callable[[Path], None]


def test_the_newest_step_is_valid_where_nothing_is_damaged(run: Run) -> None:
    save(run, 5)
    newest = save(run, 10, loss=2.0)
    reports = Reports()
    assert newest_valid_step(run, damaged=reports) == open_step(newest)
    assert reports == []


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_steps_are_passed_over_and_each_is_named(run: Run, damage: Damage) -> None:
    valid = save(run, 5)
    damaged = [save(run, 10), save(run, 15)]
    for step in damaged:
        damage(step)
    reports = Reports()
    found = newest_valid_step(run, damaged=reports)
    assert found == open_step(valid)
    assert len(reports) == 2
    for step, report in zip(reversed(damaged), reports, strict=True):
        assert str(step) in report.what


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_best_step_is_passed_over_and_named(run: Run, damage: Damage) -> None:
    second = save(run, 5, loss=2.0)
    best = save(run, 10, loss=1.0)
    save(run, 15, loss=3.0)
    damage(best)
    reports = Reports()
    assert best_valid_step(run, damaged=reports) == open_step(second)
    assert all(str(best) in report.what for report in reports)


def test_a_step_that_the_disk_cannot_read_is_passed_over_and_named(run: Run) -> None:
    valid, unreadable = save(run, 5), save(run, 10)
    refused: list[int] = []

    def refuses_once(call: SystemCall) -> Any:
        if call.name == "fstat" and not refused:
            refused.append(1)
            return fails_with(errno.EIO)(call)
        return call.make()

    reports = Reports()
    with faulty(refuses_once):
        found = newest_valid_step(run, damaged=reports)
    assert refused
    assert found == open_step(valid)
    assert [str(unreadable) in report.what for report in reports] == [True]


def test_where_every_step_is_damaged_there_is_none(run: Run) -> None:
    for number in (5, 10):
        flip(save(run, number, loss=1.0))
    for find in (newest_valid_step, best_valid_step):
        reports = Reports()
        assert find(run, damaged=reports) is None
        assert len(reports) == 2


def test_where_there_is_no_step_there_is_none_valid(run: Run) -> None:
    reports = Reports()
    assert newest_valid_step(run, damaged=reports) is None
    assert best_valid_step(run, damaged=reports) is None
    assert reports == []


def test_a_named_step_that_is_damaged_is_refused(run: Run) -> None:
    step = save(run, 5)
    flip(step)
    with pytest.raises(DamagedError, match=MODEL):
        open_step(step)


# merit

KNOWN_LOSSES = st.none() | st.floats(0, 10) | st.just(float("inf"))
LOSSES = KNOWN_LOSSES | st.just(float("nan"))


def test_the_best_step_is_the_one_with_the_lowest_loss(run: Run) -> None:
    losses = {1: 3.0, 2: 1.0, 3: 2.0, 4: None}
    steps = {number: save(run, number, loss) for number, loss in losses.items()}
    assert steps_by_loss(run) == [steps[number] for number in (2, 3, 1, 4)]
    best = best_valid_step(run, damaged=Reports())
    assert best is not None
    assert best.path == steps[2]


def test_of_steps_with_the_same_loss_or_none_the_newest_is_best(run: Run) -> None:
    steps = [save(run, 1), save(run, 2), save(run, 3, 1.0), save(run, 4, 1.0), save(run, 5)]
    assert steps_by_loss(run) == [steps[i] for i in (3, 2, 4, 1, 0)]


@given(losses=st.lists(LOSSES, min_size=1, max_size=6))
@settings(max_examples=25)
def test_no_step_is_better_than_the_first(
    tmp_path_factory: pytest.TempPathFactory, losses: list[float | None]
) -> None:
    run = make_run(tmp_path_factory.mktemp("runs") / "run")
    for number, loss in enumerate(losses):
        save(run, number, loss)
    measured = [loss for loss in losses if loss is not None and loss < float("inf")]
    best = losses[int(steps_by_loss(run)[0].name.removeprefix("step-"))]
    assert best == min(measured) if measured else best is None or not best < float("inf")


def test_a_step_with_an_unreadable_state_is_the_last_in_merit(run: Run) -> None:
    unreadable = [save(run, 1, 0.5), save(run, 4, 0.5)]
    lose_state(unreadable[0])
    have_a_state_of_its_own(unreadable[1])
    readable = [save(run, 2), save(run, 3, 1.0)]
    assert steps_by_loss(run)[:2] == readable[::-1]


# pruning


@given(losses=st.lists(KNOWN_LOSSES, min_size=1, max_size=6), keep=st.integers(1, 3))
@settings(max_examples=25)
def test_pruning_keeps_the_newest_and_the_best(
    tmp_path_factory: pytest.TempPathFactory, losses: list[float | None], keep: int
) -> None:
    run = make_run(tmp_path_factory.mktemp("runs") / "run")
    steps = [save(run, number, loss) for number, loss in enumerate(losses)]
    best = steps_by_loss(run)[0]
    prune(run, keep=keep)
    assert set(list_steps(run.path)) == {*steps[-keep:], best}
    assert remove_leftovers(run.path) == []


def test_what_is_damaged_neither_counts_nor_goes(run: Run) -> None:
    """Or the sound ones would go for it, and the lowest loss could be that of a flipped bit."""
    steps = [save(run, number, 5.0 - number) for number in range(5)]
    for step in steps[3:]:
        path = step / STATE
        path.write_bytes(path.read_bytes().replace(b'"nats_per_byte": ', b'"nats_per_byte": -'))
    prune(run, keep=2)
    assert list_steps(run.path) == steps[1:]
    assert summarize(run)["held_out"]["nats_per_byte"] == 3.0
    assert summarize(run)["steps"] == 2


@pytest.mark.parametrize("code", [errno.EACCES, errno.EBUSY])
def test_pruning_tries_again_to_remove_a_step_that_is_in_use(run: Run, code: int) -> None:
    """Windows renames no folder while another process has a file of it mapped."""
    steps = [save(run, number, loss=5.0 - number) for number in range(4)]

    def in_use(call: SystemCall) -> Any:
        if call.name == "rename" and call.arguments[0] == steps[1]:
            return fails_with(code)(call)
        return call.make()

    with faulty(in_use) as made:
        prune(run, keep=1)
    assert made.count("rename") == 3
    assert list_steps(run.path) == [steps[1], steps[3]], "the others are removed all the same"
    assert open_step(steps[1]).state.step == 1
    steps.append(save(run, 4, loss=0.5))
    prune(run, keep=1)
    assert list_steps(run.path) == steps[4:]
    assert remove_leftovers(run.path) == []


def test_pruning_a_run_without_steps_does_nothing(run: Run) -> None:
    prune(run, keep=2)
    assert list_steps(run.path) == []


# while another process trains


def train_on(run: Run) -> None:
    """What the trainer's next save does: a better step comes, and older ones go."""
    save(run, 40, loss=0.5)
    prune(run, keep=2)


def begin_training(path: Path) -> Run:
    run = make_run(path)
    for number, loss in ((10, 0.6), (20, 0.8), (30, 0.7)):
        save(run, number, loss)
    return run


READERS: dict[str, Callable[[Run, Reports], object]] = {
    "list_runs": lambda run, reports: list_runs(run.path.parent) == [run.path],
    "find_run": lambda run, reports: find_run(None, run.path.parent) == (run, None),
    "summarize": lambda run, reports: summarize(run)["steps"] in {30, 40},
    "newest_valid_step": lambda run, reports: newest_valid_step(run, damaged=reports),
    "best_valid_step": lambda run, reports: best_valid_step(run, damaged=reports),
}


@pytest.mark.parametrize("reader", READERS)
def test_whenever_a_trainer_saves_and_prunes_no_reader_fails(tmp_path: Path, reader: str) -> None:
    read = READERS[reader]
    template = begin_training(tmp_path / "template" / "run")
    for call in range(count_calls(lambda: read(template, Reports()))):
        path = tmp_path / str(call) / "run"
        shutil.copytree(template.path, path)
        run, reports = Run(path, template.metadata), Reports()
        with faulty(meanwhile(partial(train_on, run)), call, call):
            assert read(run, reports), f"call {call}"
        assert reports == [], f"call {call}"
