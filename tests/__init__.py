"""The tests. Triton's kernels run in its interpreter where there is no GPU for them."""

import os

import torch

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # before anything imports Triton, which reads it then
