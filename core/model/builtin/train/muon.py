"""An optimizer that takes steps of the same size in all directions of a matrix (K. Jordan and others, "Muon: An optimizer
for hidden layers in neural networks", 2024): a step is the averaged gradient with its singular values brought near to 1."""

from concurrent.futures import ThreadPoolExecutor

import torch

# Of x -> (A + B x x' + C (x x')^2) x: from Jordan's text, chosen to raise small singular values fast, not to end at 1 exactly.
A, B, C = 3.4445, -4.7750, 2.0315
ITERATIONS = 5


def orthogonal(matrix):
    """The matrix with all singular values between about 0.7 and 1.2. The iteration is done on the Gram matrix of the shorter
    side, which commutes with all that is made of it: products of the long side are but the first and the last."""
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.t()
    wide = wide / (wide.norm() + 1e-7)
    gram, factors = wide @ wide.t(), None
    for i in range(ITERATIONS):
        factor = C * (gram @ gram) + B * gram
        factor.diagonal().add_(A)
        factors = factor if factors is None else factor @ factors
        if i + 1 < ITERATIONS:
            gram = factor @ (factor @ gram)
    made = factors @ wide
    return made if matrix.shape[0] <= matrix.shape[1] else made.t()


class Muon(torch.optim.Optimizer):
    """For weights of two and more dimensions; a convolution's are taken as [outputs, inputs * height * width]. A step's root
    mean square is 0.2 of the learning rate, as Adam's is (J. Liu and others, "Muon is scalable for LLM training", 2025).

    threads: on a CPU the matrices are small, so threads share them out rather than each product."""

    def __init__(self, parameters, lr, momentum=0.95, weight_decay=0.01, threads=1):
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        self.pool = ThreadPoolExecutor(threads)

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            # Errors of a thread come out where its result is asked for.
            list(self.pool.map(lambda weight: self.step_one(weight, group), group["params"]))

    @torch.no_grad()
    def step_one(self, weight, group):
        if weight.grad is None:
            return
        state = self.state[weight]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(weight)
        state["momentum"].lerp_(weight.grad, 1 - group["momentum"])
        ahead = weight.grad.lerp(state["momentum"], group["momentum"]).flatten(1)  # Nesterov's
        weight.mul_(1 - group["lr"] * group["weight_decay"])
        weight.add_(orthogonal(ahead).reshape(weight.shape), alpha=-0.2 * group["lr"] * max(ahead.shape) ** 0.5)
