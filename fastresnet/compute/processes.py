"""One run over several processes, each with a processor's cores or a GPU of its own:

    torchrun --nproc-per-node 2 -m fastresnet train cifar10-90

    with open_process_group() as group:
        result = fastresnet.train(config, group=group)

Every process holds the network and takes an equal share of every batch; torch's DistributedDataParallel averages the
gradients, over gloo on processors and NCCL on GPUs. A step is then that of one process whose `micro_batch` is a
process's share: batch norm sees a share at a time, and dropout draws in every process for itself. The running
statistics of batch norm are averaged over the processes after each epoch; being linear in what each saw, they come out
as if that had been done at every step. One process moves them once a piece, so that its evaluations differ a little.
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

from fastresnet.errors import UserError

T = TypeVar("T")


class ProcessLost(RuntimeError):
    """Another process of the run has ended before its time, or cannot be reached."""


@dataclass(frozen=True)
class ProcessGroup:
    """The processes of a run, and which of them this is. What is called on it must be called in each of them."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    """This process's rank among those on its machine."""

    @property
    def is_first(self) -> bool:
        """Whether this is the process that prints and writes."""
        return self.rank == 0

    def own_device(self, device: torch.device) -> torch.device:
        """The device of this process: of several on one machine each takes the GPU of its number.

        Raises UserError if there are too few, or for a device that several processes cannot share.
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
        """The sum of every process's tensor; changes its argument."""
        if self.size > 1:
            distributed.all_reduce(tensor)
        return tensor

    def average(self, tensors: Iterable[Tensor]) -> None:
        """Gives each of some tensors, those of whole numbers excepted, its mean over the processes."""
        if self.size > 1:
            for tensor in tensors:
                if tensor.is_floating_point():
                    self.sum(tensor).div_(self.size)

    def gather(self, value: T) -> list[T]:
        """Every process's value, by rank."""
        gathered = [value] * self.size
        if self.size > 1:
            distributed.all_gather_object(gathered, value)
        return gathered

    def from_first(self, make: Callable[[], T]) -> T:
        """What the first process makes, in all of them."""
        made = [make() if self.is_first else None]
        if self.size > 1:
            distributed.broadcast_object_list(made, src=0)
        return made[0]  # type: ignore[return-value]  # the first has made it

    @contextmanager
    def first_here_goes_first(self) -> Iterator[None]:
        """Lets a machine's other processes into the block once its first has left it: they find what that has fetched."""
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
        """The network as every process trains it; `freezes` if parts of it are to stand still later on."""
        forward = cast(nn.Module, torch.compile(model, dynamic=False)) if compiled else model
        if self.size == 1:
            return forward
        with warnings.catch_warnings():  # the option has a new name, which the oldest torch allowed does not know
            warnings.filterwarnings("ignore", "`broadcast_buffers` is deprecated")
            return DistributedDataParallel(forward, broadcast_buffers=False, find_unused_parameters=freezes)


ALONE = ProcessGroup()


def accumulate(forward: nn.Module, *, more: bool) -> AbstractContextManager[None]:
    """A block whose gradients only add up in this process, since `more` are to come before the step."""
    return forward.no_sync() if more and isinstance(forward, DistributedDataParallel) else nullcontext()


def launched_processes() -> int:
    """How many processes torchrun has started; 1 without it."""
    return int(os.environ["WORLD_SIZE"]) if distributed.is_torchelastic_launched() else 1


@contextmanager
def open_process_group() -> Iterator[ProcessGroup]:
    """The processes that torchrun started, of which this is one; a group of one without it.

    Raises ProcessLost if another process is gone, or torchrun ends this one because of that.
    """
    if launched_processes() == 1:
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
        raise lost("SIGTERM, another of them being gone or the job at its end")

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield group
    except RuntimeError as error:
        # gloo names no type: a connection that its other end has closed is a RuntimeError with the place in its source
        if isinstance(error, distributed.DistError) or "gloo" in str(error):
            raise lost(f"another of them is gone ({str(error).splitlines()[0]})") from error
        raise
    finally:
        signal.signal(signal.SIGTERM, before)
    distributed.destroy_process_group()
