"""Saves a trained network with its configuration and class names, and loads it without running code from the file.

save_model(result.saved, "model.pt")
load_model("model.pt").predict(images)
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor, nn

from fastresnet.config import RunConfig
from fastresnet.config.base import Frozen
from fastresnet.config.parsing import parse
from fastresnet.data.pictures import MODES, Mode, as_pixels, read_picture
from fastresnet.errors import UserError, first_line
from fastresnet.models.build import build_model
from fastresnet.records.folders import at_home
from fastresnet.records.torch_files import read_state, write_state

_FILES_AT_A_TIME = 64
_FORMAT = 1
_FIELDS = {"format", "config", "class_names", "image_shape", "mean", "std", "weights"}


@dataclass(frozen=True)
class SavedModel:
    """A trained network that classifies images: in evaluation mode, with the shape [C, H, W], channel statistics and classes of
    its training images.

    >>> data = {"name": "fashion-sample", "train_images": 100, "test_images": 100}
    >>> config = fr.RunConfig(data=data, model={"depth": 10, "in_channels": 1}, train={"epochs": 1})
    >>> saved = fr.train(config).saved
    >>> saved.predict(torch.zeros(2, 1, 28, 28, dtype=torch.uint8)).shape
    torch.Size([2, 10])
    """

    config: RunConfig
    model: nn.Module
    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __repr__(self) -> str:
        return f"SavedModel({self.config.model.kind}, {len(self.class_names)} classes, images {list(self.image_shape)})"

    @property
    def weights_digest(self) -> str:
        """Twelve hexadecimal digits that identify the weights."""
        digest = hashlib.sha256()
        for tensor in self.model.state_dict().values():
            digest.update(tensor.cpu().flatten().view(torch.uint8).numpy().tobytes())  # numpy has no bf16
        return digest.hexdigest()[:12]

    @torch.no_grad()  # not inference_mode, whose tensors cannot be changed afterwards
    def predict(self, images: Tensor) -> Tensor:
        """Probabilities float32 [N, classes] of uint8 images [N, C, H, W] of any size, on the network's device. Images are first
        resized to the size of the training images. Test-time augmentation belongs to evaluation, and is not applied. Raises
        UserError for other values or shapes, or if weights that are not finite give no probabilities. Leaves the network in
        evaluation mode."""
        channels = self.image_shape[0]
        if not isinstance(images, Tensor):
            raise UserError(f"predict: images must be a torch tensor, got {type(images).__name__}")
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != channels or 0 in images.shape[2:]:
            found = f"{str(images.dtype).removeprefix('torch.')} {list(images.shape)}"
            raise UserError(f"predict: images must be uint8 [N, {channels}, height, width], got {found}")
        return self._classify(self._prepare(images))

    @torch.no_grad()
    def predict_files(self, files: Iterable[str | Path]) -> Iterator[tuple[str | Path, Tensor | UserError]]:
        """Yields each image file with its probabilities [classes], or with the UserError that says why it has none.

        A few files are read and classified at a time, so that memory does not grow with their number. Raises UserError, once
        iterated over, if the network takes images that no file holds, or for a single path.
        """
        if isinstance(files, str | bytes | Path) or not isinstance(files, Iterable):
            raise UserError(f"files: must be a list of paths, got {str(files)!r:.200}")
        self._mode()
        files = list(files)
        for start in range(0, len(files), _FILES_AT_A_TIME):
            batch = files[start : start + _FILES_AT_A_TIME]
            read = [self._try_to_read(file) for file in batch]
            prepared = [each for each in read if isinstance(each, Tensor)]
            probabilities = iter(self._classify(torch.cat(prepared)) if prepared else ())
            for file, each in zip(batch, read, strict=True):
                yield file, each if isinstance(each, UserError) else next(probabilities)

    def read_image(self, path: str | Path) -> Tensor:
        """Reads an image file as uint8 [1, C, H, W], grey or RGB as the network requires. Raises UserError if it is no image."""
        return torch.from_numpy(as_pixels(read_picture(at_home(path), self._mode())))[None]

    def _mode(self) -> Mode:
        if (channels := self.image_shape[0]) not in MODES:
            raise UserError(f"the network takes images of {channels} channels; image files have 1 or 3")
        return MODES[channels]

    def _try_to_read(self, file: str | Path) -> Tensor | UserError:
        try:
            return self._prepare(self.read_image(file))
        except UserError as error:
            return error

    def _prepare(self, images: Tensor) -> Tensor:
        """Normalises uint8 images [N, C, H, W] and resizes them to the size of the training images."""
        weight = next(self.model.parameters())
        mean, std = (torch.tensor(values, device=weight.device)[:, None, None] for values in (self.mean, self.std))
        pixels = (images.to(weight.device).float() / 255 - mean) / std
        return nn.functional.interpolate(pixels, size=self.image_shape[1:], mode="bilinear", antialias=True).to(weight.dtype)

    def _classify(self, prepared: Tensor) -> Tensor:
        logits = self.model.eval()(prepared)  # training it further may have left it in training mode
        if not logits.isfinite().all():
            raise UserError("predict: the network's logits are not all finite numbers; its weights are damaged")
        return logits.float().softmax(dim=1)


def save_model(saved: SavedModel, path: str | Path) -> Path:
    """Writes a network, such as `train(...).saved`, to a file atomically, in a new folder if need be, and returns its path.

    Raises UserError, before it writes, for what is no SavedModel, or for one that `load_model` would refuse.

    >>> data = {"name": "fashion-sample", "train_images": 100, "test_images": 100}
    >>> config = fr.RunConfig(data=data, model={"depth": 10, "in_channels": 1}, train={"epochs": 1})
    >>> print(fr.save_model(fr.train(config).saved, "model.pt"))
    model.pt
    """
    if not isinstance(saved, SavedModel):
        raise UserError(
            f"save_model: must be a SavedModel, such as train(...).saved, got {type(saved).__name__}; torch.save keeps the "
            "state_dict() of any other network"
        )
    path = at_home(path)
    facts = {
        "class_names": list(saved.class_names),
        "image_shape": list(saved.image_shape),
        "mean": list(saved.mean),
        "std": list(saved.std),
    }
    weights = {name: tensor.cpu() for name, tensor in saved.model.state_dict().items()}
    _whole(saved.config, weights, facts, "save_model")
    write_state({"format": _FORMAT, "config": saved.config.model_dump_json(), **facts, "weights": weights}, path)
    return path


def load_model(path: str | Path) -> SavedModel:
    """Reads a saved network onto the CPU. Raises UserError that names the file if it does not hold a whole network.

    >>> data = {"name": "fashion-sample", "train_images": 100, "test_images": 100}
    >>> config = fr.RunConfig(data=data, model={"depth": 10, "in_channels": 1}, train={"epochs": 1})
    >>> fr.load_model(fr.save_model(fr.train(config).saved, "model.pt"))
    SavedModel(resnet, 10 classes, images [1, 28, 28])
    """
    path = at_home(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file; train --save FILE writes one")
    try:
        state: dict[str, Any] = read_state(path.read_bytes())
    except Exception as error:  # torch.load documents no type: a truncated archive gives RuntimeError or OSError
        raise UserError(f"{path}: not a model that fastresnet saved, or damaged: {first_line(error)}") from error
    if not isinstance(state, dict) or set(state) != _FIELDS or state["format"] != _FORMAT:
        raise UserError(f"{path}: not a model that this version of fastresnet saved")
    try:
        config = parse(json.loads(state["config"]), RunConfig, str(path))
    except (TypeError, json.JSONDecodeError) as error:
        raise UserError(f"{path}: its configuration cannot be read: {error}") from error
    return _whole(config, state["weights"], {name: state[name] for name in _Facts.model_fields}, str(path))


def _whole(config: RunConfig, weights: dict[str, Tensor], facts: dict[str, Any], where: str) -> SavedModel:
    """The network of these parts. Raises UserError, which begins with `where`, unless they fit together."""
    model = build_model(config.model, seed=0)
    try:
        model.load_state_dict(weights)
    except (AttributeError, RuntimeError, TypeError) as error:
        reason = "; ".join(line.strip() for line in str(error).splitlines()[1:2]) or first_line(error)
        raise UserError(f"{where}: its weights do not fit its configuration: {reason}") from error
    known = parse(facts, _Facts, where)
    channels, classes = config.model.in_channels, config.model.num_classes
    if (len(known.mean), len(known.std), known.image_shape[0], len(known.class_names)) != (channels,) * 3 + (classes,):
        raise UserError(f"{where}: its statistics or classes do not fit its network")
    if not all(weight.isfinite().all() for weight in model.state_dict().values()):
        raise UserError(f"{where}: its weights are not all finite numbers")
    return SavedModel(config, model.eval(), known.class_names, known.image_shape, known.mean, known.std)


class _Facts(Frozen):
    """What a saved network knows of its training images."""

    class_names: tuple[str, ...]
    image_shape: tuple[PositiveInt, PositiveInt, PositiveInt]
    mean: tuple[float, ...]
    std: tuple[PositiveFloat, ...]


def transfer(model: nn.Module, start: SavedModel, class_names: Sequence[str]) -> None:
    """Copies the weights of `start` into `model`, except those of a classifier for other classes than these.

    Raises UserError if any other weights differ in name or shape.
    """
    weights, own = start.model.state_dict(), model.state_dict()
    classifier = {name for name in own | weights if name.startswith(("head.", "fc."))}
    fitting = {name: tensor for name, tensor in weights.items() if name in own and own[name].shape == tensor.shape}
    others = (own | weights).keys() - fitting.keys() - classifier
    if start.class_names != tuple(class_names):
        fitting = {name: tensor for name, tensor in fitting.items() if name not in classifier}
    if others:
        raise UserError(f"the network to start from has another shape: {', '.join(sorted(others)[:3])} differ")
    model.load_state_dict(own | fitting)
