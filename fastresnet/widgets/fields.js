// The schedules that can be chosen, and what each of their fields may hold. No DOM in here.

const KINDS = {
  constant: ["Constant", { lr: 0.1 }],
  "multi-step": ["Multi-step", { lr: 0.1, milestones: [0.5, 0.75], factor: 0.1 }],
  linear: ["Linear decay", { start_lr: 0.1, end_lr: 0 }],
  exponential: ["Exponential decay", { lr: 0.1, end_lr: 0.001 }],
  "piecewise-linear": ["Piecewise linear", { points: [[0, 0.02], [0.3, 0.1], [0.7, 0.04], [1, 0]] }],
  cosine: ["Cosine", { lr: 0.1, end_lr: 0 }],
  "cosine-restarts": ["Cosine with warm restarts", { lr: 0.1, end_lr: 0, num_cycles: 3, cycle_factor: 2 }],
  "one-cycle": ["One cycle", { max_lr: 0.1, warmup: 0.3, anneal: "cosine", div_factor: 25, final_div_factor: 10000, momentum_range: [0.85, 0.95] }],
  "one-cycle-tail": ["One cycle, constant tail (N3)", { max_lr: 0.1, warmup: 0.3, anneal: "cosine", div_factor: 25, final_div_factor: 10000, momentum_range: [0.85, 0.95], tail_lr: 0.01, tail_start: 0.75 }],
  cyclic: ["Cyclic triangles", { min_lr: 0.01, max_lr: 0.1, num_cycles: 3, mode: "triangular", momentum_range: null }],
  plateau: ["Reduce on plateau", { lr: 0.1, factor: 0.1, patience: 2, threshold: 0.0001, min_lr: 0 }],
};
// heights as shares of the maximal rate; those by hand are the ones that experiment N2 trains with
const SHAPES = {
  "Linear warm-up and decay": [[0, 0], [0.2, 1], [1, 0]],
  "trapezoid (N2)": [[0, 0.04], [0.15, 1], [0.7, 1], [1, 0]],
  "early peak (N2)": [[0, 0.2], [0.1, 1], [1, 0]],
  "late peak (N2)": [[0, 0.04], [0.6, 1], [1, 0]],
  "three stairs (N2)": [[0, 1], [0.5, 1], [0.51, 0.2], [0.8, 0.2], [0.81, 0.04], [1, 0.04]],
};
const rate = (label, low = 0) => ({ label, low, from: 1e-5, to: 10, log: true });
const share = (label) => ({ label, low: 0, high: 1, from: 0, to: 1 });
const FIELDS = {
  lr: rate("Learning rate", "above"), max_lr: rate("Maximal rate", "above"), start_lr: rate("First rate"),
  end_lr: rate("Last rate"), min_lr: rate("Minimal rate"), tail_lr: rate("Rate of the tail", "above"),
  factor: { label: "Factor", low: "above", from: 0.01, to: 1, log: true },
  warmup: { ...share("Warm-up, share of the run"), low: "above", below: 1, from: 0.01, to: 0.99 },
  tail_start: share("Start of the tail, share of the run"),
  div_factor: { label: "Maximal by first rate", low: "above", from: 1, to: 1000, log: true },
  final_div_factor: { label: "First by last rate", low: "above", from: 1, to: 1e6, log: true },
  num_cycles: { label: "Cycles", low: 1, high: 12, from: 1, to: 12, whole: true },
  cycle_factor: { label: "Each cycle longer by", low: 1, high: 4, from: 1, to: 4, whole: true },
  patience: { label: "Patience, epochs", low: 0, from: 0, to: 20, whole: true },
  threshold: { label: "Improvement that counts, share", low: 0, from: 1e-5, to: 0.1, log: true },
  epochs: { label: "Epochs", low: 1, high: 500, from: 1, to: 100, whole: true },
  steps_per_epoch: { label: "Steps per epoch", low: 1, high: 1000, from: 1, to: 1000, log: true, whole: true },
};
// where a kind of schedule allows less than the others that have the field
const NARROWER = { plateau: { factor: { below: 1, to: 0.99 } }, exponential: { end_lr: { low: "above" } } };
const CHOICES = { anneal: ["Annealing", ["cosine", "linear"]], mode: ["Mode", ["triangular", "triangular2"]] };

// The number a field holds, or an error that says what is allowed.
function checked(field, text) {
  const value = Number(text);
  const wrong =
    (text.trim() === "" || !Number.isFinite(value) ? "a number" : null) ??
    (field.whole && !Number.isInteger(value) ? "a whole number" : null) ??
    (field.low === "above" && value <= 0 ? "above 0" : null) ??
    (typeof field.low === "number" && value < field.low ? `at least ${field.low}` : null) ??
    (field.below && value >= field.below ? `below ${field.below}` : null) ??
    (field.high && value > field.high ? `at most ${field.high}` : null);
  if (wrong) throw new Error(`${field.label}: must be ${wrong}, got "${text}"`);
  return value;
}

function listOf(label, text, width) {
  const items = text.split(",").map((item) => item.trim().split(/[\s:]+/).map((part) => (part === "" ? NaN : Number(part))));
  const wrong = items.some((item) => item.length !== width || item.some((value) => !Number.isFinite(value)) || item[0] < 0 || item[0] > 1);
  const example = width === 1 ? "shares of the run like 0.5, 0.75" : "pairs of share and rate like 0: 0.02, 1: 0.1";
  if (wrong || items.some((item) => width === 2 && item[1] < 0)) throw new Error(`${label}: must be ${example}, got "${text}"`);
  if (width === 1) return items.flat();
  if (items.length < 2) throw new Error(`${label}: at least two points are needed`);
  if (items.some(([at], index) => index && at <= items[index - 1][0])) throw new Error(`${label}: shares must strictly increase`);
  return items;
}
