"""What all trainings share: learning rate over a number of minutes, averaged weights, a log, and a checkpoint to go on
from. How a loss is made is not its business."""

import csv
import math
import os
import time

import torch

from muon import Muon
from settings import path_in
from team import Team

NARROW = 8  # rows or columns: below that a matrix has few directions to make equal


def prepare(settings, processes=1):
    """Gives the team of that many processes, of which this is one."""
    if processes > 1 and settings.run.device == "cuda":
        raise SystemExit("run.team: processes side by side are for a CPU's cores, a CUDA device takes 1")
    team = Team(processes)
    torch.set_flush_denormal(True)  # before there are threads, which inherit it: numbers that small cost a processor dearly
    torch.set_num_threads(max(1, settings.run.threads // team.size))
    torch.manual_seed(settings.run.seed + team.rank)
    if settings.run.device == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = True
        torch.backends.cudnn.allow_tf32 = True
        torch.backends.cudnn.benchmark = True
    return team


class Average:
    """Weights averaged over the steps; young averages forget faster."""

    def __init__(self, module, decay):
        self.decay = decay
        self.values = {name: value.detach().clone() for name, value in module.state_dict().items()}

    @torch.no_grad()
    def update(self, module, step):
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, value in module.state_dict().items():
            self.values[name].lerp_(value, 1 - decay)


class Training:
    """One training: `name` is its section in the settings, its log and its checkpoint.

    plan has minutes, learning_rate (Adam's: embeddings, narrow matrices, gains, biases), matrix_learning_rate (Muon's: all
    other weights), last_rate, warm_up_steps, ema and weight_decay. The learning rates fall as a cosine over the minutes that
    were trained, those of earlier sessions included, to last_rate of themselves, so a machine that is slower or busy makes
    fewer steps but ends as well. All processes of a team take the same steps on the same weights."""

    def __init__(self, name, settings, module, plan, team):
        self.name, self.settings, self.plan, self.module, self.team = name, settings, plan, module, team
        self.average = Average(module, plan.ema)
        self.optimizers = self.new_optimizers(settings, plan)
        self.step, self.samples, self.seconds = 0, 0, 0.0
        self.sums = {}
        self.path = path_in(settings, f"{name}.pt")
        if os.path.exists(self.path):
            self.load()
        self.since = self.samples
        team.follow(module)

    def new_optimizers(self, settings, plan):
        """Muon for the matrices, Adam for the rest. Embeddings, whose rows come one by one, are no matrices."""
        embeddings = {module.weight for module in self.module.modules() if isinstance(module, torch.nn.Embedding)}
        matrices, decayed, kept = [], [], []
        for p in self.module.parameters():
            if p.dim() <= 1:
                kept.append(p)  # gains and biases are not pulled to zero
            elif p in embeddings or min(p.flatten(1).shape) < NARROW:
                decayed.append(p)
            else:
                matrices.append(p)
        return (torch.optim.AdamW([{"params": decayed, "weight_decay": plan.weight_decay},
                                   {"params": kept, "weight_decay": 0.0}], lr=plan.learning_rate, betas=(0.9, 0.99)),
                Muon(matrices, lr=plan.matrix_learning_rate, weight_decay=plan.weight_decay,
                     threads=torch.get_num_threads() if settings.run.device == "cpu" else 1))

    def load(self):
        held = torch.load(self.path, map_location=self.settings.run.device)
        self.module.load_state_dict(held["module"])
        self.average.values = held["average"]
        for optimizer, state in zip(self.optimizers, held["optimizers"]):
            optimizer.load_state_dict(state)
        self.step, self.samples, self.seconds = held["step"], held["samples"], held["seconds"]
        self.tell(f"goes on from step {self.step}, {self.seconds / 60:.1f} minutes")

    def save(self):
        torch.save({"module": self.module.state_dict(), "average": self.average.values,
                    "optimizers": [optimizer.state_dict() for optimizer in self.optimizers], "step": self.step,
                    "samples": self.samples, "seconds": self.seconds}, self.path + ".new")
        os.replace(self.path + ".new", self.path)

    @property
    def progress(self):
        planned = 60 * self.plan.minutes
        return self.seconds / planned if self.seconds < planned else 1.0

    def rate(self):
        """Of the learning rates, what is left of them."""
        last = self.plan.last_rate
        rate = last + (1 - last) * (1 + math.cos(math.pi * self.progress)) / 2
        # The optimizers' sums begin anew in each session that starts from weights only.
        return rate * min(1.0, (self.step + 1) / self.plan.warm_up_steps)

    def tell(self, text):
        if self.team.leads:
            print(f"{self.name}: {text}", flush=True)

    def take_step(self, loss, samples, since):
        """since: when the step before this one had its gradient. Gives when this one had."""
        for optimizer, first in zip(self.optimizers, (self.plan.learning_rate, self.plan.matrix_learning_rate)):
            for group in optimizer.param_groups:
                group["lr"] = first * self.rate()
        self.module.zero_grad(set_to_none=True)
        loss.backward()
        now = time.time()
        # One clock for all, as the rate and the end depend on it.
        seconds, samples = self.team.agree(list(self.module.parameters()), [now - since, samples])
        self.seconds += seconds
        self.samples += round(samples * self.team.size)
        torch.nn.utils.clip_grad_norm_(self.module.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
        self.step += 1
        self.average.update(self.module, self.step)
        return now

    def run(self, losses, evaluate):
        """losses(): makes one batch and gives {"loss": tensor, other names: number} and how many samples it had.
        evaluate(): numbers for the log, on the averaged weights, at every save."""
        now, logged, saved = time.time(), self.seconds, self.seconds
        if self.progress >= 1:
            self.tell(f"has had its {self.plan.minutes} minutes")
            self.team.part()
            return
        while self.progress < 1:
            values, samples = losses()
            now = self.take_step(values["loss"], samples, now)
            for key, value in values.items():
                total, number = self.sums.get(key, (0.0, 0))
                self.sums[key] = total + float(value), number + 1
            if self.seconds - logged > self.settings.run.log_every_s:
                self.log(self.seconds - logged)
                logged = self.seconds
            if self.seconds - saved > self.settings.run.save_every_s:
                self.rest(evaluate)
                now, saved = time.time(), self.seconds
        self.rest(evaluate)
        self.team.part()

    def rest(self, evaluate):
        if self.team.leads:
            self.save()
            self.log_evaluation(evaluate)
        self.team.follow(self.module)

    def log(self, seconds):
        if self.team.leads:
            means = {key: total / number for key, (total, number) in self.sums.items()}
            self.write({**means, "samples_s": (self.samples - self.since) / seconds})
        self.sums, self.since = {}, self.samples

    def log_evaluation(self, evaluate):
        own = {name: value.clone() for name, value in self.module.state_dict().items()}
        self.module.load_state_dict(self.average.values)
        self.module.eval()
        with torch.no_grad():
            self.write(evaluate())
        self.module.train()
        self.module.load_state_dict(own)

    def write(self, values):
        """One line for each value, so that what is logged may change: step, minutes, samples, name, value."""
        path = path_in(self.settings, f"{self.name}.csv")
        is_new = not os.path.exists(path)
        with open(path, "a", newline="", encoding="utf-8") as file:
            lines = csv.writer(file)
            if is_new:
                lines.writerow(["step", "minutes", "samples", "name", "value"])
            for key, value in values.items():
                lines.writerow([self.step, f"{self.seconds / 60:.2f}", self.samples, key, f"{value:.6g}"])
        shown = "  ".join(f"{key} {value:.4g}" for key, value in values.items())
        self.tell(f"step {self.step}, {self.seconds / 60:.1f} of {self.plan.minutes} min  {shown}")


def averaged(name, settings, module):
    """The module with the averaged weights of a training that has been."""
    path = path_in(settings, f"{name}.pt")
    if not os.path.exists(path):
        raise SystemExit(f"{path} is not there: train it first ({name})")
    module.load_state_dict(torch.load(path, map_location=settings.run.device)["average"])
    return module.to(settings.run.device).eval()
