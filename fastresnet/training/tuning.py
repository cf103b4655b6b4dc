"""Searches for a recipe's settings on images held out of the training set. The test set is never read.

    fastresnet tune fashion-80 --trials 50 --storage search.db

Each trial trains with a few seeds. After each seed, Optuna's median pruner stops a trial if the best of its mean accuracies so
far is below the median of the earlier trials at that point. A search goes on only with the same number of seeds.
"""

import sqlite3
from pathlib import Path
from typing import Any

from fastresnet.config import RunConfig
from fastresnet.config.models import SpeedNetConfig
from fastresnet.data.sources import load_dataset
from fastresnet.errors import UserError
from fastresnet.training.runs import train

VALIDATION_IMAGES = 5_000


def search(
    config: RunConfig, *, trials: int, seeds: int, storage: Path | None, data_dir: Path | None = None, device: str | None = None
) -> Any:
    """Runs an Optuna study around a speed net's configuration and returns it. With `storage`, an earlier study continues.

    Widths, epochs and batch size stay as they are, so that every trial costs the same; every trial lets its rate fall linearly to
    nothing. Raises UserError if Optuna is not installed or the configuration trains no speed net with Muon.
    """
    try:
        import optuna
        from sqlalchemy.exc import DatabaseError
    except ImportError as error:
        raise UserError("tune: Optuna is not installed; get it with: pip install optuna") from error
    if not isinstance(config.model, SpeedNetConfig) or config.train.muon is None:
        raise UserError("tune: only a speed net trained with Muon can be tuned")

    def opened() -> Any:
        # not by a URL: in it, some characters of a path mean something else
        creator = {"creator": lambda: sqlite3.connect(storage or ":memory:")}
        try:
            return optuna.storages.RDBStorage("sqlite://", engine_kwargs=creator)
        except DatabaseError as error:
            raise UserError(f"--storage {storage}: holds no search; name a new file, or one that tune wrote") from error

    if storage and storage.exists():
        opened()  # refuses what is no search; a new file is made once all else has been checked
    config = config.with_changes(
        {"data.validation_images": config.data.validation_images or VALIDATION_IMAGES, "train.evaluate_every": 1_000}
    )
    dataset = load_dataset(config.data.name, data_dir, channels=config.model.in_channels, image_size=config.data.image_size)
    kept = opened()

    def objective(trial: Any) -> float:
        candidate = suggest(trial, config)
        total = 0.0
        for seed in range(seeds):
            record = train(candidate, seed, dataset=dataset, device=device).record
            total += record.test_accuracy or 0.0  # on the held-out images
            trial.report(total / (seed + 1), seed)
            if seed + 1 < seeds and trial.should_prune():
                raise optuna.TrialPruned
        return total / seeds

    study = optuna.create_study(
        study_name=f"{config.hash}-seeds{seeds}",  # a mean of fewer runs would win by luck
        storage=kept,
        load_if_exists=True,
        direction="maximize",
        pruner=optuna.pruners.MedianPruner(n_startup_trials=8),
    )
    # a search that continues must not draw its first trials again
    study.sampler = optuna.samplers.TPESampler(seed=len(study.trials), multivariate=True)
    study.optimize(objective, n_trials=trials)
    return study


def suggest(trial: Any, config: RunConfig) -> RunConfig:
    """A configuration with the settings that a trial proposes."""
    return config.with_changes(
        {
            "train.schedule": {"kind": "linear", "start_lr": trial.suggest_float("lr", 0.04, 0.5, log=True)},
            "train.bias_lr_factor": trial.suggest_float("bias_lr_factor", 20, 1_000, log=True),
            "train.head_lr_factor": trial.suggest_float("head_lr_factor", 0.02, 1.0, log=True),
            "train.momentum": trial.suggest_float("momentum", 0.6, 0.95),
            "train.muon.momentum": trial.suggest_float("muon_momentum", 0.3, 0.95),
            "train.label_smoothing": trial.suggest_float("label_smoothing", 0.0, 0.3),
            "train.weight_decay": trial.suggest_float("weight_decay", 1e-3, 0.1, log=True),
            "model.norm_momentum": trial.suggest_float("norm_momentum", 0.03, 0.5, log=True),
        }
    )
