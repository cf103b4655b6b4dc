"""Fast, honest, re-runnable training of small ResNets.

>>> import fastresnet
>>> config = fastresnet.load_yaml(path, fastresnet.RunConfig)
>>> result = fastresnet.train(config, seed=0)
>>> result.record.test_accuracy

Names are imported when first used: what needs no torch does not wait for it.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "DataConfig": "config",
    "ModelConfig": "config",
    "TrainConfig": "config",
    "RunConfig": "config",
    "load_yaml": "config",
    "UserError": "errors",
}
