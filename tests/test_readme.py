"""The README and the pages: their code runs as it stands, and the commands exist."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(
        rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL
    )


SHELL = [line for block in blocks(README, "sh") for line in block.splitlines() if line]
VERBS = [line for line in SHELL if line.startswith("warmstart ")]


def test_every_command_is_make_or_warmstart():
    targets = re.findall(
        r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    for line in SHELL:
        program, verb = shlex.split(line, comments=True)[:2]
        assert program == "warmstart" or (program == "make" and verb in targets), line
    assert len(VERBS) >= 3


@pytest.mark.parametrize(
    "page", [page for page in PAGES if blocks(page, "python")], ids=lambda page: page.stem
)
def test_the_python_of_a_page_runs_from_top_to_bottom_and_prints(
    page, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    session: dict[str, object] = {}
    for block in blocks(page, "python"):
        exec(compile(block, page.name, "exec"), session)
    assert capsys.readouterr().out


def test_the_commands_run_one_after_the_other(data_folder, tmp_path):
    (tmp_path / "data").symlink_to(data_folder)
    for line in VERBS:
        command = [sys.executable, "-m", "warmstart", *shlex.split(line, comments=True)[1:]]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert done.stdout
