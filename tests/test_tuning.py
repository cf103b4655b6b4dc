"""A search for settings is kept in a file and goes on there."""

from types import SimpleNamespace

import pytest

from fastresnet.config.recipes import find_recipe
from fastresnet.errors import UserError
from fastresnet.training import tuning

from .conftest import command_here, refused
from .test_paths import ODD

CONFIG = find_recipe("fashion-80").config("cpu")


@pytest.fixture
def trained(monkeypatch):
    """Training without the training: the configurations asked for, each as accurate as its learning rate is high."""
    configs = []

    def train(config, seed, **_):
        configs.append(config)
        return SimpleNamespace(record=SimpleNamespace(test_accuracy=config.train.schedule.start_lr))

    monkeypatch.setattr(tuning, "train", train)
    monkeypatch.setattr(tuning, "load_dataset", lambda *_, **__: None)
    return configs


def test_trials_differ_in_settings_alone_and_never_see_the_test_set(trained):
    study = tuning.search(CONFIG, trials=3, seeds=2, storage=None)
    assert len(trained) == 6
    assert len({config.hash for config in trained}) == 3
    assert {config.data.validation_images for config in trained} == {tuning.VALIDATION_IMAGES}
    assert {(config.train.epochs, config.model.widths) for config in trained} == {(CONFIG.train.epochs, CONFIG.model.widths)}
    assert study.best_value == max(config.train.schedule.start_lr for config in trained)


def test_as_many_images_are_held_out_as_the_configuration_says(trained):
    tuning.search(CONFIG.with_changes({"data.validation_images": 300}), trials=1, seeds=1, storage=None)
    assert trained[0].data.validation_images == 300


def test_search_that_goes_on_tries_other_settings(trained, tmp_path):
    file = tmp_path / f"{ODD} ?x=%41.db"
    for _ in range(2):
        study = tuning.search(CONFIG, trials=3, seeds=1, storage=file)
    assert list(tmp_path.iterdir()) == [file]
    assert len(study.trials) == 6
    assert len({config.hash for config in trained}) == 6


def test_trial_clearly_behind_is_stopped_after_its_first_runs(trained):
    study = tuning.search(CONFIG, trials=14, seeds=2, storage=None)
    stopped = [trial for trial in study.trials if trial.state.name == "PRUNED"]
    assert stopped
    assert len(trained) == 2 * 14 - len(stopped)
    assert study.best_value == max(config.train.schedule.start_lr for config in trained)


def test_command_prints_the_best_settings(trained):
    done = command_here("tune", "fashion-80", "--variant", "cpu", "--trials", "2", "--seeds", "1")
    assert done.returncode == 0, done.stderr
    best = max(config.train.schedule.start_lr for config in trained)
    assert done.stdout.startswith(f"best mean accuracy on held-out images {100 * best:.2f} %, trial ")
    assert f"\n  lr = {best:.4g}\n" in done.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--data-dir", "nowhere", "-p", "data.name=cifar10", "-p", "model.in_channels=3"], "nowhere"),
        (["-p", "data.name=fashion-sample"], "validation_images: asked for 5000"),
    ],
)
def test_refused_search_leaves_no_file(options, message, tmp_path):
    storage = tmp_path / "search.db"
    assert message in refused(command_here("tune", "fashion-80", "--variant", "cpu", "--storage", storage, *options))
    assert not storage.exists()


def test_trials_of_other_numbers_of_seeds_are_not_compared(trained, tmp_path):
    file = tmp_path / "search.db"
    tuning.search(CONFIG, trials=3, seeds=1, storage=file)
    assert len(tuning.search(CONFIG, trials=2, seeds=2, storage=file).trials) == 2


@pytest.mark.parametrize("content", ["mine", "SQLite format 3\0", "x" * 4096])
def test_file_that_holds_no_search_is_refused_and_kept(content, trained, tmp_path):
    file = tmp_path / "search.db"
    file.write_text(content)
    with pytest.raises(UserError, match=r"search\.db: holds no search"):
        tuning.search(CONFIG, trials=1, seeds=1, storage=file)
    assert file.read_text() == content
    assert not trained
