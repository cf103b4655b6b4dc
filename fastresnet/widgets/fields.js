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
// as fastresnet/config/base.py has them
const LARGEST_COUNT = 2 ** 31 - 1;
const LARGEST_FLOAT = 1e30;
const SMALLEST_FLOAT = 1e-30;
const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;
const rate = (label, low = 0) => ({ label, low, high: 1e6, from: 1e-5, to: 10, log: true });
const share = (label) => ({ label, low: 0, high: 1, from: 0, to: 1 });
const FIELDS = {
  lr: rate("Learning rate", "above"), max_lr: rate("Maximal rate", "above"), start_lr: rate("First rate"),
  end_lr: rate("Last rate"), min_lr: rate("Minimal rate"), tail_lr: rate("Rate of the tail", "above"),
  factor: { label: "Factor", low: "above", from: 0.01, to: 1, log: true },
  warmup: { ...share("Warm-up, share of the run"), low: "above", below: 1, from: 0.01, to: 0.99 },
  tail_start: share("Start of the tail, share of the run"),
  div_factor: { label: "Maximum / first rate", low: "above", from: 1, to: 1000, log: true },
  final_div_factor: { label: "First / last rate", low: "above", from: 1, to: 1e6, log: true },
  num_cycles: { label: "Cycles", low: 1, from: 1, to: 12, whole: true },
  cycle_factor: { label: "Each cycle longer by a factor of", low: 1, high: 4, from: 1, to: 4, whole: true },
  patience: { label: "Patience, epochs", low: 0, from: 0, to: 20, whole: true },
  threshold: { label: "Improvement that counts, share of the loss", low: 0, from: 1e-5, to: 0.1, log: true },
  epochs: { label: "Epochs", low: 1, high: 500, from: 1, to: 100, whole: true },
  steps_per_epoch: { label: "Steps per epoch", low: 1, high: 1000, from: 1, to: 1000, log: true, whole: true },
};
// where a kind of schedule allows less than the others that have the field
const NARROWER = { plateau: { factor: { below: 1, to: 0.99 } }, exponential: { end_lr: { low: "above" } }, "cosine-restarts": { num_cycles: { high: 12 } } };
const fieldOf = (kind, key) => ({ ...FIELDS[key], ...NARROWER[kind]?.[key] });
const LISTS = { milestones: ["Milestones, shares of the run", 1], points: ["Knots, share of the run: rate", 2] };
const CHOICES = { anneal: ["Annealing", ["cosine", "linear"]], mode: ["Mode, where triangular2 halves each triangle", ["triangular", "triangular2"]] };

const tooSmall = (value) => value !== 0 && Math.abs(value) < SMALLEST_FLOAT;

// The number a field holds, or an error that says what is allowed.
function checked(field, text) {
  const value = Number(text);
  const high = field.high ?? (field.whole ? LARGEST_COUNT : LARGEST_FLOAT);
  const wrong =
    (!NUMBER.test(text.trim()) || !Number.isFinite(value) ? "a number" : null) ??
    (field.whole && !Number.isInteger(value) ? "a whole number" : null) ??
    (field.low === "above" && value <= 0 ? "above 0" : null) ??
    (typeof field.low === "number" && value < field.low ? `at least ${field.low}` : null) ??
    (field.below && value >= field.below ? `below ${field.below}` : null) ??
    (value > high ? `at most ${high}` : null) ??
    (tooSmall(value) ? `${field.low === "above" ? "" : "0 or "}at least ${SMALLEST_FLOAT}` : null);
  if (wrong) throw new Error(`${field.label}: must be ${wrong}, got "${text}"`);
  return value;
}

function listOf(label, text, width) {
  const items = text.split(",").map((item) => item.trim().split(/[\s:]+/).map((part) => (part === "" ? NaN : Number(part))));
  const wrong = items.some((item) => item.length !== width || item.some((value) => !Number.isFinite(value) || tooSmall(value)) || item[0] < 0 || item[0] > 1);
  const example = width === 1 ? "shares of the run like 0.5, 0.75" : "pairs of share and rate like 0: 0.02, 1: 0.1";
  if (wrong || items.some((item) => width === 2 && !(item[1] >= 0 && item[1] <= FIELDS.lr.high))) throw new Error(`${label}: must be ${example}, got "${text}"`);
  if (width === 1) return items.flat();
  if (items.length < 2) throw new Error(`${label}: at least two points are needed`);
  if (items.some(([at], index) => index && at <= items[index - 1][0])) throw new Error(`${label}: shares must strictly increase`);
  return items;
}

// A list of numbers, or of pairs, as `listOf` reads it.
const asText = (items) => items.map((item) => (Array.isArray(item) ? item.map(written).join(": ") : written(item))).join(", ");

// The schedule, or an error if its rates become too large to compute with.
function bounded(schedule) {
  if (schedule.kind !== "multi-step" || schedule.lr * schedule.factor ** schedule.milestones.length <= LARGEST_FLOAT) return schedule;
  throw new Error(`${FIELDS.factor.label}: must be small enough for rates of at most ${LARGEST_FLOAT}, got "${written(schedule.factor)}"`);
}

// A schedule from elsewhere, or an error that says what is wrong with it.
function checkedSchedule(schedule) {
  const { kind } = Object(schedule);
  if (!Object.hasOwn(KINDS, kind)) throw new Error(`no shape "${kind}"`);
  const value = (key) => {
    const given = schedule[key];
    if (LISTS[key]) return listOf(LISTS[key][0], asText([given].flat()), LISTS[key][1]);
    if (key === "momentum_range") return given === null ? null : [0, 1].map((end) => checked(share("Momentum"), String(Object(given)[end])));
    if (!CHOICES[key]) return checked(fieldOf(kind, key), String(given));
    if (!CHOICES[key][1].includes(given)) throw new Error(`${CHOICES[key][0]}: must be ${CHOICES[key][1].join(" or ")}, got "${given}"`);
    return given;
  };
  return bounded({ kind, ...Object.fromEntries(Object.keys(KINDS[kind][1]).map((key) => [key, value(key)])) });
}

// What each of several schedules is called: by its name if it has one, else its kind, and its settings where others of the kind
// have different ones.
function titlesOf(schedules, names = []) {
  return schedules.map((schedule, index) => {
    if (names[index]) return names[index];
    const alike = schedules.filter(({ kind }) => kind === schedule.kind);
    const differing = Object.keys(schedule).filter((key) => alike.some((other) => !equal(other[key], schedule[key])));
    const name = (key) => (FIELDS[key]?.label ?? CHOICES[key]?.[0] ?? LISTS[key]?.[0] ?? "Momentum").split(",")[0].toLowerCase();
    const text = (value) => (value === null ? "constant" : Array.isArray(value) ? asText(value) : typeof value === "number" ? written(value) : value);
    const label = KINDS[schedule.kind][0];
    return differing.length ? `${label}: ${differing.map((key) => `${name(key)} ${text(schedule[key])}`).join("; ")}` : label;
  });
}
