// The schedules of fastresnet/schedules.py in the browser, and what can be read off and copied from one. No DOM in here.

const blend = (start, end, fraction) => start + (end - start) * fraction;
const cosineBlend = (start, end, fraction) => end + ((start - end) * (1 + Math.cos(Math.PI * fraction))) / 2;

// as Python rounds: a half goes to the even neighbour
function roundHalfEven(value) {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest !== 0.5) return rest < 0.5 ? floor : floor + 1;
  return floor % 2 === 0 ? floor : floor + 1;
}

const milestoneSteps = (schedule, total) => schedule.milestones.map((at) => roundHalfEven(at * total)).sort((a, b) => a - b);

function oneCycle(schedule, step, total, start, peak, end) {
  const peakStep = schedule.warmup * total - 1;
  const anneal = schedule.anneal === "cosine" ? cosineBlend : blend;
  if (step <= peakStep && peakStep > 0) return anneal(start, peak, step / peakStep);
  const from = Math.max(peakStep, 0);
  return anneal(peak, end, (step - from) / Math.max(total - 1 - from, 1));
}

function cyclicHeight(schedule, step, total) {
  const turns = (step * schedule.num_cycles) / total;
  const position = turns % 1;
  const height = 2 * Math.min(position, 1 - position);
  return schedule.mode === "triangular2" ? height * 2 ** -Math.floor(turns) : height;
}

const RATES = {
  constant: (s) => s.lr,
  "multi-step": (s, step, total) => s.lr * s.factor ** milestoneSteps(s, total).filter((at) => at <= step).length,
  linear: (s, step, total) => blend(s.start_lr, s.end_lr, Math.min(1, step / total)),
  exponential: (s, step, total) => s.lr * (s.end_lr / s.lr) ** (step / total),
  "piecewise-linear"(s, step, total) {
    const progress = step / total;
    if (progress <= s.points[0][0]) return s.points[0][1];
    const right = s.points.findIndex(([at]) => progress <= at);
    if (right < 0) return s.points.at(-1)[1];
    const [[from, fromLr], [to, toLr]] = [s.points[right - 1], s.points[right]];
    return blend(fromLr, toLr, (progress - from) / (to - from));
  },
  cosine: (s, step, total) => cosineBlend(s.lr, s.end_lr, step / total),
  "cosine-restarts"(s, step, total) {
    const lengths = Array.from({ length: s.num_cycles }, (_, cycle) => s.cycle_factor ** cycle);
    let position = step * lengths.reduce((sum, length) => sum + length, 0);
    let cycle = 0;
    while (cycle < lengths.length - 1 && position >= lengths[cycle] * total) {
      position -= lengths[cycle] * total;
      cycle += 1;
    }
    return cosineBlend(s.lr, s.end_lr, position / (lengths[cycle] * total));
  },
  "one-cycle"(s, step, total) {
    const start = s.max_lr / s.div_factor;
    return oneCycle(s, step, total, start, s.max_lr, start / s.final_div_factor);
  },
  "one-cycle-tail": (s, step, total) => (step >= s.tail_start * total ? s.tail_lr : RATES["one-cycle"](s, step, total)),
  cyclic: (s, step, total) => blend(s.min_lr, s.max_lr, cyclicHeight(s, step, total)),
  plateau(s, _step, _total, losses) {
    let [lr, best, bad] = [s.lr, Infinity, 0];
    for (const loss of losses) {
      if (loss < best * (1 - s.threshold)) [best, bad] = [loss, 0];
      else bad += 1;
      if (bad > s.patience) [lr, bad] = [Math.max(lr * s.factor, s.min_lr), 0];
    }
    return lr;
  },
};

// Learning rate of every step of a run. `losses` holds a training loss for each epoch; only a plateau looks at it.
function ratesOf(schedule, epochs, stepsPerEpoch, losses) {
  const total = epochs * stepsPerEpoch;
  const rate = RATES[schedule.kind];
  if (schedule.kind !== "plateau") return Float64Array.from({ length: total }, (_, step) => rate(schedule, step, total));
  const byEpoch = Array.from({ length: epochs }, (_, epoch) => rate(schedule, 0, total, losses.slice(0, epoch)));
  return Float64Array.from({ length: total }, (_, step) => byEpoch[Math.floor(step / stepsPerEpoch)]);
}

// Momentum of every step, or null where the schedule leaves it alone.
function momentaOf(schedule, epochs, stepsPerEpoch) {
  if (!schedule.momentum_range) return null;
  const total = epochs * stepsPerEpoch;
  const [low, high] = schedule.momentum_range;
  const momentum =
    schedule.kind === "cyclic"
      ? (step) => blend(high, low, cyclicHeight(schedule, step, total))
      : (step) => oneCycle(schedule, step, total, high, low, high);
  return Float64Array.from({ length: total }, (_, step) => momentum(step));
}

// Largest and last rate, and the area under the curve in rate times epochs.
function readings(rates, stepsPerEpoch) {
  const sum = rates.reduce((total, rate) => total + rate, 0);
  return { maximum: rates.reduce((a, b) => Math.max(a, b)), final: rates.at(-1), area: sum / stepsPerEpoch };
}

// YAML 1.1 reads 1e-7 as text: its numbers want a point before the exponent.
function number(value) {
  const text = String(value);
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

function oneCycleTorch(s, total) {
  const note = s.warmup * total > 1 ? "" : "# torch divides by the steps of the warm-up less one: this one is too short for it\n";
  const shape = `pct_start=${s.warmup}, anneal_strategy="${s.anneal === "cosine" ? "cos" : "linear"}"`;
  const factors = `div_factor=${s.div_factor}, final_div_factor=${s.final_div_factor}`;
  const settings = `max_lr=${s.max_lr}, total_steps=${total}, ${shape}, ${factors}, ${momentumSettings(s.momentum_range)}`;
  return note + optimizer(s.max_lr) + scheduler("OneCycleLR", settings);
}

const TORCH = {
  constant: (s) => optimizer(s.lr) + scheduler("ConstantLR", "factor=1.0"),
  "multi-step": (s, total) =>
    optimizer(s.lr) + scheduler("MultiStepLR", `milestones=[${milestoneSteps(s, total).join(", ")}], gamma=${s.factor}`),
  linear: (s, total) => interpolation([[0, s.start_lr], [1, s.end_lr]], total),
  exponential: (s, total) => optimizer(s.lr) + scheduler("ExponentialLR", `gamma=${(s.end_lr / s.lr) ** (1 / total)}`),
  "piecewise-linear": (s, total) => interpolation(s.points, total),
  cosine: (s, total) => optimizer(s.lr) + scheduler("CosineAnnealingLR", `T_max=${total}, eta_min=${s.end_lr}`),
  "cosine-restarts"(s, total) {
    let units = 0;
    for (let cycle = 0; cycle < s.num_cycles; cycle += 1) units += s.cycle_factor ** cycle;
    const first = Math.ceil(total / units);
    const note = total % units ? `# the first cycle in whole steps, as torch wants it; fastresnet's has ${total / units}\n` : "";
    const settings = `T_0=${first}, T_mult=${s.cycle_factor}, eta_min=${s.end_lr}`;
    return note + optimizer(s.lr) + scheduler("CosineAnnealingWarmRestarts", settings);
  },
  "one-cycle": oneCycleTorch,
  "one-cycle-tail"(s, total) {
    return `${oneCycleTorch(s, total)}# from step ${Math.ceil(s.tail_start * total)} on, set optimizer.param_groups[0]["lr"] = ${s.tail_lr} instead\n`;
  },
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
  return `import torch\n${body.includes("np.") ? "import numpy as np\n" : ""}\n${body}# ${when}, ${total} batches\n`;
}
