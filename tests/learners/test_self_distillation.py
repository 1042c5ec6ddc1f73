import copy

import pytest
import torch

from dino_ir.contracts import Batch
from dino_ir.errors import RecipeError, TrainingError, WeightsError
from dino_ir.learners.self_distillation import SelfDistillation
from dino_ir.priors.dino_tiny import DINOTiny
from dino_ir.priors.mobilenet_v2 import MobileNetV2
from dino_ir.priors.patch_color import PatchColor


def learner(**options):
    torch.manual_seed(0)
    return SelfDistillation(DINOTiny(**DINOTiny.tiny), prototypes=16, **options)


@pytest.fixture
def batch():
    """Two crops of each of four photos, damaged by noise."""
    rng = torch.Generator().manual_seed(0)
    clean = torch.rand(8, 3, 4, 4, generator=rng)
    clean = torch.nn.functional.interpolate(clean, (32, 32), mode="bilinear")
    degraded = clean + 0.1 * torch.randn(clean.shape, generator=rng)
    return Batch(degraded.clamp(0, 1), clean)


def descend(part, batch, steps, lr=3e-3):
    """Train on one batch; return the total loss of each step."""
    optimizer = torch.optim.AdamW([p for p in part.parameters() if p.requires_grad], lr)
    totals = []
    for step in range(steps):
        total = sum(part.losses(batch, step=0).values())
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        part.after_step(step, steps)
        totals.append(total.item())
    return totals


def test_loss_falls(batch):
    part = learner(teacher={"name": "patch_color", "stride": 8})

    totals = descend(part, batch, steps=30)

    assert totals[-1] < 0.9 * totals[0]


def test_prior_moves_only_towards_the_student(batch):
    part = learner(momentum=0.75)
    before = copy.deepcopy(part.prior.vit.state_dict())
    sum(part.losses(batch, step=0).values()).backward()
    with torch.no_grad():
        for parameter in part.student.parameters():
            parameter += 1

    untouched = copy.deepcopy(part.prior.vit.state_dict())
    part.after_step(0, 10)

    for name, value in part.prior.vit.state_dict().items():
        torch.testing.assert_close(untouched[name], before[name], rtol=0, atol=0)
        torch.testing.assert_close(value, 0.75 * before[name] + 0.25 * part.student.state_dict()[name])


def test_average_stands_still_at_the_end():
    part = learner(momentum=0.5)
    with torch.no_grad():
        part.student.norm.bias += 1

    part.after_step(10, 10)

    assert part.prior.vit.norm.bias.abs().max() == 0


def test_only_the_student_learns(batch):
    part = learner(teacher={"name": "patch_color", "stride": 8}, hidden=1.0)

    sum(part.losses(batch, step=0).values()).backward()

    taught = {name for name, parameter in part.named_parameters() if parameter.grad is not None}
    free = {name for name, parameter in part.named_parameters() if parameter.requires_grad}
    assert taught == free
    assert not any(name.startswith(("prior", "average", "teacher")) for name in taught)


def test_product_is_the_average_and_still_frozen(batch):
    part = learner().train()
    descend(part, batch, steps=2)

    product = part.product()

    assert product is part.prior
    assert not any(parameter.requires_grad for parameter in product.parameters())
    assert not torch.equal(product.vit.pos_embed, part.student.pos_embed)


def test_student_starts_as_the_prior():
    part = learner()

    for name, value in part.prior.vit.state_dict().items():
        assert torch.equal(part.student.state_dict()[name], value)


def test_control_never_sees_the_damage(batch):
    other = batch._replace(degraded=torch.rand_like(batch.clean))

    seeing, control = learner(), learner(damaged_views=False)

    assert control.losses(batch, 0)["patch"] == control.losses(other, 0)["patch"]
    assert seeing.losses(batch, 0)["patch"] != seeing.losses(other, 0)["patch"]


def test_same_step_hides_the_same_patches(batch):
    first, second = learner(hidden=1.0), learner(hidden=1.0)
    torch.rand(7)

    assert first.losses(batch, step=5)["patch"] == second.losses(batch, step=5)["patch"]
    assert first.losses(batch, step=6)["patch"] != second.losses(batch, step=5)["patch"]


def test_readings_tell_a_collapse(batch):
    sound, collapsed = learner(), learner()
    with torch.no_grad():
        collapsed.prior.vit.norm.weight.zero_()
        collapsed.prior.vit.norm.bias.normal_()

    sound.losses(batch, 0)
    collapsed.losses(batch, 0)

    assert sound.readings()["rank"] > 3
    assert collapsed.readings()["rank"] == 0
    assert collapsed.readings()["deviation"] == pytest.approx(0, abs=1e-3)
    assert collapsed.readings()["entropy"] == pytest.approx(1, abs=1e-3)


def test_resumes_from_its_state(batch):
    part = learner(teacher={"name": "patch_color", "stride": 8})
    descend(part, batch, steps=3)
    other = learner(teacher={"name": "patch_color", "stride": 8})

    other.load_state_dict(part.state_dict())

    assert part.losses(batch, 3) == other.losses(batch, 3)


def test_second_teacher_is_read_from_a_file(tmp_path, batch):
    torch.manual_seed(1)
    given = MobileNetV2()
    parts = [part for part in given.modules() if isinstance(part, torch.nn.Conv2d)]
    tensors = {
        f"layer{i:02d}.{name}": value for i, p in enumerate(parts) for name, value in p.state_dict().items()
    }
    torch.save(tensors, tmp_path / "teacher.pth")

    part = learner(teacher={"weights": str(tmp_path / "teacher.pth")})

    image = torch.rand(1, 3, 32, 32)
    for one, other in zip(part.teacher(image), given(image)):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
    assert part.losses(batch, 0).keys() >= {"teacher_class", "teacher_patch"}


@pytest.mark.parametrize("content", [None, b"not a file of tensors"])
def test_unreadable_second_teacher_is_told(tmp_path, content):
    path = tmp_path / "teacher.pth"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(WeightsError, match=r"teacher\.pth"):
        learner(teacher={"weights": str(path)})


def test_refuses_other_priors():
    with pytest.raises(ValueError, match="dino_tiny"):
        SelfDistillation(PatchColor())


def test_unknown_teacher_is_told():
    with pytest.raises(RecipeError, match="mobilenet_v2"):
        learner(teacher={"name": "mobilenet_v9"})


def test_a_batch_of_other_crops_is_refused(batch):
    photos = torch.rand(2, 3, 8, 8)

    with pytest.raises(
        TrainingError, match=r"a batch of 8 crops is not 3 crops of each photo: give \[learner\]"
    ):
        learner(crops=3).losses(batch, 0)
    with pytest.raises(TrainingError, match="a batch of 8 crops of 2 photos is not 2 crops of each photo"):
        learner(crops=2).losses(batch._replace(photo=photos), 0)
    assert learner(crops=4).losses(batch._replace(photo=photos), 0)
