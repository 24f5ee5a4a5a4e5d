"""What all trainings share: learning rate over a number of minutes, averaged weights, a log, and a checkpoint to go on
from. How a loss is made is not its business."""

import csv
import math
import os
import time

import torch

from settings import path_in


def prepare(settings):
    torch.set_flush_denormal(True)  # before there are threads, which inherit it: numbers that small cost a processor dearly
    torch.set_num_threads(settings.run.threads)
    torch.manual_seed(settings.run.seed)
    if settings.run.device == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = True
        torch.backends.cudnn.allow_tf32 = True
        torch.backends.cudnn.benchmark = True


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

    plan has minutes, learning_rate, last_learning_rate, warm_up_steps, ema and weight_decay. The learning rate falls as a
    cosine over the minutes that were trained, those of earlier sessions included, so a machine that is slower or busy
    makes fewer steps but ends as well."""

    def __init__(self, name, settings, module, plan):
        self.name, self.settings, self.plan, self.module = name, settings, plan, module
        self.average = Average(module, plan.ema)
        # Gains and biases are not pulled to zero.
        decayed = [p for p in module.parameters() if p.dim() > 1]
        kept = [p for p in module.parameters() if p.dim() <= 1]
        self.optimizer = torch.optim.AdamW([{"params": decayed, "weight_decay": getattr(plan, "weight_decay", 0.01)},
                                            {"params": kept, "weight_decay": 0.0}], lr=plan.learning_rate,
                                           betas=(0.9, 0.99))
        self.step, self.samples, self.seconds, self.session_steps = 0, 0, 0.0, 0
        self.sums, self.since = {}, 0
        self.path = path_in(settings, f"{name}.pt")
        if os.path.exists(self.path):
            self.load()

    def load(self):
        held = torch.load(self.path, map_location=self.settings.run.device)
        self.module.load_state_dict(held["module"])
        self.average.values = held["average"]
        self.optimizer.load_state_dict(held["optimizer"])
        self.step, self.samples, self.seconds = held["step"], held["samples"], held["seconds"]
        print(f"{self.name}: goes on from step {self.step}, {self.seconds / 60:.1f} minutes", flush=True)

    def save(self):
        torch.save({"module": self.module.state_dict(), "average": self.average.values,
                    "optimizer": self.optimizer.state_dict(), "step": self.step, "samples": self.samples,
                    "seconds": self.seconds}, self.path + ".new")
        os.replace(self.path + ".new", self.path)

    @property
    def progress(self):
        planned = 60 * self.plan.minutes
        return self.seconds / planned if self.seconds < planned else 1.0

    def learning_rate(self):
        first, last = self.plan.learning_rate, self.plan.last_learning_rate
        rate = last + (first - last) * (1 + math.cos(math.pi * self.progress)) / 2
        # Adam's sums begin anew in each session that starts from weights only.
        return rate * min(1.0, (self.step + 1) / self.plan.warm_up_steps)

    def take_step(self, loss):
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.module.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        self.average.update(self.module, self.step)

    def run(self, losses, evaluate):
        """losses(): makes one batch and gives {"loss": tensor, other names: number} and how many samples it had.
        evaluate(): numbers for the log, on the averaged weights, at every save."""
        logged = saved = now = time.time()
        if self.progress >= 1:
            print(f"{self.name}: has had its {self.plan.minutes} minutes", flush=True)
            return
        while self.progress < 1:
            values, samples = losses()
            self.take_step(values["loss"])
            before, now = now, time.time()
            self.seconds += now - before
            self.samples += samples
            self.since += samples
            for key, value in values.items():
                total, number = self.sums.get(key, (0.0, 0))
                self.sums[key] = total + float(value), number + 1
            if now - logged > self.settings.run.log_every_s:
                self.log(now - logged)
                logged = now
            if now - saved > self.settings.run.save_every_s:
                self.save()
                self.log_evaluation(evaluate)
                saved = logged = now = time.time()
        self.save()
        self.log_evaluation(evaluate)

    def log(self, seconds):
        means = {key: total / number for key, (total, number) in self.sums.items()}
        self.write({**means, "samples_s": self.since / seconds})
        self.sums, self.since = {}, 0

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
        print(f"{self.name}: step {self.step}, {self.seconds / 60:.1f} of {self.plan.minutes} min  {shown}", flush=True)


def averaged(name, settings, module):
    """The module with the averaged weights of a training that has been."""
    path = path_in(settings, f"{name}.pt")
    if not os.path.exists(path):
        raise SystemExit(f"{path} is not there: train it first ({name})")
    module.load_state_dict(torch.load(path, map_location=settings.run.device)["average"])
    return module.to(settings.run.device).eval()
