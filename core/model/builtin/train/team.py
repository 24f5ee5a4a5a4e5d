"""Processes that train one network side by side, each on batches of its own; before each step they agree on the gradient.

One process with as many threads keeps a CPU's cores busy about two thirds of the time: the rest is work between the large operations,
which one thread does while the others wait."""

import os
import tempfile

import torch
from torch import distributed


class Team:
    """This process as one of `size`; the one of rank 0 writes the log and the checkpoints."""

    def __init__(self, size):
        """The others are made here: before anything was computed, as threads do not survive it."""
        self.rank, self.size = 0, size
        if size < 2:
            return
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
        self.folder = tempfile.TemporaryDirectory(prefix="couplet-team-")
        for rank in range(1, size):
            if os.fork() == 0:
                self.rank = rank
                break
        # Whoever loses a companion is told by its next exchange, and ends.
        distributed.init_process_group("gloo", init_method=f"file://{self.folder.name}/meeting",
                                       rank=self.rank, world_size=size)

    @property
    def leads(self):
        return self.rank == 0

    def share(self, batch):
        """Of a batch of that size, this process's part."""
        return max(1, batch // self.size)

    def agree(self, parameters, numbers):
        """All processes' gradients, and each of the numbers, become their mean. Gives the numbers."""
        if self.size < 2:
            return numbers
        gradients = [p.grad for p in parameters if p.grad is not None]
        told = torch.cat([g.flatten() for g in gradients] + [torch.tensor(numbers, dtype=torch.float32)])
        distributed.all_reduce(told)
        told /= self.size
        for gradient, mean in zip(gradients, told.split([g.numel() for g in gradients] + [len(numbers)])):
            gradient.copy_(mean.view_as(gradient))
        return told[-len(numbers):].tolist()

    def follow(self, module):
        """The weights of rank 0, for all: rounding may differ where a library sums in another order."""
        if self.size < 2:
            return
        for value in module.state_dict().values():
            distributed.broadcast(value, 0)

    def part(self):
        """The work is done: all but rank 0 end here."""
        if self.size < 2:
            return
        distributed.barrier()
        distributed.destroy_process_group()
        if not self.leads:
            os._exit(0)  # what was opened before the fork is for rank 0 to close
        for _ in range(1, self.size):
            os.wait()
