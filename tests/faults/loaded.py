"""What the server that processes are forked from has loaded."""

import os

# read as torch loads: several processes that each compute on every core slow one another tenfold
os.environ["OMP_NUM_THREADS"] = "1"

import pytest  # noqa: F401

from fastresnet.data.builtin import read_sample
from fastresnet.data.vision import import_torchvision

import_torchvision("transforms.v2.functional")
read_sample("test")
