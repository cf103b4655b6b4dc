"""One run in several processes, each with its own processor cores or its own GPU:

    torchrun --nproc-per-node 2 -m fastresnet train cifar10-90

    with open_process_group() as group:
        result = fastresnet.train(config, group=group)

Every process holds the network and takes an equal share of every batch. torch's DistributedDataParallel averages the gradients,
over gloo on processors and NCCL on GPUs. A step then equals the step of a single process whose `micro_batch` is one share: batch
norm takes its statistics per share, and each process draws its own dropout. The running statistics of batch norm are averaged
over the processes after each epoch. This equals averaging after every step, since they are linear in what each process saw. A
single process updates them once per micro-batch instead, so its evaluations differ slightly.
"""

import os
import signal
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TypeVar, cast

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from fastresnet.errors import UserError, first_line

T = TypeVar("T")


class ProcessLost(RuntimeError):
    """Another process of the run has ended too early or cannot be reached."""


@dataclass(frozen=True)
class ProcessGroup:
    """The processes of a run, and the rank of this one. Every process must call the same methods in the same order."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    """Rank of this process among the processes on its machine."""

    @property
    def is_first(self) -> bool:
        """Whether this is the process that prints and writes."""
        return self.rank == 0

    def own_device(self, device: torch.device) -> torch.device:
        """The device of this process. If there are several, each takes the GPU whose number is its local rank.

        Raises UserError if there are too few GPUs, or for a device that several processes cannot share.
        """
        if self.size == 1 or device.type == "cpu":
            return device
        if device.type != "cuda" or device.index is not None:
            raise UserError(f"device: {self.size} processes cannot train on {str(device)!r}; allowed: cpu, cuda without a number")
        needed, present = int(os.environ["LOCAL_WORLD_SIZE"]), torch.cuda.device_count()
        if needed > present:
            raise UserError(f"device: {needed} processes on this machine, but {present} GPUs; start fewer, or use --device cpu")
        torch.cuda.set_device(self.local_rank)
        return torch.device("cuda", self.local_rank)

    def share(self, batch: Tensor, dim: int = 0) -> Tensor:
        """This process's part of a batch, whose size along `dim` is a multiple of the number of processes."""
        return batch.chunk(self.size, dim)[self.rank] if self.size > 1 else batch

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum of a tensor over all processes. Changes its argument."""
        if self.size > 1:
            distributed.all_reduce(tensor)
        return tensor

    def average(self, tensors: Iterable[Tensor]) -> None:
        """Replaces each floating-point tensor by its mean over the processes. Other tensors are not changed."""
        if self.size > 1:
            for tensor in tensors:
                if tensor.is_floating_point():
                    self.sum(tensor).div_(self.size)

    def gather(self, value: T) -> list[T]:
        """The values of all processes, ordered by rank."""
        gathered = [value] * self.size
        if self.size > 1:
            distributed.all_gather_object(gathered, value)
        return gathered

    def from_first(self, make: Callable[[], T]) -> T:
        """Calls `make` in the first process and returns its result in all processes."""
        made = [make() if self.is_first else None]
        if self.size > 1:
            distributed.broadcast_object_list(made, src=0)
        return made[0]  # type: ignore[return-value]  # the first has made it

    @contextmanager
    def first_on_each_machine_first(self) -> Iterator[None]:
        """Runs the block in the first process of each machine before the others, which then find what it has downloaded."""
        try:
            if self.local_rank:
                self._meet()
            yield
        finally:
            if not self.local_rank:
                self._meet()

    def _meet(self) -> None:
        self.sum(torch.zeros(1))

    def replicate(self, model: nn.Module, *, compiled: bool, freezes: bool) -> nn.Module:
        """The network to train in every process, compiled if asked for. `freezes` says whether parts are frozen later on."""
        forward = cast(nn.Module, torch.compile(model, dynamic=False)) if compiled else model
        if self.size == 1:
            return forward
        with warnings.catch_warnings():  # the oldest torch allowed does not know the option's new name
            warnings.filterwarnings("ignore", "`broadcast_buffers` is deprecated")
            return DistributedDataParallel(forward, broadcast_buffers=False, find_unused_parameters=freezes)


ALONE = ProcessGroup()


def gradient_sync(forward: nn.Module, *, more: bool) -> AbstractContextManager[None]:
    """Context of one micro-batch's forward and backward pass, without averaging gradients over processes if `more` micro-batches
    of the step follow."""
    return forward.no_sync() if more and isinstance(forward, DistributedDataParallel) else nullcontext()


@contextmanager
def open_process_group() -> Iterator[ProcessGroup]:
    """The group of processes that torchrun started, including this one; without torchrun, a group of one.

    Raises ProcessLost if another process has ended, or if torchrun ends this one for that reason.
    """
    if not distributed.is_torchelastic_launched() or os.environ.get("WORLD_SIZE", "1") == "1":
        yield ALONE
        return
    distributed.init_process_group()
    group = ProcessGroup(distributed.get_rank(), distributed.get_world_size(), int(os.environ["LOCAL_RANK"]))

    def lost(reason: str) -> ProcessLost:
        return ProcessLost(
            f"process {group.rank} of {group.size} stops: {reason}; with --checkpoint the same command goes on from the "
            "last epoch"
        )

    def terminate(*_: object) -> None:
        raise lost("SIGTERM, since another of them is gone or the job has ended")

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield group
    except RuntimeError as error:
        # gloo has no exception type: if the other end closes a connection, it raises a RuntimeError that names its source file
        if isinstance(error, distributed.DistError) or "gloo" in str(error):
            raise lost(f"another of them is gone ({first_line(error)})") from error
        raise
    finally:
        signal.signal(signal.SIGTERM, before)
    distributed.destroy_process_group()
