// The explorer of schedules: controls, curves and readings around a model of `get`, `set`, `on` and `save_changes`, which
// in a live notebook is anywidget's and on a page without a kernel a few lines around the same values.

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
const CHOICES = { anneal: ["Annealing", ["cosine", "linear"]], mode: ["Mode", ["triangular", "triangular2"]] };
const DASHES = ["", "7 4", "2 3", "10 3 2 3", "5 2", "1 4"];
const MOST_CURVES = 6;

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
  const items = text.split(",").map((item) => item.trim().split(/[\s:]+/).map(Number));
  const wrong = items.some((item) => item.length !== width || item.some((value) => !Number.isFinite(value)) || item[0] < 0 || item[0] > 1);
  const example = width === 1 ? "shares of the run like 0.5, 0.75" : "pairs of share and rate like 0: 0.02, 1: 0.1";
  if (wrong || items.some((item) => width === 2 && item[1] < 0)) throw new Error(`${label}: must be ${example}, got "${text}"`);
  if (width === 1) return items.flat();
  if (items.length < 2) throw new Error(`${label}: at least two points are needed`);
  if (items.some(([at], index) => index && at <= items[index - 1][0])) throw new Error(`${label}: shares must strictly increase`);
  return items;
}

function render({ model, el }) {
  const uid = `schedule-${Math.random().toString(36).slice(2, 8)}`;
  let ownChange = false;
  let cursor = 0;
  const kindSelect = make("select", { id: `${uid}-kind`, onchange: () => choose(kindSelect.value) });
  const settings = make("div", { class: "settings" });
  const run = make("div");
  const plot = make("div", { class: "plot" });
  const table = make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Readings of the curves" });
  const reader = make("input", { type: "range", id: `${uid}-cursor`, min: 0, value: 0, oninput: () => moveCursor(Number(reader.value)) });
  const message = make("p", { class: "message", role: "status" });
  const codes = make("div");
  const keep = make("button", { type: "button", onclick: () => put("compared", [...model.get("compared"), schedule()]) }, "Keep for comparison");
  const schedule = () => model.get("schedule");
  const curves = () => [schedule(), ...model.get("compared")];
  const losses = () => model.get("losses")[model.get("loss_curve")] ?? [];
  const total = () => model.get("epochs") * model.get("steps_per_epoch");

  function say(text, wrong = false) {
    message.textContent = text;
    message.classList.toggle("wrong", wrong);
  }

  function put(key, value) {
    ownChange = true;
    model.set(key, value);
    model.save_changes();
    ownChange = false;
  }

  // applies what was typed, or says why not and leaves the schedule as it was
  function attempt(change, input) {
    try {
      change();
      input?.removeAttribute("aria-invalid");
      say("");
    } catch (error) {
      input?.setAttribute("aria-invalid", "true");
      say(error.message, true);
    }
  }

  const change = (key, value) => put("schedule", { ...schedule(), [key]: value });

  function choose(option) {
    const shape = SHAPES[option];
    const kind = shape ? "piecewise-linear" : option;
    const defaults = shape ? { points: shape.map(([at, height]) => [at, rounded(height * 0.1)]) } : KINDS[kind][1];
    put("schedule", { kind, ...structuredClone(defaults) });
    buildSettings();
  }

  function numberSetting(key, value, apply, field = FIELDS[key]) {
    const id = `${uid}-${key}`;
    const scale = field.log ? Math.log : (x) => x;
    const [from, to] = [scale(field.from), scale(field.to)];
    const position = (x) => Math.round((1000 * (scale(Math.max(x, field.log ? field.from : -Infinity)) - from)) / (to - from));
    const box = make("input", { id, type: "text", inputmode: "decimal", value });
    const slider = make("input", { type: "range", min: 0, max: 1000, value: position(value), "aria-label": `${field.label}, slider`, "aria-valuetext": value });
    box.addEventListener("change", () => attempt(() => {
      const typed = checked(field, box.value);
      apply(typed);
      slider.value = position(typed);
      slider.setAttribute("aria-valuetext", typed);
    }, box));
    slider.addEventListener("input", () => {
      const raw = from + (slider.value / 1000) * (to - from);
      const moved = field.log ? Math.exp(raw) : raw;
      box.value = field.whole ? Math.round(moved) : rounded(moved);
      slider.setAttribute("aria-valuetext", box.value);
      attempt(() => apply(checked(field, box.value)), box);
    });
    return make("div", { class: "setting" }, make("label", { for: id }, field.label), slider, box);
  }

  function selectSetting(key, label, options, value, apply) {
    const id = `${uid}-${key}`;
    const select = make("select", { id, onchange: () => apply(select.value) }, ...options.map((each) => make("option", { value: each }, each)));
    select.value = value;
    return make("div", { class: "setting short" }, make("label", { for: id }, label), select);
  }

  function textSetting(key, label, width) {
    const id = `${uid}-${key}`;
    const text = schedule()[key].map((item) => (width === 1 ? item : `${item[0]}: ${item[1]}`)).join(", ");
    const box = make("input", { id, type: "text", class: "wide", value: text });
    box.addEventListener("change", () => attempt(() => change(key, listOf(label, box.value, width)), box));
    return make("div", { class: "setting" }, make("label", { for: id }, label), box);
  }

  function momentumSetting(range) {
    const cycles = make("select", { id: `${uid}-momentum` }, make("option", { value: "no" }, "left alone"), make("option", { value: "yes" }, "cycles"));
    cycles.value = range ? "yes" : "no";
    cycles.addEventListener("change", () => {
      change("momentum_range", cycles.value === "yes" ? [0.85, 0.95] : null);
      buildSettings();
      settings.querySelector(`#${uid}-momentum`).focus();
    });
    const rows = [make("div", { class: "setting short" }, make("label", { for: cycles.id }, "Momentum"), cycles)];
    ["Lowest momentum", "Highest momentum"].forEach((label, index) => {
      const apply = (value) => change("momentum_range", schedule().momentum_range.with(index, value));
      if (range) rows.push(numberSetting(`momentum-${index}`, range[index], apply, share(label)));
    });
    return rows;
  }

  function knotButtons() {
    const put = (points) => {
      change("points", points);
      buildSettings();
    };
    const add = () => {
      const points = schedule().points;
      const gaps = points.slice(1).map(([at], index) => at - points[index][0]);
      const widest = gaps.indexOf(Math.max(...gaps)) + 1;
      const middle = [0, 1].map((part) => rounded((points[widest - 1][part] + points[widest][part]) / 2));
      put(points.toSpliced(widest, 0, middle));
    };
    const remove = () => (schedule().points.length > 2 ? put(schedule().points.toSpliced(-2, 1)) : say("A curve needs two knots.", true));
    return make("div", { class: "buttons" }, make("button", { type: "button", onclick: add }, "Add a knot"), make("button", { type: "button", onclick: remove }, "Remove a knot"));
  }

  function buildSettings() {
    const { kind, ...values } = schedule();
    const shaped = kind === "piecewise-linear" && SHAPES[kindSelect.value];
    if (!shaped) kindSelect.value = kind;
    const rows = Object.entries(values).flatMap(([key, value]) => {
      if (key === "momentum_range") return momentumSetting(value);
      if (key === "milestones") return textSetting(key, "Milestones, shares of the run", 1);
      if (key === "points") return [textSetting(key, "Knots, share of the run: rate", 2), knotButtons()];
      if (CHOICES[key]) return selectSetting(key, ...CHOICES[key], value, (chosen) => change(key, chosen));
      return numberSetting(key, value, (typed) => change(key, typed));
    });
    settings.replaceChildren(...rows);
  }

  function buildRun() {
    const rows = ["epochs", "steps_per_epoch"].map((key) => numberSetting(key, model.get(key), (value) => put(key, value)));
    rows.push(selectSetting("axis", "Across", ["step", "epoch"], model.get("axis"), (value) => put("axis", value)));
    rows.push(selectSetting("scale", "Upwards", ["linear", "log"], model.get("scale"), (value) => put("scale", value)));
    const names = Object.keys(model.get("losses"));
    if (names.length) rows.push(selectSetting("loss", "Loss a plateau sees", names, model.get("loss_curve"), (value) => put("loss_curve", value)));
    run.replaceChildren(...rows);
  }

  function moveCursor(step) {
    cursor = Math.max(0, Math.min(step, total() - 1));
    reader.value = cursor;
    draw();
  }

  function moveKnot(index, at, lr) {
    const points = schedule().points;
    const low = index ? points[index - 1][0] + 0.001 : 0;
    const high = index < points.length - 1 ? points[index + 1][0] - 0.001 : 1;
    const moved = [Number(Math.max(low, Math.min(high, at)).toFixed(4)), Math.max(0, rounded(lr))];
    change("points", points.with(index, moved));
    const box = settings.querySelector(`#${uid}-points`);
    if (box) box.value = schedule().points.map(([share, value]) => `${share}: ${value}`).join(", ");
  }

  function copy(name, text) {
    const done = () => say(`${name} copied.`);
    const failed = () => say(`The browser refuses to copy; select the ${name} by hand.`, true);
    if (!navigator.clipboard) return failed();
    return navigator.clipboard.writeText(text).then(done, failed);
  }

  const code = (name, file) => {
    const text = make("pre", { tabindex: 0, "aria-label": name, "data-code": file });
    const button = make("button", { type: "button", onclick: () => copy(name, text.textContent) }, `Copy ${name}`);
    codes.append(make("details", {}, make("summary", {}, `As ${name}`), text, button));
    return text;
  };
  const yaml = code("YAML", "yaml");
  const torch = code("PyTorch", "torch");

  function draw() {
    const [epochs, perEpoch] = [model.get("epochs"), model.get("steps_per_epoch")];
    cursor = Math.min(cursor, total() - 1);
    reader.max = total() - 1;
    reader.setAttribute("aria-valuetext", `step ${cursor}`);
    const drawn = curves().map((each, index) => ({
      title: KINDS[each.kind][0],
      rates: ratesOf(each, epochs, perEpoch, losses()),
      momenta: momentaOf(each, epochs, perEpoch),
      stroke: `stroke: var(--c${index % MOST_CURVES})`,
      dash: DASHES[index % MOST_CURVES],
    }));
    const knots = schedule().kind === "piecewise-linear" ? schedule().points : [];
    const look = { perEpoch, cursor, axis: model.get("axis"), scale: model.get("scale"), width: Math.max(280, plot.clientWidth || 600) };
    drawPlot(plot, drawn, knots, look, { moveKnot, moveCursor });
    fillTable(table, drawn, perEpoch, cursor, (index) => put("compared", model.get("compared").toSpliced(index - 1, 1)));
    yaml.textContent = toYaml(schedule());
    torch.textContent = toTorch(schedule(), epochs, perEpoch);
    keep.disabled = curves().length >= MOST_CURVES;
  }

  const option = ([value, label]) => make("option", { value }, label);
  kindSelect.append(...Object.entries(KINDS).map(([kind, [label]]) => option([kind, label])));
  kindSelect.append(make("optgroup", { label: "Piecewise linear, to start from" }, ...Object.keys(SHAPES).map((name) => option([name, name]))));
  const controls = make("div", {},
    make("fieldset", {}, make("legend", {}, "Schedule"),
      make("div", { class: "setting" }, make("label", { for: kindSelect.id }, "Shape"), make("span", { class: "wide" }, kindSelect)),
      settings, make("div", { class: "buttons" }, keep)),
    make("fieldset", {}, make("legend", {}, "Run"), run));
  const cursorRow = make("div", {}, make("label", { for: reader.id }, "Read at"), reader);
  // JupyterLab would take arrow keys for its own
  const root = make("div", { class: "fastresnet-widget schedule-explorer", "data-lm-suppress-shortcuts": "true" },
    make("div", { class: "panes" }, controls, make("div", {}, plot, cursorRow, table, codes, message)));
  el.append(root);
  buildSettings();
  buildRun();
  draw();

  const changed = () => {
    if (!ownChange) {
      buildSettings();
      buildRun();
    }
    draw();
  };
  const watched = ["schedule", "compared", "epochs", "steps_per_epoch", "losses", "loss_curve", "axis", "scale"];
  for (const key of watched) model.on(`change:${key}`, changed);
  let width = plot.clientWidth;
  const resized = new ResizeObserver(() => {
    if (plot.clientWidth === width) return;
    width = plot.clientWidth;
    draw();
  });
  resized.observe(plot);
  return () => {
    resized.disconnect();
    for (const key of watched) model.off(`change:${key}`, changed);
  };
}

export default { render };
export { ratesOf, momentaOf, toYaml, toTorch, KINDS, SHAPES };
