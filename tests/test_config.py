"""Configurations refuse what they do not know, and their hash names what a result depends on."""

import pytest
import yaml
from pydantic import ValidationError

from fastresnet.config import DataConfig, PruneConfig, RunConfig, TrainConfig
from fastresnet.config.models import DavidNetConfig, ResNetConfig
from fastresnet.config.parsing import load_yaml, parse
from fastresnet.config.recipes import RECIPES
from fastresnet.config.schedules import Constant, Linear, OneCycle, PiecewiseLinear
from fastresnet.errors import UserError


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"train": {"epoch": 2}}, r"train\.epoch: unknown key \(did you mean epochs\?\); allowed: epochs, schedule"),
        ({"trains": {}}, r"trains: unknown key \(did you mean train\?\); allowed: data, model, train"),
        ({"train": {"epochs": "2"}}, r"train\.epochs: .*valid number, got the text '2'"),
        ({"train": {"weight_decay": "5e-4"}}, r"train\.weight_decay: .*valid number, got the text '5e-4'$"),
        ({"train": {"epochs": 0}}, r"train\.epochs: .*greater than 0, got 0"),
        ({"train": {"weight_decay": float("inf")}}, r"train\.weight_decay: Input should be a finite number"),
        ({"train": {"weight_decay": float("nan")}}, r"train\.weight_decay: Input should be a finite number"),
        ({"train": {"nesterov": True}}, r"nesterov: needs momentum > 0"),
        ({"train": {"schedule": {"kind": "one-cycle", "max_lr": 1, "peak": 2}}}, r"peak: unknown key.*allowed: kind, max_lr"),
        ({"train": {"schedule": {"kind": "cosin"}}}, r"train\.schedule: no such kind .*cosine.*, got 'cosin'; allowed: constant"),
        ({"train": {"schedule": {"lr": 1}}}, r"train\.schedule: has no kind; allowed: constant, multi-step"),
        ({"model": {"kind": None}}, r"model: no such kind, got 'None'; allowed: resnet, speednet, davidnet"),
        ({"data": {"name": "folder:l\udce9"}}, r"a text is not UTF-8, as records are, in '.*folder:l\\udce9'$"),
        ({"train": {"schedule": {"kind": "piecewise-linear", "points": [[0.5, 0.1], [0.2, 0.1]]}}}, "strictly increasing"),
        ({"train": {"muon": {}, "lars": {}}}, "lars: muon already trains the convolutions"),
        ({"train": {"cuda_graph": True, "precision": "fp16"}}, r"cuda_graph: a step cannot be recorded with precision as it is"),
        ({"train": {"cuda_graph": True, "lars": {"trust": 0.02}}}, r"cuda_graph: a step cannot be recorded with lars"),
        (
            {"train": {"measure": ["batch-statistics"], "fused_kernels": True}},
            "measure: batch-statistics needs torch's batch norm",
        ),
        ({"train": {"compile": True, "fused_kernels": True}}, "fused_kernels: torch.compile makes kernels of its own"),
        ({"train": {"compile": True, "matmul_gradients": True}}, "matmul_gradients: not tried with torch.compile"),
        ({"train": {"lr": 0.2}}, r"train: lr: a learning rate .* schedule=Constant\(lr=0\.2\).* {kind: constant, lr: 0\.2}$"),
        ({"train": {"fused_kernels": True}}, r"train\.fused_kernels: there are some for a speednet with gelu or relu alone"),
        ({"train": {"cuda_graph": True, "time_parts": True}}, r"cuda_graph: a step cannot be recorded with time_parts"),
        (
            {"train": {"cuda_graph": True, "schedule": {"kind": "one-cycle", "max_lr": 1, "momentum_range": [0.8, 0.9]}}},
            "cuda_graph: a step cannot be recorded with schedule as it is; set cuda_graph to false",
        ),
        ({"model": {"depth": 19}}, r"model\.depth: Input should be 10, 18 or 34, got 19"),
        ({"model": {"channels": [1, 2, 3]}}, r"model\.channels"),
        ({"model": {"in_channels": 1}}, r"model\.in_channels: cifar10 images have 3, got 1"),
        ({"model": {"num_classes": 100}}, r"model\.num_classes: cifar10 has 10, got 100"),
        ({"data": {"name": "cifar"}}, r"no data set 'cifar'; allowed: fashion-mnist, cifar10"),
        ({"data": {"loader": "worker", "flip": "alternating"}}, r"'alternating' needs loader 'tensor'"),
        ({"data": {"num_workers": 2}}, r"loader 'tensor' has no workers"),
        ({"data": {"loader": "worker", "size_curriculum": [[0, 24]]}}, "size_curriculum: needs loader 'tensor'"),
        ({"data": {"validation_images": 5000, "train_images": 45001}}, "train_images: .* at most 45000 of cifar10"),
        ({"data": {"validation_images": 5000, "test_images": 5001}}, "test_images: .* at most 5000 of cifar10"),
    ],
)
def test_refusal_names_the_key_and_what_is_allowed(values, message):
    with pytest.raises(UserError, match=rf"^run\.yml: .*{message}"):
        parse(values, RunConfig, "run.yml")


def test_yaml_gives_the_configuration_it_spells(tmp_path):
    file = tmp_path / "run.yml"
    file.write_text("model: {channels: [8, 16, 32, 64]}\ntrain: {epochs: 3, schedule: {kind: one-cycle, max_lr: 1.0e-1}}\n")
    expected = RunConfig(model=ResNetConfig(channels=(8, 16, 32, 64)), train=TrainConfig(epochs=3, schedule=OneCycle(max_lr=0.1)))
    assert load_yaml(file, RunConfig) == expected


def test_changes_derive_a_checked_copy():
    config = RunConfig()
    changed = config.with_changes({"train.epochs": 3, "model.dropout": 0.5, "train.schedule": OneCycle(max_lr=0.3)})
    assert (changed.train.epochs, changed.model.dropout, changed.train.schedule) == (3, 0.5, OneCycle(max_lr=0.3))
    with pytest.raises(ValidationError):
        config.train.epochs = 3
    assert config.train.epochs == 10
    for path in ("epochs", "train.epoch", "nothing.epochs"):
        with pytest.raises(UserError, match="unknown key"):
            config.with_changes({path: 3})


def test_name_that_no_record_can_hold_is_refused():
    with pytest.raises(ValidationError, match="not UTF-8 text, as records are"):
        DataConfig(name="folder:l\udce9")


@pytest.mark.parametrize("order", [1, -1])
def test_another_kind_brings_its_own_keys_in_any_order(order):
    changes = [("train.schedule.max_lr", 0.3), ("train.schedule.kind", "one-cycle"), ("model.kind", "davidnet")]
    changed = RunConfig(model=ResNetConfig(dropout=0.5)).with_changes(dict(changes[::order]))
    assert (changed.train.schedule, changed.model) == (OneCycle(max_lr=0.3), DavidNetConfig())
    same = changed.with_changes({"train.schedule.kind": "one-cycle"})
    assert same == changed


def test_key_of_a_part_that_is_none_makes_the_part():
    assert RunConfig().with_changes({"data.prune.skip": 0.2}).data.prune == PruneConfig(skip=0.2)
    with pytest.raises(UserError, match=r"train\.schedule\.lr\.x: lr has no keys; allowed: train\.schedule\.lr=VALUE$"):
        RunConfig().with_changes({"train.schedule.lr.x": 1})


@pytest.mark.parametrize(
    ("schedule", "keys"),
    [
        (Constant(lr=0.1), "train.schedule.lr"),
        (OneCycle(max_lr=0.1), "train.schedule.max_lr"),
        (Linear(start_lr=0.1), "train.schedule.start_lr, train.schedule.end_lr"),
        (PiecewiseLinear(points=((0, 0.1), (1, 0))), "train.schedule.points"),
    ],
    ids=lambda value: getattr(value, "kind", None),
)
@pytest.mark.parametrize("key", ["train.lr", "train.learning_rate", "train.max_lr"])
def test_rate_outside_the_schedule_is_told_its_key_in_it(schedule, keys, key):
    with pytest.raises(UserError, match=f"^{key}: a learning rate belongs to its schedule; allowed: {keys}$"):
        RunConfig(train=TrainConfig(schedule=schedule)).with_changes({key: 0.2})


def test_hash_tells_configurations_apart_and_survives_json():
    hashes = {
        RunConfig().hash,
        RunConfig(data=DataConfig(batch_size=256)).hash,
        RunConfig(train=TrainConfig(epochs=11)).hash,
        RunConfig(train=TrainConfig(schedule=OneCycle(max_lr=0.1))).hash,
        RunConfig(train=TrainConfig(schedule=OneCycle(max_lr=0.2))).hash,
        RunConfig(model=ResNetConfig(dropout=0.1)).hash,
    }
    assert len(hashes) == 6
    assert RunConfig(train=TrainConfig(momentum=0.0)).hash == RunConfig().hash  # a default spelled out
    config = RunConfig(train=TrainConfig(schedule=OneCycle(max_lr=0.1), epochs=3))
    assert RunConfig.model_validate_json(config.model_dump_json()).hash == config.hash


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=lambda recipe: recipe.name)
def test_yaml_of_a_configuration_gives_it_back(recipe):
    config = recipe.config("cpu").with_changes({"train.schedule": OneCycle(max_lr=1e-7, momentum_range=(0.85, 0.95))})
    text = config.to_yaml()
    assert parse(yaml.safe_load(text), RunConfig, "copied") == config


@pytest.mark.parametrize("order", [1, -1])
def test_whole_value_and_a_part_of_it_are_changed_in_any_order_and_left_alone(order):
    whole = {"kind": "one-cycle", "max_lr": 0.1}
    changes = [("train.schedule", whole), ("train.schedule.max_lr", 0.3)][::order]
    assert RunConfig().with_changes(dict(changes)).train.schedule == OneCycle(max_lr=0.3)
    assert whole == {"kind": "one-cycle", "max_lr": 0.1}
