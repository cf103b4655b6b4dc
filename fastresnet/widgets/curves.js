// The schedules of fastresnet/config/schedules.py in the browser, and what can be read off and copied from one. No DOM in here.

const blend = (start, end, fraction) => start + (end - start) * fraction;
const cosineBlend = (start, end, fraction) => end + ((start - end) * (1 + Math.cos(Math.PI * fraction))) / 2;

// as Python rounds: a half goes to the even neighbour
const roundHalfEven = (value) => (value % 1 === 0.5 ? 2 * Math.round(value / 2) : Math.round(value));

const milestoneSteps = (schedule, total) => schedule.milestones.map((at) => roundHalfEven(at * total)).sort((a, b) => a - b);

// one cycle between three values, as a function of the step: rates and momenta take the same course
function oneCycle({ warmup, anneal }, total, start, peak, end) {
  const peakStep = warmup * total - 1;
  const from = Math.max(peakStep, 0);
  const course = anneal === "cosine" ? cosineBlend : blend;
  return (step) =>
    step <= peakStep && peakStep > 0 ? course(start, peak, step / peakStep) : course(peak, end, (step - from) / Math.max(total - 1 - from, 1));
}

const cyclicHeight = ({ num_cycles, mode }, total) => (step) => {
  const turns = (step * num_cycles) / total;
  const position = turns % 1;
  const height = 2 * Math.min(position, 1 - position);
  return mode === "triangular2" ? height * 2 ** -Math.floor(turns) : height;
};

const cycleLengths = (s) => Array.from({ length: s.num_cycles }, (_, cycle) => s.cycle_factor ** cycle);
const sum = (values) => values.reduce((total, value) => total + value, 0);

// for each kind, the function of the step that gives the learning rate in a run of so many steps
const RATES = {
  constant: (s) => () => s.lr,
  "multi-step"(s, total) {
    const milestones = milestoneSteps(s, total);
    return (step) => s.lr * s.factor ** milestones.filter((at) => at <= step).length;
  },
  linear: (s, total) => (step) => blend(s.start_lr, s.end_lr, Math.min(1, step / total)),
  exponential: (s, total) => (step) => s.lr * (s.end_lr / s.lr) ** (step / total),
  "piecewise-linear": ({ points }, total) => (step) => {
    const progress = step / total;
    if (progress <= points[0][0]) return points[0][1];
    const right = points.findIndex(([at]) => progress <= at);
    if (right < 0) return points.at(-1)[1];
    const [[from, fromLr], [to, toLr]] = [points[right - 1], points[right]];
    return blend(fromLr, toLr, (progress - from) / (to - from));
  },
  cosine: (s, total) => (step) => cosineBlend(s.lr, s.end_lr, step / total),
  "cosine-restarts"(s, total) {
    const lengths = cycleLengths(s);
    const units = sum(lengths);
    return (step) => {
      let position = step * units;
      let cycle = 0;
      while (cycle < lengths.length - 1 && position >= lengths[cycle] * total) {
        position -= lengths[cycle] * total;
        cycle += 1;
      }
      return cosineBlend(s.lr, s.end_lr, position / (lengths[cycle] * total));
    };
  },
  "one-cycle"(s, total) {
    const start = s.max_lr / s.div_factor;
    return oneCycle(s, total, start, s.max_lr, start / s.final_div_factor);
  },
  "one-cycle-tail"(s, total) {
    const cycle = RATES["one-cycle"](s, total);
    return (step) => (step >= s.tail_start * total ? s.tail_lr : cycle(step));
  },
  cyclic(s, total) {
    const height = cyclicHeight(s, total);
    return (step) => blend(s.min_lr, s.max_lr, height(step));
  },
  plateau(s, _total, stepsPerEpoch, losses) {
    let [lr, best, bad] = [s.lr, Infinity, 0];
    const byEpoch = [lr];
    for (const loss of losses) {
      if (loss < best * (1 - s.threshold)) [best, bad] = [loss, 0];
      else bad += 1;
      if (bad > s.patience) [lr, bad] = [Math.min(lr, Math.max(lr * s.factor, s.min_lr)), 0];
      byEpoch.push(lr);
    }
    return (step) => byEpoch[Math.min(Math.floor(step / stepsPerEpoch), losses.length)];
  },
};

// The learning rate of a run as a function of the step. `losses` holds a training loss for each epoch; only a plateau looks at it.
const rateOf = (schedule, epochs, stepsPerEpoch, losses) => RATES[schedule.kind](schedule, epochs * stepsPerEpoch, stepsPerEpoch, losses);

// The momentum of a run as a function of the step, or null where the schedule leaves it alone.
function momentumOf(schedule, epochs, stepsPerEpoch) {
  if (!schedule.momentum_range) return null;
  const total = epochs * stepsPerEpoch;
  const [low, high] = schedule.momentum_range;
  if (schedule.kind !== "cyclic") return oneCycle(schedule, total, high, low, high);
  const height = cyclicHeight(schedule, total);
  return (step) => blend(high, low, height(step));
}

// At most so many steps of a run, evenly spread, the first and the last among them.
function evenSteps(total, most) {
  const last = Math.min(total, most) - 1;
  return Array.from({ length: last + 1 }, (_, index) => (last ? Math.round((index * (total - 1)) / last) : 0));
}

// Largest and smallest positive rate, and the area under the curve in rate times epochs. Of a long run not every step is looked
// at: the area is then that of 20,000 steps, and the largest rate is the largest beside the largest of those.
function readings(rate, epochs, stepsPerEpoch) {
  const total = epochs * stepsPerEpoch;
  const steps = evenSteps(total, 20_000);
  let [maximum, lowest, area, highest] = [-Infinity, Infinity, 0, 0];
  for (const step of steps) {
    const value = rate(step);
    if (value > maximum) [maximum, highest] = [value, step];
    if (value > 0 && value < lowest) lowest = value;
    area += value;
  }
  const gap = Math.ceil(total / steps.length);
  for (let step = Math.max(0, highest - gap); step <= Math.min(total - 1, highest + gap); step += 1) maximum = Math.max(maximum, rate(step));
  return { maximum, lowest, area: (area / steps.length) * epochs };
}

// YAML 1.1 reads 1e-7 as text: its numbers want a point before the exponent. A large number without one would be a count.
function number(value) {
  const text = Math.abs(value) > LARGEST_COUNT ? value.toExponential() : String(value);
  return text.includes("e") && !text.includes(".") ? text.replace("e", ".0e") : text;
}

function yamlValue(value) {
  if (Array.isArray(value)) return `[${value.map(yamlValue).join(", ")}]`;
  return typeof value === "number" ? number(value) : value;
}

// The part of a run's YAML file that asks for this schedule.
function toYaml(schedule) {
  const settings = Object.entries(schedule).filter(([, value]) => value !== null);
  return `train:\n  schedule:\n${settings.map(([key, value]) => `    ${key}: ${yamlValue(value)}\n`).join("")}`;
}

const optimizer = (lr, rest = "") => `optimizer = torch.optim.SGD(model.parameters(), lr=${lr}, momentum=0.9${rest})\n`;
const scheduler = (name, settings) => `scheduler = torch.optim.lr_scheduler.${name}(optimizer, ${settings})\n`;
const momentumSettings = (range) =>
  range ? `base_momentum=${range[0]}, max_momentum=${range[1]}` : "cycle_momentum=False";

// a function of the step, for what torch has no scheduler of: LambdaLR multiplies the optimizer's rate, here 1
const byStep = (body) => `def rate(step):\n${body.map((line) => `    ${line}\n`).join("")}\n\n${optimizer("1.0")}${scheduler("LambdaLR", "rate")}`;

const interpolation = (points, total) => {
  const steps = points.map(([at]) => at * total).join(", ");
  return byStep([`return float(np.interp(step, [${steps}], [${points.map(([, lr]) => lr).join(", ")}]))`]);
};

const OWN_TAIL = (s, total) => `class OneCycleTail(torch.optim.lr_scheduler.OneCycleLR):
    def get_lr(self):
        rates = super().get_lr()
        return [${s.tail_lr}] * len(rates) if self.last_epoch >= ${s.tail_start * total} else rates


`;

// one cycle whose warm-up or decay has less than one step
function ownCycle(s, total) {
  const start = s.max_lr / s.div_factor;
  const peak = s.warmup * total - 1;
  const [up, from] = [peak > 0 ? peak : -1, Math.max(peak, 0)];
  const [low, high] = s.momentum_range ?? [];
  const momentum = `        for group in self.optimizer.param_groups:\n            group["momentum"] = course(self.last_epoch, ${high}, ${low}, ${high})\n`;
  const tail = s.kind === "one-cycle-tail" ? `${s.tail_lr} if self.last_epoch >= ${s.tail_start * total} else ` : "";
  return `def course(step, start, peak, end):
    if step <= ${up}:
        share, end = step / ${up}, peak
    else:
        share, start = (step - ${from}) / ${Math.max(total - 1 - from, 1)}, peak
    return start + (end - start) * ${s.anneal === "cosine" ? "(1 - math.cos(math.pi * share)) / 2" : "share"}


class OneCycle(torch.optim.lr_scheduler.LRScheduler):  # OneCycleLR divides by the steps of a phase, here less than one
    def get_lr(self):
${s.momentum_range ? momentum : ""}        rate = ${tail}course(self.last_epoch, ${start}, ${s.max_lr}, ${start / s.final_div_factor})
        return [rate for _ in self.base_lrs]


${optimizer(s.max_lr)}scheduler = OneCycle(optimizer)
`;
}

function oneCycleTorch(s, total) {
  if (s.warmup * total <= 1 || (1 - s.warmup) * total < 1) return ownCycle(s, total);
  const shape = `pct_start=${s.warmup}, anneal_strategy="${s.anneal === "cosine" ? "cos" : "linear"}"`;
  const factors = `div_factor=${s.div_factor}, final_div_factor=${s.final_div_factor}`;
  const settings = `max_lr=${s.max_lr}, total_steps=${total}, ${shape}, ${factors}, ${momentumSettings(s.momentum_range)}`;
  if (s.kind === "one-cycle") return optimizer(s.max_lr) + scheduler("OneCycleLR", settings);
  return `${OWN_TAIL(s, total)}${optimizer(s.max_lr)}scheduler = OneCycleTail(optimizer, ${settings})\n`;
}

// CosineAnnealingWarmRestarts, except where the first cycle is not of whole steps, as torch wants it
function restartsTorch(s, total) {
  const lengths = cycleLengths(s);
  const units = sum(lengths);
  if (total % units === 0) {
    const settings = `T_0=${total / units}, T_mult=${s.cycle_factor}, eta_min=${s.end_lr}`;
    return optimizer(s.lr) + scheduler("CosineAnnealingWarmRestarts", settings);
  }
  return byStep([
    `position = step * ${units}  # in integers, so that no restart is a step early or late`,
    `for length in [${lengths.map((length) => length * total).join(", ")}]:`,
    "    if position < length:",
    "        break",
    "    position -= length",
    `return ${s.end_lr} + (${s.lr} - ${s.end_lr}) * (1 + math.cos(math.pi * position / length)) / 2`,
  ]);
}

const TORCH = {
  constant: (s) => optimizer(s.lr) + scheduler("ConstantLR", "factor=1.0"),
  "multi-step": (s, total) =>
    optimizer(s.lr) + scheduler("MultiStepLR", `milestones=[${milestoneSteps(s, total).join(", ")}], gamma=${s.factor}`),
  linear: (s, total) => interpolation([[0, s.start_lr], [1, s.end_lr]], total),
  exponential: (s, total) => optimizer(s.lr) + scheduler("ExponentialLR", `gamma=${(s.end_lr / s.lr) ** (1 / total)}`),
  "piecewise-linear": (s, total) => interpolation(s.points, total),
  cosine: (s, total) => optimizer(s.lr) + scheduler("CosineAnnealingLR", `T_max=${total}, eta_min=${s.end_lr}`),
  "cosine-restarts": restartsTorch,
  "one-cycle": oneCycleTorch,
  "one-cycle-tail": oneCycleTorch,
  cyclic(s, total) {
    const shape = `step_size_up=${total / s.num_cycles / 2}, mode="${s.mode}"`;
    const settings = `base_lr=${s.min_lr}, max_lr=${s.max_lr}, ${shape}, ${momentumSettings(s.momentum_range)}`;
    return optimizer(s.max_lr) + scheduler("CyclicLR", settings);
  },
  plateau: (s) =>
    optimizer(s.lr) +
    scheduler("ReduceLROnPlateau", `factor=${s.factor}, patience=${s.patience}, threshold=${s.threshold}, min_lr=${s.min_lr}, eps=0.0`),
};

// PyTorch code that makes optimizer and scheduler for a run of so many steps.
function toTorch(schedule, epochs, stepsPerEpoch) {
  const total = epochs * stepsPerEpoch;
  const body = TORCH[schedule.kind](schedule, total);
  const when = schedule.kind === "plateau" ? "scheduler.step(training_loss) after every epoch" : "scheduler.step() after every batch";
  const imports = [body.includes("math.") && "import math\n", body.includes("np.") && "import numpy as np\n", "import torch\n"];
  return `${imports.filter(Boolean).join("")}\n${body}# ${when}, ${total} batches\n`;
}
