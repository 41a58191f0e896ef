"""Runs are created once, found by name or path, and read despite damaged steps."""

from __future__ import annotations

import copy
import errno
import math
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

TOKENIZER = "tokenizer.model"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return make_run(tmp_path / "checkpoints" / "tale")


def set_time(run: Run, seconds: int) -> None:
    """Sets the time when a run was last changed."""
    for path in (run.path / RUN_JSON, *list_steps(run.path)):
        os.utime(path, (seconds, seconds))


# creating


def test_new_run_has_its_metadata_and_tokenizer(run: Run) -> None:
    assert open_run(run.path) == run
    assert run.name == "tale"
    assert run.metadata == {"schema": 1, **metadata()}
    assert run.model_config == ModelConfig.from_json(metadata()["model"])
    assert run.tokenizer().serialized == tokenizer().serialized


def test_existing_run_is_not_created_again(run: Run) -> None:
    before = (run.path / RUN_JSON).read_bytes()
    with pytest.raises(ConflictError, match="already"):
        create_run(run.path, metadata() | {"seed": 2}, tokenizer())
    with pytest.raises(ConflictError, match="already"):
        require_new(run.path)
    assert (run.path / RUN_JSON).read_bytes() == before


def test_folder_without_run_json_is_no_run_and_can_become_one(run: Run) -> None:
    (run.path / RUN_JSON).unlink()
    with pytest.raises(NotFoundError):
        open_run(run.path)
    assert make_run(run.path) == run


def test_run_is_not_created_under_an_invalid_name(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="invalid run name"):
        make_run(tmp_path / ".hidden")
    assert list(tmp_path.iterdir()) == []


def test_run_is_created_or_can_be_after_any_failing_call(tmp_path: Path) -> None:
    for call in range(count_calls(lambda: make_run(tmp_path / "counted"))):
        path = tmp_path / str(call)
        with suppress(TfcliError, OSError), faulty(fails_with(errno.ENOSPC), call, call):
            make_run(path)
        created = open_run(path) if (path / RUN_JSON).exists() else make_run(path)
        remove_leftovers(path)
        assert created.tokenizer().serialized == tokenizer().serialized
        assert {file.name for file in path.iterdir()} == {RUN_JSON, TOKENIZER}


# run.json and the tokenizer


def test_run_of_a_newer_version_asks_for_an_upgrade(run: Run) -> None:
    (run.path / RUN_JSON).write_bytes(to_json({"schema": 2}))
    with pytest.raises(DataError, match="newer tfcli") as caught:
        open_run(run.path)
    assert caught.value.hint == "pip install --upgrade tfcli"


@pytest.mark.parametrize("key", ["schema", "model", "plan", "tokenizer", "corpus", "seed"])
def test_missing_key_in_run_json_is_named(run: Run, key: str) -> None:
    del run.metadata[key]
    write_checked_json(run.path / RUN_JSON, run.metadata)
    with pytest.raises(DamagedError, match=f"has no {key}"):
        open_run(run.path)


def use(path: Path) -> None:
    """Reads all of a run that `tfcli.runs` reads."""
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
def test_wrong_values_in_run_json_are_damage_or_harmless(run: Run, keys: tuple[str, ...]) -> None:
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


@pytest.mark.parametrize("wrong", [{}, {"gzip": "x"}, [], 5])
def test_wrong_baselines_are_damage(run: Run, wrong: object) -> None:
    write_checked_json(run.path / RUN_JSON, run.metadata | {"baselines": wrong})
    with pytest.raises(DamagedError):
        open_run(run.path)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"[" * 100_000])
def test_run_json_that_is_no_object_is_damage(run: Run, content: bytes) -> None:
    (run.path / RUN_JSON).write_bytes(content)
    with pytest.raises(DamagedError, match=RUN_JSON):
        open_run(run.path)


@given(data=st.data())
@settings(max_examples=40)
def test_flipped_bits_of_run_json_are_detected(tmp_path: Path, data: Any) -> None:
    """Unless they change nothing: 1e-06 may become 1E-06."""
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
def test_pipe_in_place_of_a_file_is_damage(run: Run, name: str) -> None:
    (run.path / name).unlink()
    os.mkfifo(run.path / name)
    with pytest.raises(DamagedError, match=name):
        open_run(run.path).tokenizer()


def test_wrong_tokenizer_is_detected(run: Run) -> None:
    (run.path / TOKENIZER).write_bytes(tokenizer(310).serialized)
    with pytest.raises(DamagedError, match="not the tokenizer") as caught:
        run.tokenizer()
    assert caught.value.hint


@pytest.mark.parametrize("content", [b"", b"garbage", b"\0" * 100])
def test_damaged_tokenizer_is_detected(run: Run, content: bytes) -> None:
    (run.path / TOKENIZER).write_bytes(content)
    with pytest.raises(DataError, match=TOKENIZER):
        run.tokenizer()


def test_missing_tokenizer_is_not_found(run: Run) -> None:
    (run.path / TOKENIZER).unlink()
    with pytest.raises(NotFoundError, match=TOKENIZER):
        run.tokenizer()


# finding


def test_run_is_found_by_name_and_by_path(run: Run) -> None:
    root = run.path.parent
    assert find_run("tale", root) == (run, None)
    assert find_run(str(run.path), root) == (run, None)
    assert find_run(str(run.path) + "/", root / "elsewhere") == (run, None)


def test_step_is_found_by_its_path(run: Run) -> None:
    root = run.path.parent
    step = save(run, 5)
    assert find_run(str(step), root / "elsewhere") == (run, step)
    assert find_run(f"tale/{step.name}", root) == (run, step)
    assert find_run(f"tale/step-{int(step.name[5:])}", root) == (run, step)
    with pytest.raises(NotFoundError, match="'tale' has no checkpoint step-00000999"):
        find_run("tale/step-999", root)


def test_name_in_the_root_takes_precedence_over_a_path(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run(tmp_path / "tale")
    monkeypatch.chdir(tmp_path)
    assert find_run("tale", run.path.parent)[0].path == run.path
    assert find_run("./tale", tmp_path / "elsewhere")[0].path == Path("tale")


@pytest.mark.parametrize("name", [".", "../tale"])
def test_run_found_from_inside_keeps_its_name(
    run: Run, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(run.path)
    assert find_run(name)[0].name == "tale"


def test_run_found_from_a_subfolder_is_complete(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = summarize(run)
    (run.path / "notes").mkdir()
    monkeypatch.chdir(run.path / "notes")
    assert summarize(find_run("..")[0]) == expected | {"path": ".."}


def test_step_found_from_inside_its_run_belongs_to_it(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = save(run, 5)
    monkeypatch.chdir(run.path)
    found, path = find_run(step.name)
    assert found.name == "tale"
    assert path is not None
    assert path.samefile(step)


def test_newest_run_is_the_one_changed_last(run: Run) -> None:
    root = run.path.parent
    other = make_run(root / "other")
    set_time(run, 1000)
    set_time(other, 2000)
    assert list_runs(root) == [run.path, other.path]
    assert find_run(None, root) == (other, None)
    os.utime(save(run, 5), (3000, 3000))
    assert list_runs(root) == [other.path, run.path]
    assert find_run(None, root) == (run, None)


def test_runs_of_the_same_age_are_listed_by_name(tmp_path: Path) -> None:
    for name in ("b", "c", "a"):
        set_time(make_run(tmp_path / name), 1000)
    assert [path.name for path in list_runs(tmp_path)] == ["a", "b", "c"]


def test_other_files_and_folders_are_not_listed_as_runs(run: Run) -> None:
    root = run.path.parent
    (root / "empty").mkdir()
    (root / "README.md").write_bytes(b"x")
    (root / "incomplete").mkdir()
    (root / "incomplete" / TOKENIZER).write_bytes(b"x")
    assert list_runs(root) == [run.path]


@pytest.mark.parametrize("name", ["tael", "tales", "Tale"])
def test_closest_name_is_suggested(run: Run, name: str) -> None:
    with pytest.raises(NotFoundError, match=name) as caught:
        find_run(name, run.path.parent)
    assert caught.value.hint == "did you mean 'tale'?"


def test_training_is_suggested_if_there_are_no_runs(tmp_path: Path) -> None:
    for name in (None, "tale"):
        with pytest.raises(NotFoundError, match=r"no runs in|not found in") as caught:
            find_run(name, tmp_path)
        assert str(caught.value.hint).startswith("tfcli train FILE")


@given(name=st.text(min_size=1))
def test_suggested_command_has_a_valid_run_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(NotFoundError) as caught:
        find_run("nosuch/" + name.replace("/", "-"), tmp_path)
    _, offered = str(caught.value.hint).split(" --run ", 1)
    assert check_name(offered, "run") == offered


@pytest.mark.parametrize("name", ["", "\0", "x" * 300, "x" * 5000, "x/" * 3000])
def test_impossible_file_name_is_not_found(run: Run, name: str) -> None:
    with pytest.raises(NotFoundError):
        find_run(name, run.path.parent)


def test_missing_step_is_not_found(run: Run) -> None:
    save(run, 5)
    with pytest.raises(NotFoundError):
        find_run(str(run.path / step_name(6)), run.path.parent)


def test_link_to_a_step_is_not_found(run: Run, tmp_path: Path) -> None:
    step = save(make_run(tmp_path / "other"), 7)
    (run.path / step_name(7)).symlink_to(step)
    with pytest.raises(NotFoundError):
        find_run(f"tale/{step_name(7)}", run.path.parent)


# valid steps


class Reports(list[TfcliError]):
    """Collects the errors of damaged steps."""

    def __call__(self, error: TfcliError) -> None:
        self.append(error)


def flip_a_bit(step: Path) -> None:
    content = bytearray((step / MODEL).read_bytes())
    content[-1] ^= 1
    (step / MODEL).write_bytes(content)


def truncate_weights(step: Path) -> None:
    os.truncate(step / MODEL, 5)


def delete_weights(step: Path) -> None:
    (step / MODEL).unlink()


def delete_manifest(step: Path) -> None:
    (step / MANIFEST).unlink()


def delete_state(step: Path) -> None:
    (step / STATE).unlink()


def delete_all_files(step: Path) -> None:
    shutil.rmtree(step)
    step.mkdir()


def replace_weights_by_a_folder(step: Path) -> None:
    (step / MODEL).unlink()
    (step / MODEL).mkdir()


def replace_state_by_a_folder(step: Path) -> None:
    (step / STATE).unlink()
    (step / STATE).mkdir()


def write_with_a_newer_version(step: Path) -> None:
    manifest = read_json(step / MANIFEST)
    (step / MANIFEST).write_bytes(to_json(manifest | {"schema": 2}))


def overwrite_state(step: Path) -> None:
    (step / STATE).write_bytes(b"{}")


DAMAGES = [
    *(
        flip_a_bit,
        truncate_weights,
        delete_weights,
        delete_manifest,
        delete_state,
        delete_all_files,
    ),
    *(replace_weights_by_a_folder, replace_state_by_a_folder),
    *(write_with_a_newer_version, overwrite_state),
]
Damage = Callable[[Path], None]


def test_newest_step_is_found_if_all_are_valid(run: Run) -> None:
    save(run, 5)
    newest = save(run, 10, loss=2.0)
    reports = Reports()
    assert newest_valid_step(run, on_damaged=reports) == open_step(newest)
    assert reports == []


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_steps_are_skipped_and_reported(run: Run, damage: Damage) -> None:
    valid = save(run, 5)
    damaged = [save(run, 10), save(run, 15)]
    for step in damaged:
        damage(step)
    reports = Reports()
    found = newest_valid_step(run, on_damaged=reports)
    assert found == open_step(valid)
    assert len(reports) == 2
    for step, report in zip(reversed(damaged), reports, strict=True):
        assert str(step) in report.what


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_best_step_is_skipped_and_reported(run: Run, damage: Damage) -> None:
    second = save(run, 5, loss=2.0)
    best = save(run, 10, loss=1.0)
    save(run, 15, loss=3.0)
    damage(best)
    reports = Reports()
    assert best_valid_step(run, on_damaged=reports) == open_step(second)
    assert all(str(best) in report.what for report in reports)


def test_unreadable_step_is_skipped_and_reported(run: Run) -> None:
    valid, unreadable = save(run, 5), save(run, 10)
    refused: list[int] = []

    def refuses_once(call: SystemCall) -> Any:
        if call.name == "fstat" and not refused:
            refused.append(1)
            return fails_with(errno.EIO)(call)
        return call.make()

    reports = Reports()
    with faulty(refuses_once):
        found = newest_valid_step(run, on_damaged=reports)
    assert refused
    assert found == open_step(valid)
    assert [str(unreadable) in report.what for report in reports] == [True]


def test_no_step_is_found_if_all_are_damaged(run: Run) -> None:
    for number in (5, 10):
        flip_a_bit(save(run, number, loss=1.0))
    for find in (newest_valid_step, best_valid_step):
        reports = Reports()
        assert find(run, on_damaged=reports) is None
        assert len(reports) == 2


def test_no_step_is_found_if_there_is_none(run: Run) -> None:
    reports = Reports()
    assert newest_valid_step(run, on_damaged=reports) is None
    assert best_valid_step(run, on_damaged=reports) is None
    assert reports == []


def test_damaged_step_asked_for_by_name_is_refused(run: Run) -> None:
    step = save(run, 5)
    flip_a_bit(step)
    with pytest.raises(DamagedError, match=MODEL):
        open_step(step)


# the best step

KNOWN_LOSSES = st.none() | st.floats(0, 10) | st.just(float("inf"))
LOSSES = KNOWN_LOSSES | st.just(float("nan"))


def test_best_step_has_the_lowest_loss(run: Run) -> None:
    losses = {1: 3.0, 2: 1.0, 3: 2.0, 4: None}
    steps = {number: save(run, number, loss) for number, loss in losses.items()}
    assert steps_by_loss(run) == [steps[number] for number in (2, 3, 1, 4)]
    best = best_valid_step(run, on_damaged=Reports())
    assert best is not None
    assert best.path == steps[2]


def test_newest_of_equal_steps_is_best(run: Run) -> None:
    steps = [save(run, 1), save(run, 2), save(run, 3, 1.0), save(run, 4, 1.0), save(run, 5)]
    assert steps_by_loss(run) == [steps[i] for i in (3, 2, 4, 1, 0)]


def test_loss_from_before_the_training_counts_once_a_later_one_is_there(run: Run) -> None:
    start, *later = (save(run, number, loss) for number, loss in ((0, 3.0), (1, None), (2, None)))
    assert steps_by_loss(run) == [later[1], later[0], start], "stopped before its first evaluation"
    save(run, 3, 4.0)
    assert steps_by_loss(run)[0] == start


@given(losses=st.lists(LOSSES, min_size=1, max_size=6))
@settings(max_examples=25)
def test_first_step_by_loss_has_the_lowest_loss(
    tmp_path_factory: pytest.TempPathFactory, losses: list[float | None]
) -> None:
    run = make_run(tmp_path_factory.mktemp("runs") / "run")
    for number, loss in enumerate(losses, 1):
        save(run, number, loss)
    measured = [loss for loss in losses if loss is not None and loss < float("inf")]
    best = losses[int(steps_by_loss(run)[0].name.removeprefix("step-")) - 1]
    assert best == min(measured) if measured else best is None or not best < float("inf")


def test_steps_with_an_unreadable_state_come_last_by_loss(run: Run) -> None:
    unreadable = [save(run, 1, 0.5), save(run, 4, 0.5)]
    delete_state(unreadable[0])
    overwrite_state(unreadable[1])
    readable = [save(run, 2), save(run, 3, 1.0)]
    assert steps_by_loss(run)[:2] == readable[::-1]


# pruning


@given(losses=st.lists(KNOWN_LOSSES, min_size=1, max_size=6), keep=st.integers(1, 3))
@settings(max_examples=25)
def test_pruning_keeps_the_newest_and_the_best_steps(
    tmp_path_factory: pytest.TempPathFactory, losses: list[float | None], keep: int
) -> None:
    run = make_run(tmp_path_factory.mktemp("runs") / "run")
    steps = [save(run, number, loss) for number, loss in enumerate(losses)]
    prune(run, keep=keep)
    keys = [(math.inf if loss is None else loss, -n) for n, loss in enumerate(losses)]
    best = steps[-min(keys)[1]]  # the first weights, too
    assert set(list_steps(run.path)) == {*steps[-keep:], best}
    assert remove_leftovers(run.path) == []


def test_pruning_neither_counts_nor_removes_damaged_steps(run: Run) -> None:
    """Otherwise valid steps would be removed, and a flipped bit could give the lowest loss."""
    steps = [save(run, number, 5.0 - number) for number in range(5)]
    for step in steps[3:]:
        path = step / STATE
        path.write_bytes(path.read_bytes().replace(b'"nats_per_byte": ', b'"nats_per_byte": -'))
    prune(run, keep=2)
    assert list_steps(run.path) == steps[1:]
    assert summarize(run)["held_out"]["nats_per_byte"] == 3.0
    assert summarize(run)["steps"] == 2


@pytest.mark.parametrize("code", [errno.EACCES, errno.EBUSY])
def test_pruning_retries_a_step_that_is_in_use(run: Run, code: int) -> None:
    """As on Windows, where a folder cannot be renamed while a file in it is mapped."""
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


def save_and_prune(run: Run) -> None:
    """The trainer's next save: adds a better step and prunes older ones."""
    save(run, 40, loss=0.5)
    prune(run, keep=2)


def start_training(path: Path) -> Run:
    run = make_run(path)
    for number, loss in ((10, 0.6), (20, 0.8), (30, 0.7)):
        save(run, number, loss)
    return run


READERS: dict[str, Callable[[Run, Reports], object]] = {
    "list_runs": lambda run, reports: list_runs(run.path.parent) == [run.path],
    "find_run": lambda run, reports: find_run(None, run.path.parent) == (run, None),
    "summarize": lambda run, reports: summarize(run)["steps"] in {30, 40},
    "newest_valid_step": lambda run, reports: newest_valid_step(run, on_damaged=reports),
    "best_valid_step": lambda run, reports: best_valid_step(run, on_damaged=reports),
}


@pytest.mark.parametrize("reader", READERS)
def test_readers_succeed_whenever_a_trainer_saves_and_prunes(tmp_path: Path, reader: str) -> None:
    read = READERS[reader]
    template = start_training(tmp_path / "template" / "run")
    for call in range(count_calls(lambda: read(template, Reports()))):
        path = tmp_path / str(call) / "run"
        shutil.copytree(template.path, path)
        run, reports = Run(path, template.metadata), Reports()
        with faulty(meanwhile(partial(save_and_prune, run)), call, call):
            assert read(run, reports), f"call {call}"
        assert reports == [], f"call {call}"


# further ends of a text


def test_further_ends_of_a_text_are_kept(tmp_path: Path) -> None:
    own = tokenizer()
    plain = own.special
    described = metadata()
    described["tokenizer"] |= {"other_eos": [7, 9]}
    path = create_run(tmp_path / "checkpoints" / "tale", described, own).path
    assert open_run(path).tokenizer().special.eos_ids == {2, 7, 9}
    assert own.special == plain


@pytest.mark.parametrize("ends", ["7", [1.5], [-1], [300], {"a": 1}])
def test_invalid_ends_of_a_text_are_damage(tmp_path: Path, ends: object) -> None:
    described = metadata()
    described["tokenizer"] |= {"other_eos": ends}
    with pytest.raises(DamagedError):
        create_run(tmp_path / "checkpoints" / "tale", described, tokenizer()).tokenizer()
