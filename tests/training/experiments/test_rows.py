"""Rows: what they are of, for which configs, and that they are the paper's."""

from pathlib import Path

import pytest
import torch

from tests.training.small_run import SMALL, small_config
from tests.training.test_clip_reid import make_clip
from training.config import ConfigError, TrainingConfig, load_config
from training.experiments.components import component_rows
from training.experiments.grid import empty_network
from training.experiments.rows import Row, select_rows
from training.experiments.ssp_depth import depth_rows
from training.experiments.temporal_fusion import fusion_rows

MARS = ("prompt.variant=paper", "network.camera_embedding=false")
"""The paper's SSP, and no camera table: what the paper's parameters are of."""


def mars() -> TrainingConfig:
    return load_config("mars_vit_b16", MARS)


def trained_millions(row: Row) -> float:
    network = empty_network(load_config("mars_vit_b16", (*MARS, *row.changes)), 625, 6)
    return sum(one.numel() for one in network.parameters()) / 1e6


def test_rows_have_the_papers_parameters() -> None:
    rows, _ = component_rows(mars(), text=False)
    found = {row.name: trained_millions(row) for row in (*rows, *depth_rows(mars()))}
    names = ("B2", "B3", "B2-no-memory", *(f"paper-{layers}" for layers in range(1, 5)))
    papers = {row.name: row.paper["mars"].parameters for row in (*rows, *depth_rows(mars())) if row.paper}
    for name in names:
        # 0.17 of the paper's SSP, around its layers, are not accounted for.
        assert found[name] == pytest.approx(papers[name], abs=0.01 if name.startswith("B2") else 0.18), name
    # TMD's classifier of 625 identities, which the paper does not count.
    for name in ("B4", "B6", "TMC", "TMC-SSP"):
        assert found[name] == pytest.approx(papers[name] + 768 * 625 / 1e6, abs=0.2), name


def test_fusions_have_about_the_papers_parameters() -> None:
    found = {row.name: trained_millions(row) for row in fusion_rows(mars())}
    papers = {row.name: row.paper["mars"].parameters for row in fusion_rows(mars()) if row.paper}
    # The paper's counts have up to 0.4 more than a convolution, six layers and eight positions are.
    for name in ("mean", "conv1d", "transformer-cls", "transformer-residual"):
        assert found[name] == pytest.approx(papers[name], abs=0.5), name
    assert found["transformer-cls"] - found["transformer-residual"] == pytest.approx(512 / 1e6)


def test_only_what_a_row_is_about_differs_from_the_config() -> None:
    shared = mars().to_dict()
    rows, _ = component_rows(mars(), text=True)
    for row in (*rows, *fusion_rows(mars()), *depth_rows(mars())):
        changed = load_config("mars_vit_b16", (*MARS, *row.changes)).to_dict()
        assert {key for key in shared if changed[key] != shared[key]} <= {"network", "memory", "prompt"}, row.name
        assert changed["memory"] == shared["memory"] | {"kind": changed["memory"]["kind"]}, row.name


def test_the_paper_gives_figures_for_mars_and_for_b1_to_b6_on_ls_vid() -> None:
    rows, _ = component_rows(mars(), text=True)
    assert [row.name for row in rows] == [
        "B1", "B2", "B3", "TMC", "TMC-SSP", "B4", "B5", "B6", "B2-no-memory", "B4-no-memory",
    ]  # fmt: skip
    assert all("mars" in row.paper for row in rows)
    assert [row.name for row in rows if "ls_vid" in row.paper] == ["B1", "B2", "B3", "B4", "B5", "B6"]


def test_a_config_keeps_its_own_memory_and_a_prompt_is_lent_to_one_that_has_none() -> None:
    config = small_config()
    assert (config.memory.kind, config.prompt.variant) == ("rebuilt", "none")
    rows, notes = component_rows(config, text=True)
    whole = load_config("folder_tiny", (*SMALL, *next(row for row in rows if row.name == "B6").changes))
    assert (whole.memory.kind, whole.prompt.variant) == ("rebuilt", "paper")
    assert any("rows with SSP have `prompt.variant: paper`" in note for note in notes)
    odd = small_config("network.overrides.projection=20")
    prompt = next(row for row in component_rows(odd, text=False)[0] if row.name == "B3").changes
    assert "prompt.heads=4" in prompt  # of eight, as many as divide twenty


def test_text_rows_need_clip_weights_with_a_text_tower(tmp_path: Path) -> None:
    rows, notes = component_rows(small_config(), text=True)
    assert not {"B1", "B5"} & {row.name for row in rows}
    assert any("B1 and B5" in note and "`network.start` is random" in note for note in notes)
    clip = make_clip()
    torch.save(clip.state_dict(), tmp_path / "clip.pt")
    torch.save(clip.visual.state_dict(), tmp_path / "visual.pt")
    for name, text, there in (("clip.pt", True, True), ("clip.pt", False, False), ("visual.pt", True, False)):
        rows, notes = component_rows(small_config(f"network.start={tmp_path / name}"), text=text)
        assert ({"B1", "B5"} <= {row.name for row in rows}) == there
        assert any("B1 and B5" in note for note in notes) != there


@pytest.mark.parametrize("kind", ["none", "text"])
def test_rows_about_the_memory_need_one(kind: str) -> None:
    config = load_config("mars_vit_b16", (f"memory.kind={kind}", "prompt.variant=none"))
    with pytest.raises(ConfigError, match=f"memory.kind is {kind}, expected a CLIP-Memory"):
        component_rows(config, text=False)


def test_depths_of_ssp_need_a_memory_that_leaves_a_place_for_it() -> None:
    with pytest.raises(ConfigError, match=r"memory\.kind is momentum, which takes the place of SSP"):
        depth_rows(load_config("tfclip_plus", ("memory.kind=momentum", "prompt.variant=none")))


def test_rows_are_chosen_by_name_and_stay_in_order() -> None:
    rows = depth_rows(mars())
    assert [row.name for row in select_rows(rows, "released-4, paper-1")] == ["paper-1", "released-4"]
    assert select_rows(rows, None) == rows
    for names in ("paper-5", "paper-1,paper-5", ","):
        with pytest.raises(ConfigError, match=r"no row .*choose of paper-1, paper-2"):
            select_rows(rows, names)
