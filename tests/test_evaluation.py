"""Averaging over views at test time, against plain loops."""

import pytest
import torch

import fastresnet as fr
from fastresnet.training.evaluation import average_views, least_confident


def forward(images):
    """Logits that depend on where in the image something is: brightness of the left, the upper and the lower right part."""
    return torch.stack(
        [images[..., :2].mean((1, 2, 3)), images[..., :2, :].mean((1, 2, 3)), images[..., 4:, 4:].mean((1, 2, 3))], 1
    )


def shifted(image, rows, columns):
    """The image shifted, reflected at its edges, pixel by pixel."""
    height, width = image.shape[-2:]
    out = torch.empty_like(image)
    for row in range(height):
        for column in range(width):
            source = [abs(row + rows), abs(column + columns)]
            source = [
                place if place < size else 2 * (size - 1) - place for place, size in zip(source, (height, width), strict=True)
            ]
            out[..., row, column] = image[..., source[0], source[1]]
    return out


@pytest.mark.parametrize("views", [{"test_share": 0}, {"test_share": 1.5}, {"test_share": float("nan")}, {"test_shift": -1}])
def test_impossible_views_are_refused(views):
    with pytest.raises(fr.UserError, match="test_sh.* must be .*, got "):
        fr.evaluate(fr.resnet10(in_channels=1), [(torch.zeros(2, 1, 28, 28), torch.zeros(2, dtype=torch.int64))], **views)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("shift", [0, 1, 2])
def test_views_are_the_image_its_mirror_image_and_both_moved_at_half_weight(flip, shift):
    torch.manual_seed(0)
    images = torch.rand(3, 1, 6, 6)

    def both(view):
        return (forward(view) + forward(view.flip(-1))) / 2 if flip else forward(view)

    expected = both(images)
    if shift:
        expected = expected / 2 + (both(shifted(images, shift, shift)) + both(shifted(images, -shift, -shift))) / 4
    torch.testing.assert_close(average_views(forward, images, forward(images), flip=flip, shift=shift), expected)


def test_shift_as_far_as_the_image_is_refused():
    images = torch.zeros(2, 1, 8, 6)
    with pytest.raises(fr.UserError, match="test_shift: must be below the images' side, 6, got 6"):
        average_views(lambda views: views.mean(dim=(1, 2, 3))[:, None], images, torch.zeros(2, 1), flip=False, shift=6)


def test_least_confident_are_those_whose_two_largest_logits_are_closest():
    logits = torch.tensor([[5.0, 0.0, 0.0], [1.0, 0.9, 0.0], [0.0, 2.0, 1.0], [3.0, 0.0, 2.5]])
    assert least_confident(logits, 0.25).tolist() == [1]
    assert sorted(least_confident(logits, 0.3).tolist()) == [1, 3]  # rounded up
    assert sorted(least_confident(logits, 1.0).tolist()) == [0, 1, 2, 3]


def test_evaluation_of_no_batch_is_refused():
    with pytest.raises(fr.UserError, match="there is no batch to score"):
        fr.evaluate(fr.resnet10(), [])
