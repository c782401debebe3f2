"""`clew run`: what the command and all that it starts find, and what they do not."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from clew import run
from tests.instrumentation.fake_collector import FakeCollector, attributes_of
from tests.instrumentation.workers.fleet import environment

WORK = 'import clew; clew.get_tracer("shop").start_span("work").end()'


def clew_run(
    arguments: Sequence[str], folder: Path, entry: str = "clew_server.entry", **variables: str
) -> "subprocess.CompletedProcess[str]":
    argv = [sys.executable, "-m", entry, "run", *arguments]
    return subprocess.run(
        argv, capture_output=True, text=True, cwd=folder, env=environment(variables), timeout=60, check=False
    )


def test_a_program_without_a_line_of_clew_is_configured(collector: FakeCollector, tmp_path: Path) -> None:
    (tmp_path / "x.py").write_text('import logging; logging.getLogger("shop").warning("hello")')
    options = ["--service", "orders", "--endpoint", collector.url, "--set", "resource=team=shop"]

    done = clew_run([*options, "--", "python", "x.py"], tmp_path)

    assert done.returncode == 0, done.stderr
    assert [log.body.string_value for log in collector.logs] == ["hello"]
    resource = attributes_of(collector.log_requests[0].resource_logs[0].resource.attributes)
    assert (resource["service.name"], resource["team"]) == ("orders", "shop")


@pytest.mark.parametrize("command", [["python", "-m", "x"], ["python", "x.py"], ["sh", "-c", "python x.py"]])
def test_modules_scripts_and_what_other_programs_start_are_covered(
    collector: FakeCollector, tmp_path: Path, command: list[str]
) -> None:
    (tmp_path / "x.py").write_text(WORK)

    done = clew_run(["--endpoint", collector.url, "--", *command], tmp_path)

    assert done.returncode == 0, done.stderr
    assert [span.name for span in collector.spans] == ["work"]


def test_what_a_user_has_on_pythonpath_stays_there_and_so_does_his_sitecustomize(
    collector: FakeCollector, tmp_path: Path
) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "mine.py").write_text("NAME = 'mine'")
    (folder / "sitecustomize.py").write_text("import sys; sys.own_was_here = True")
    code = "import mine, sitecustomize, sys; print(mine.NAME, sys.own_was_here, sitecustomize.__file__); " + WORK

    done = clew_run(["--endpoint", collector.url, "python", "-c", code], tmp_path, PYTHONPATH=str(folder))

    assert done.stdout.split() == ["mine", "True", str(folder / "sitecustomize.py")], done.stderr
    assert [span.name for span in collector.spans] == ["work"]


def test_the_exit_status_is_the_commands(tmp_path: Path) -> None:
    assert clew_run(["--", "python", "-c", "raise SystemExit(7)"], tmp_path, CLEW_ENABLED="false").returncode == 7
    assert clew_run(["sh", "-c", "kill -TERM $$"], tmp_path).returncode == -signal.SIGTERM


def test_a_command_that_is_not_python_gets_its_arguments_as_they_are(tmp_path: Path) -> None:
    done = clew_run(["echo", "--service", "x", "--", "--help"], tmp_path)

    assert done.stdout == "--service x -- --help\n"


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        ([], 2, "which command"),
        (["--"], 2, "which command"),
        (["no-such-command"], 127, "no-such-command: command not found"),
        (["./not-executable"], 126, "Permission denied"),
        (["--set", "colour=red", "true"], 2, "there is no setting 'colour'"),
        (["--set", "enabled", "true"], 2, "name=value"),
        (["--set", "batch_delay_s=soon", "true"], 2, "CLEW_BATCH_DELAY_S must be a number"),
        (["--endpoint", "collector", "true"], 2, "CLEW_ENDPOINT must be"),
    ],
)
def test_what_cannot_work_is_said_before_anything_runs(
    tmp_path: Path, arguments: list[str], status: int, words: str
) -> None:
    (tmp_path / "not-executable").write_text("")

    done = clew_run(arguments, tmp_path)

    assert done.returncode == status
    assert words in done.stderr


def test_help_needs_no_command(tmp_path: Path) -> None:
    done = clew_run(["--help"], tmp_path)

    assert done.returncode == 0
    assert "--service NAME" in done.stdout


@pytest.mark.parametrize("flag", ["-I", "-E"])
def test_an_isolated_python_runs_without_clew(collector: FakeCollector, tmp_path: Path, flag: str) -> None:
    code = "import sys; print('clew' in sys.modules)"

    done = clew_run(["--endpoint", collector.url, "--", "python", flag, "-c", code], tmp_path)

    assert (done.returncode, done.stdout) == (0, "False\n")


def test_a_python_that_has_no_clew_runs_without_and_only_the_command_itself_says_so(tmp_path: Path) -> None:
    (tmp_path / "clew.py").write_text("raise ImportError('another clew')")
    again = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'print(1)'])"
    # As `clew run` leaves it, by a shell whose process becomes the command.
    command = f'{run.PID_VARIABLE}=$$ exec "$0" -c "{again}"'
    env = environment({"PYTHONPATH": os.pathsep.join([run.FOLDER, str(tmp_path)])})

    done = subprocess.run(
        ["sh", "-c", command, sys.executable], capture_output=True, text=True, env=env, cwd=tmp_path, check=True
    )

    assert done.stdout == "1\n"
    assert done.stderr.splitlines() == [f"clew run: {sys.executable} runs without clew: ImportError: another clew"]


def test_every_other_command_goes_on_to_the_server(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "clew_server.entry", "--help"]
    done = subprocess.run(argv, capture_output=True, text=True, env=environment({"COLUMNS": "100"}), check=True)

    assert "run " in done.stdout
    assert "demo " in done.stdout


def test_a_base_install_says_what_the_other_commands_need(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text("raise ModuleNotFoundError(\"No module named 'typer'\", name='typer')")
    argv = [sys.executable, "-m", "clew_server.entry", "up"]
    env = environment({"PYTHONPATH": str(tmp_path)})

    done = subprocess.run(argv, capture_output=True, text=True, env=env, check=False)
    ran = clew_run(["--", "echo", "ran"], tmp_path, PYTHONPATH=str(tmp_path))

    assert done.returncode == 2
    assert "pip install 'clew[server]'" in done.stderr
    assert (ran.returncode, ran.stdout) == (0, "ran\n")


def test_adding_the_folder_twice_is_as_once() -> None:
    environ = {"PYTHONPATH": os.pathsep.join(["/a", "", "/b"])}
    run.add_folder(environ)
    run.add_folder(environ)

    assert environ["PYTHONPATH"].split(os.pathsep) == [run.FOLDER, "/a", "/b"]
