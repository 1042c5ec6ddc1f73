"""How hard each term of a recipe's loss pulls: norms of its gradient, and the angle between two terms.

Command: python bench/gradients.py recipes/dino_ir_contrast.toml --data DIR --init WEIGHTS
"""

import argparse
from dataclasses import replace
from pathlib import Path

import torch

from dino_ir.feed import Stream, assemble
from dino_ir.recipe import Recipe
from dino_ir.training import build_learner, build_sources, start_from


def main() -> None:
    """Print a row for a batch of each phase: the terms, at weight 1, and their gradients."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--init", type=Path)
    parser.add_argument("--batches", type=int, default=3)
    options = parser.parse_args()

    recipe = Recipe.read(options.recipe)
    recipe = replace(recipe, restorer={**(recipe.restorer or {}), "contrast": {}})  # weight 1 from step 0
    learner = build_learner(recipe).train()
    if options.init:
        start_from(learner, options.init)
    sources = build_sources(recipe, options.data)
    stream = Stream(sources, recipe)
    parameters = [p for name, p in learner.named_parameters() if name.startswith("network.")]
    first = 0
    for phase in recipe.phase:
        for step in range(first, first + options.batches):
            batch = assemble([stream[step, row] for row in range(phase.batch)], sources, learner.thumbnail)
            losses = learner.losses(batch, 0)
            pulls = [gradient(loss, parameters) for loss in losses.values()]
            norms = "  ".join(
                f"{name} {loss.item():.4f} pulls {pull.norm().item():8.3f}"
                for (name, loss), pull in zip(losses.items(), pulls)
            )
            print(f"crop {phase.crop}  {norms}  cosine {torch.cosine_similarity(*pulls, dim=0).item():+.2f}")
        first += phase.steps


def gradient(loss: torch.Tensor, parameters: list[torch.nn.Parameter]) -> torch.Tensor:
    """The gradient of one term, as one vector."""
    parts = torch.autograd.grad(loss, parameters, retain_graph=True)
    return torch.cat([part.flatten() for part in parts])


if __name__ == "__main__":
    main()
