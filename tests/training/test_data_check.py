"""Opening frames, and `tfclip data`."""

import json
from pathlib import Path

import pytest
from typer import Typer
from typer.testing import CliRunner, Result

from model.cli import build_app
from tests.training.miniature import write_frame, write_mars
from training.datasets.check import SAMPLE, check_data_set, frames_to_read
from training.datasets.registry import read_data_set
from training.datasets.report import Summary, summarise
from training.datasets.tracklets import Finding


@pytest.fixture(scope="module")
def app() -> Typer:
    return build_app()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two people before two cameras, tracklets of 1 to 4 frames."""
    for length, name in enumerate(("anna/c1", "anna/c2", "ben/c1", "ben/c2"), start=1):
        for number in range(length):
            write_frame(tmp_path / name / f"t1/{number}.jpg")
    return tmp_path


def run(app: Typer, *arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["data", *(str(argument) for argument in arguments)])


def damage(folder: Path) -> None:
    whole = (folder / "anna/c2/t1/1.jpg").read_bytes()
    (folder / "anna/c2/t1/1.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "ben/c1/t1/0.jpg").write_bytes(b"no image")


def test_every_frame_is_opened_once_though_it_is_in_three_parts(folder: Path) -> None:
    seen: list[tuple[int, int]] = []
    data = read_data_set("folder", folder)
    findings = check_data_set(data, read_frames="all", progress=lambda opened, of: seen.append((opened, of)))
    assert findings[-2:] == [
        Finding("frames opened", "all", "10", True),
        Finding("frames that cannot be read", "0", "0", True),
    ]
    assert findings[:-2] == list(data.findings)
    assert seen[-1] == (10, 10)


def test_truncated_frames_and_files_that_are_no_images_are_found(folder: Path) -> None:
    damage(folder)
    found = check_data_set(read_data_set("folder", folder), read_frames="all")[-1]
    assert not found.ok
    assert found.found.startswith("2; the first: anna/c2/t1/1.jpg (")


def test_a_frame_that_vanished_is_found(folder: Path) -> None:
    data = read_data_set("folder", folder)
    (folder / "ben/c2/t1/3.jpg").unlink()
    assert "ben/c2/t1/3.jpg" in check_data_set(data, read_frames="all")[-1].found


def test_without_opening_frames_only_the_reader_speaks(folder: Path) -> None:
    damage(folder)
    data = read_data_set("folder", folder)
    assert check_data_set(data, read_frames="none") == list(data.findings)


def test_a_sample_is_spread_over_the_whole_data_set(tmp_path: Path) -> None:
    for person in range(30):
        for number in range(100):
            path = tmp_path / f"p{person}/c1/t1/{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    data = read_data_set("folder", tmp_path)
    sample = frames_to_read(data, "sample")
    every = frames_to_read(data, "all")
    assert (len(every), len(sample), len(set(sample))) == (3000, SAMPLE, SAMPLE)
    assert (sample[0], sample[-1]) == (every[0], every[-1])
    assert {path.parts[-4] for path in sample} == {f"p{person}" for person in range(30)}


def test_a_summary_counts(folder: Path) -> None:
    tracklets = read_data_set("folder", folder).train
    assert summarise(tracklets) == Summary(2, 4, 10, 2, 1, 2.5, 4)
    assert summarise(()) == Summary(0, 0, 0, 0, 0, 0.0, 0)


def test_the_command_prints_one_table(app: Typer, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    result = run(app, "check", "--dataset", "folder", "--root", folder)
    assert result.exit_code == 0, result.output
    assert "2 identities, 4 tracklets, 10 frames, 2 cameras; 1 / 2.5 / 4 frames a tracklet" in result.stdout
    assert result.stdout.count("┏") == 1
    assert "differs" not in result.stdout


def test_names_in_brackets_are_printed_as_they_are(app: Typer, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    (folder / "anna/c1/[red]").mkdir()
    assert "1; the first: anna/c1/[red]" in run(app, "check", "--dataset", "folder", "--root", folder).stdout


def test_a_finding_is_exit_code_1(app: Typer, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    damage(folder)
    result = run(app, "check", "--dataset", "folder", "--root", folder, "--frames", "all")
    assert result.exit_code == 1
    assert "anna/c2/t1/1.jpg" in result.stdout
    assert "differs" in result.stdout


def test_the_document_has_parts_and_findings(app: Typer, tmp_path: Path) -> None:
    result = run(app, "check", "--dataset", "mars", "--root", write_mars(tmp_path), "--json")
    document = json.loads(result.stdout)
    assert result.exit_code == 1
    assert document["ok"] is False
    assert document["parts"]["train"]["frames"] == 9
    assert {"check": "train tracklets", "expected": "8,298", "found": "3", "ok": False} in document["findings"]
    assert {"check": "frames that cannot be read", "expected": "0", "found": "0", "ok": True} in document["findings"]


def test_a_root_that_cannot_be_read_is_one_line_and_exit_code_2(app: Typer, tmp_path: Path) -> None:
    for root in (tmp_path, tmp_path / "nowhere"):
        result = run(app, "check", "--dataset", "mars", "--root", root)
        assert result.exit_code == 2
        assert result.stdout == ""
        assert len(result.stderr.strip().splitlines()) == 1
        assert str(root) in result.stderr


def test_what_is_synthesized_passes_the_check(app: Typer, tmp_path: Path) -> None:
    out = tmp_path / "people"
    sizes = ("--people", "2", "--cameras", "2", "--tracklets", "1", "--frames", "2", "--workers", "2")
    result = run(app, "synthesize", *sizes, "--out", out)
    assert result.exit_code == 0, result.output
    assert "2 people before 2 cameras, 4 tracklets, 8 frames" in result.stdout
    assert run(app, "check", "--dataset", "folder", "--root", out, "--frames", "all").exit_code == 0


def test_people_pass_as_many_of_the_cameras_as_they_are_told_to(app: Typer, tmp_path: Path) -> None:
    sizes = ("--people", "1", "--cameras", "5", "--tracklets", "1", "--frames", "1", "--height", "32", "--workers", "1")
    result = run(app, "synthesize", *sizes, "--passes", "2", "--easiest", "0.5", "--out", tmp_path / "people")
    assert result.exit_code == 0, result.output
    assert "1 people before 2 cameras, 2 tracklets, 2 frames" in result.stdout
    assert len(list((tmp_path / "people/person-001").iterdir())) == 2
    plain = run(app, "synthesize", *sizes, "--out", tmp_path / "hard")
    assert "1 people before 5 cameras" in plain.stdout
    frames = [path.relative_to(tmp_path / "people") for path in (tmp_path / "people").rglob("*.jpg")]
    assert all((tmp_path / "people" / f).read_bytes() != (tmp_path / "hard" / f).read_bytes() for f in frames)


@pytest.mark.parametrize(
    ("more", "says"),
    [(("--passes", "3"), "passes must lie between 1 and cameras (2)"), (("--easiest", "0.9"), "easiest must lie")],
)
def test_a_scene_that_cannot_be_is_one_line_and_exit_code_2(
    app: Typer, tmp_path: Path, more: tuple[str, str], says: str
) -> None:
    sizes = ("--people", "1", "--cameras", "2", "--difficulty", "0.5", "--workers", "1")
    refused = run(app, "synthesize", *sizes, *more, "--out", tmp_path / "people")
    assert refused.exit_code == 2
    assert says in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "people").exists()


def test_a_folder_that_cannot_be_written_is_one_line_and_exit_code_2(app: Typer, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    sizes = ("--people", "1", "--cameras", "1", "--frames", "1", "--workers", "1")
    for out in (tmp_path / "file", tmp_path / "file/below"):
        result = run(app, "synthesize", *sizes, "--out", out)
        assert result.exit_code == 2
        assert len(result.stderr.strip().splitlines()) == 1


def test_a_folder_that_is_not_empty_is_written_into_by_force_alone(app: Typer, folder: Path) -> None:
    sizes = ("--people", "1", "--cameras", "1", "--tracklets", "1", "--frames", "1", "--workers", "1")
    refused = run(app, "synthesize", *sizes, "--out", folder)
    assert refused.exit_code == 2
    assert "--force" in refused.stderr
    assert run(app, "synthesize", *sizes, "--out", folder, "--force").exit_code == 0
    assert len(read_data_set("folder", folder).train) == 5
