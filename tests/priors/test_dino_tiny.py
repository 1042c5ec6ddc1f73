import torch

from dino_ir.priors.dino_tiny import DINOTiny


def test_the_embedding_is_of_the_image_as_imagenet_normalises_it():
    prior = DINOTiny(**DINOTiny.tiny)
    normal = torch.randn(1, 3, 16, 24)
    image = normal * torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    image = image + torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)

    embedded = prior.embed(image)

    torch.testing.assert_close(embedded, prior.vit.embed(normal), rtol=1e-4, atol=1e-5)
