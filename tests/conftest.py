"""Shared by many tests: running the program as a user would, and small texts."""

from __future__ import annotations

import atexit
import gc
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import filelock
import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tfcli.runtime.device import Device

# Machines may be shared, so that the time of an example means nothing.
settings.register_profile(
    "shared",
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
settings.load_profile("shared")

os.environ["HF_HUB_OFFLINE"] = "1"

# Sums with one thread and with two differ in their last bits, which tests compare; and two
# processes with one thread each take half as long as one with two.
os.environ["OMP_NUM_THREADS"] = "1"

# float32 on a GPU as well: TF32, which rounds factors to 10 bits, would need tolerances a thousand
# times as wide. cuBLAS reads this when it is loaded, regardless of torch's settings (NVIDIA,
# "Accelerating AI Training with NVIDIA TF32 Tensor Cores", 2021).
os.environ["NVIDIA_TF32_OVERRIDE"] = "0"

# Commands inherit ignored signals, as under nohup or in the background.
for name in ("SIGINT", "SIGHUP"):
    if getattr(signal, name, None) and signal.getsignal(signal.Signals[name]) == signal.SIG_IGN:
        signal.signal(signal.Signals[name], signal.SIG_DFL)

# The variable that names the socket of a server of tests/forked.py.
SOCKET = "TESTS_FORKED_SOCKET"

# Sixty sentences that a model learns in a few dozen steps.
SENTENCES = [
    f"{who} saw {what} {where}.\n"
    for who in ("Ann", "Bob", "The old fox", "Nobody", "José")
    for what in ("a ship", "the moon", "two birds", "él mismo")
    for where in ("at noon", "by the sea", "in the snow")
]
BOOK = "".join(SENTENCES * 12)


@pytest.fixture
def device(request: pytest.FixtureRequest) -> Device:
    """Each device that torch can use here, in turn: see tests/devices.py."""
    name: Device = request.param
    return name


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Gives the fixture `device` its values, importing torch only for tests that need it."""
    if "device" in metafunc.fixturenames:
        from tests.devices import DEVICES

        metafunc.parametrize("device", DEVICES, indirect=True)


def pytest_collection_finish() -> None:
    """Spares the garbage collector the thousands of modules that are loaded by now."""
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselects tests that need a GPU if there is none."""
    need_gpu = [item for item in items if item.get_closest_marker("gpu")]
    if need_gpu:
        from tests.devices import GPUS

        if not GPUS:
            config.hook.pytest_deselected(items=need_gpu)
            items[:] = [item for item in items if item not in need_gpu]


@dataclass(frozen=True)
class Result:
    """The exit code, standard output and standard error of a command."""

    code: int
    out: bytes
    err: str


class Shell(Protocol):
    """Runs `tfcli` with arguments in a folder of the test."""

    folder: Path

    def __call__(
        self,
        *arguments: str,
        stdin: bytes | int = subprocess.DEVNULL,
        env: dict[str, str] | None = None,
        stdout: int = subprocess.PIPE,
    ) -> Result: ...


class Called:
    """The program, called in this process: for what ends before torch is needed."""

    def __init__(
        self,
        folder: Path,
        monkeypatch: pytest.MonkeyPatch,
        captured: pytest.CaptureFixture[bytes],
    ) -> None:
        self.folder = folder
        self._monkeypatch = monkeypatch
        self._captured = captured

    def __call__(self, *arguments: str, env: dict[str, str] | None = None) -> Result:
        from tfcli.cli.app import run

        environment = bare_environment() | (env or {})
        with self._monkeypatch.context() as context:
            context.chdir(self.folder)
            for name in os.environ.keys() - environment.keys():
                context.delenv(name)
            for name, value in environment.items():
                context.setenv(name, value)
            code = run(arguments, started=time.monotonic())
        written = self._captured.readouterr()
        return Result(code, written.out, written.err.decode())


def bare_environment() -> dict[str, str]:
    """The environment without variables that would change the output."""
    unwanted = {"NO_COLOR", "FORCE_COLOR", "GITHUB_ACTIONS", "COLUMNS", "TERM"}
    kept = {
        key: value
        for key, value in os.environ.items()
        if key not in unwanted and not key.startswith("TFCLI_")
    }
    # commands run on the CPU, unless the tests of a GPU override CUDA_VISIBLE_DEVICES
    return kept | {"TERM": "dumb", "COLUMNS": "80", "CUDA_VISIBLE_DEVICES": ""}


def pytest_configure(config: pytest.Config) -> None:
    """Starts one server of tests/forked.py for all processes of pytest-xdist, which start next."""
    alone = not config.getoption("numprocesses", None)
    if not alone and "PYTEST_XDIST_WORKER" not in os.environ and os.name != "nt":
        os.environ[SOCKET] = start_server()


def start_server() -> str:
    """The socket of a new server of tests/forked.py, which ends when this process does."""
    path = tempfile.mkdtemp(prefix="tfcli-") + "/socket"
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.forked", path],
        cwd=Path(__file__).parent.parent, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        env={key: value for key, value in os.environ.items() if not key.startswith("COVERAGE_")},
    )  # fmt: skip
    assert server.stdout
    assert server.stdout.readline() == b"listening\n"

    @atexit.register
    def _end() -> None:
        server.communicate()  # ends when its stdin does
        shutil.rmtree(Path(path).parent)

    return path


@cache
def forked() -> list[str]:
    """The first arguments of a command that is `tfcli`: see tests/forked.py."""
    if os.name == "nt":  # nothing can be forked there
        return [sys.executable, "-m", "tfcli"]
    client = Path(__file__).parent / "ask.py"
    return [sys.executable, "-IS", str(client), os.environ.get(SOCKET) or start_server()]


class RealShell:
    """Runs the program in a process of its own; with `fresh`, one that is not forked."""

    def __init__(self, folder: Path, *, fresh: bool = False) -> None:
        self.folder = folder
        self.fresh = fresh

    def __call__(
        self,
        *arguments: str,
        stdin: bytes | int = subprocess.DEVNULL,
        env: dict[str, str] | None = None,
        stdout: int = subprocess.PIPE,
    ) -> Result:
        data = stdin if isinstance(stdin, bytes) else None
        done = subprocess.run(
            [*([sys.executable, "-m", "tfcli"] if self.fresh else forked()), *arguments],
            cwd=self.folder,
            env=bare_environment() | (env or {}),
            input=data,
            stdin=None if isinstance(stdin, bytes) else stdin,
            stdout=stdout,
            stderr=subprocess.PIPE,
            check=False,
            timeout=120,
        )
        return Result(done.returncode, done.stdout or b"", done.stderr.decode())


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """A shell in a folder with nothing but book.txt."""
    (tmp_path / "book.txt").write_text(BOOK)
    return RealShell(tmp_path)


@pytest.fixture
def called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> Iterator[Called]:
    """The same folder, where the program is called without a process of its own."""
    from tfcli.cli.app import root_command

    (tmp_path / "book.txt").write_text(BOOK)
    yield Called(tmp_path, monkeypatch, capsysbinary)
    root_command.cache_clear()  # what has shown its help is changed


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that the first process of pytest-xdist to need it makes; each has its own copy."""
    folder, shared = factory.mktemp(name), factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" not in os.environ:
        make(folder)
        return folder
    original, done = shared.parent / name, shared.parent / f"{name}.done"
    with filelock.FileLock(shared.parent / f"{name}.lock"):
        if not done.exists():  # it is made in its place: a run knows where its text is
            shutil.rmtree(original, ignore_errors=True)  # of a process that did not succeed
            original.mkdir()
            make(original)
            done.touch()
    return Path(shutil.copytree(original, folder, dirs_exist_ok=True))


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A shell in a folder with a finished run `tale` and a tokenizer `words`; not to be changed."""

    def make(folder: Path) -> None:
        (folder / "book.txt").write_text(BOOK)
        shell = RealShell(folder)
        made = shell("tokenizer", "train", "book.txt", "--name", "words", "--vocab-size", "320")
        assert made.code == 0, made.err
        made = shell(
            *("train", "book.txt", "--run", "tale", "--steps", "60", "--tokenizer", "words"),
            *("--layers", "2", "--width", "64", "--context", "32", "--batch-tokens", "512"),
        )
        assert made.code == 0, made.err

    return RealShell(made_once(tmp_path_factory, "trained", make))


@pytest.fixture(scope="session")
def gaps(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A shell in a folder with a run `gaps` that was trained to fill some; not to be changed."""

    def make(folder: Path) -> None:
        (folder / "book.txt").write_text(BOOK)
        made = RealShell(folder)(
            *("train", "book.txt", "--run", "gaps", "--steps", "40", "--vocab-size", "320"),
            *("--layers", "1", "--width", "64", "--context", "48", "--batch-tokens", "512"),
            *("--infill", "0.5"),
        )
        assert made.code == 0, made.err
        assert "infilling 0.5" in made.err

    return RealShell(made_once(tmp_path_factory, "gaps", make))
