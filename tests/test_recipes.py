"""Every recipe that comes with the project builds, and trains three steps when it is shrunk."""

from pathlib import Path

import pytest
import torch

from dino_ir.catalog import build, find
from dino_ir.feed import Source, Stream, assemble
from dino_ir.files.images import Photo, write_photo
from dino_ir.recipe import Recipe
from dino_ir.run_state import State

FOLDER = Path(__file__).parents[1] / "recipes"
RECIPES = sorted(FOLDER.glob("*.toml"))
SHELVES = {"network": "networks", "prior": "priors"}


def shrink(table):
    """The same system with the smallest network and prior, its contrast within three steps."""
    small = dict(table)
    for key, shelf in SHELVES.items():
        if key in table:
            name = table[key]["name"]
            small[key] = {"name": name, **find(shelf, name).tiny}
    if "restorer" in table:
        small["restorer"] = shrink(table["restorer"])
    if "contrast" in table:
        early = {"start": 1, "every": 1, "blocks": [0, 2], "weights": [0.5, 1.0]}
        small["contrast"] = {**table["contrast"], **early}
    if table["name"] == "dino_ir":
        small["side"] = 56  # divides by the stride of every prior's tiny
    return small


def shrink_phase(phase):
    small = {"steps": 1, "batch": 2, "crops": phase.crops, "crop": 32, "region": 64}
    return {**small, "zoom": [32, 64]} if phase.zoom else small


@pytest.fixture
def dataset(tmp_path):
    """Two toy pictures, in place of every dataset."""
    for number in range(2):
        picture = torch.rand(3, 70, 80, generator=torch.Generator().manual_seed(number))
        write_photo(tmp_path / f"{number}.png", Photo(picture))
    return build("datasets", {"name": "clean_folder", "root": tmp_path})


class Pairs:
    """The toy pictures with a damaged version of each, as a dataset of pairs has them."""

    def __init__(self, clean):
        self.clean = clean

    def __len__(self):
        return len(self.clean)

    def __getitem__(self, index):
        pair = self.clean[index]
        return pair._replace(degraded=pair.clean // 2)


def differ(learner):
    """Experts that are still alike teach a gate nothing."""
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in learner.parameters():
            parameter.add_(0.01 * torch.randn(parameter.shape, generator=rng))


def sources_of(recipe, dataset):
    return [
        Source(dataset, build("degradations", table["degradation"]), table.get("weight", 1.0))
        if "degradation" in table
        else Source(Pairs(dataset), None, table.get("weight", 1.0))
        for table in recipe.data
    ]


def test_there_are_recipes():
    assert RECIPES


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_the_header_says_how_to_train_it(path):
    header = [line for line in path.read_text().splitlines() if line.startswith("#")]

    assert any(f"dino-ir train recipes/{path.name}" in line for line in header)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_the_header_says_what_it_costs_and_reached(path):
    header = path.read_text().partition("seed")[0]

    assert "# Cost: " in header
    assert "not run here" in header.lower() or "score" in header.lower()


def test_the_papers_model_has_the_parameters_of_its_reconstruction():
    recipe = Recipe.read(FOLDER / "dino_ir_paper_4tasks.toml")

    with torch.device("meta"):
        restorer = build(*recipe.subject)

    # Experts 2,360,832, gate 590,851, adaption and fusion 602,895, Restormer 26,126,644; DINOv2-B frozen.
    counts = [
        sum(p.numel() for p in restorer.parameters() if p.requires_grad is learns) for learns in (True, False)
    ]
    assert counts == [29_681_222, 86_580_480]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_part_of_it_builds(path, dataset):
    recipe = Recipe.read(path)

    shelf, table = recipe.subject

    assert list(build(shelf, table).parameters())
    assert sources_of(recipe, dataset)
    assert all(find("datasets", data["dataset"]["name"]) for data in recipe.data)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_it_trains_three_steps_when_shrunk(path, dataset):
    recipe = Recipe.read(path)
    shelf, table = recipe.subject
    phases = [shrink_phase(recipe.phase[index % len(recipe.phase)]) for index in range(3)]
    small = Recipe.parse(
        {
            **{
                name: getattr(recipe, name) for name in ("average", "clip", "optimizer", "betas", "precision")
            },
            **{shelf[:-1]: shrink(table), "phase": phases, "data": recipe.data},
        },
        path.name,
    )
    sources = sources_of(recipe, dataset)
    stream = Stream(sources, small)

    learner = build(*small.subject)
    if shelf == "learners" and "restorer" in table:
        differ(learner)
    state = State(small, learner.train())
    for step in range(3):
        samples = [stream[step, row] for row in range(2)]
        values = state.advance(assemble(samples, sources, state.learner.thumbnail), "cpu")

    assert state.step == 3
    assert values["gradient"] > 0
