"""The environment in result files: enough to measure again, and one fingerprint for equal data."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

PATH = Path(__file__).parents[3] / "benchmarks" / "_environment.py"


@pytest.fixture(scope="module")
def module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("_environment", PATH)
    assert spec is not None and spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "interactions.csv").write_text("user,item\n1,2\n")
    return folder


def test_a_result_file_names_commit_versions_machine_threads_command_date_and_data(
    module: ModuleType, folder: Path, tmp_path: Path
) -> None:
    module.write_result(tmp_path / "out.json", {"rows": [1]}, [folder])
    found = json.loads((tmp_path / "out.json").read_text())
    environment = found["environment"]
    assert found["rows"] == [1]
    assert set(environment) == {
        "date", "command", "commit", "versions", "machine", "threads", "data",
    }  # fmt: skip
    assert {"python", "torch", "numpy"} <= set(environment["versions"])
    assert environment["data"] == {"data": module.fingerprint(folder)}


def test_without_a_path_nothing_is_written(module: ModuleType) -> None:
    module.write_result(None, {}, [Path("no such folder")])


def test_equal_files_have_one_fingerprint_and_a_changed_byte_another(
    module: ModuleType, folder: Path
) -> None:
    before = module.fingerprint(folder)
    assert module.fingerprint(folder) == before
    (folder / "interactions.csv").write_text("user,item\n1,3\n")
    assert module.fingerprint(folder) != before
