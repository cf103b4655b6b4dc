// The explorer of batch sizes: which family of runs, which of its batch sizes, and what was measured there.

const LEVELS = { study: "Chapter", experiment: "Experiment", edition: "Edition", hardware: "Hardware", series: "Setting" };

const runsOf = (values) => ` (n\u00a0=\u00a0${values.length})`;
const digitsOf = (value) => Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value) || 1)));

// Mean and standard deviation with the digits that the mean needs, and the number of runs.
const measured = (values, unit = "") => `${spread(values, digitsOf(mean(values)))}${unit}${runsOf(values)}`;
const milliseconds = (seconds) => (seconds < 1e-6 ? "below 0.001 ms" : `${(1e3 * seconds).toFixed(3)} ms`);

function epochNote(family, point) {
  const complete = point.train_images >= family.epoch_images && point.epochs >= 1;
  return complete ? "measured" : `extrapolated from ${whole(point.steps)} steps, ${whole(point.train_images)} images`;
}

function accuracyRow(point) {
  const after = `Test accuracy after ${short(point.epochs)} epochs of ${whole(point.train_images)} images`;
  if (!point.accuracies.length) return ["Test accuracy", "not measured: these runs of a few steps are only timed"];
  return [after, `${spread(point.accuracies.map((each) => 100 * each), 2)} %${runsOf(point.accuracies)}`];
}

// What the table says of a batch size, [name, value, part of a step] a row.
function readingsOf(family, point) {
  const seconds = point.image_seconds.map((each) => each * family.epoch_images);
  const parts = PARTS.filter((part) => point.parts[part]).map((part) => {
    const share = mean(point.parts[part]) / mean(point.image_seconds);
    return [`${part}, per image`, `${milliseconds(mean(point.parts[part]))} (${(100 * share).toFixed(1)} %)`, part];
  });
  return [
    ["Images per second", measured(rateOf(point))],
    [`Seconds per epoch of all ${whole(family.epoch_images)} images, ${epochNote(family, point)}`, measured(seconds, " s")],
    ["Steps of such an epoch", whole(Math.ceil(family.epoch_images / point.batch_size))],
    ...(parts.length ? parts : [["Parts of a step", "not timed"]]),
    ["Peak memory", measured(point.memory_bytes.map((each) => each / 2 ** 30), " GiB")],
    accuracyRow(point),
  ];
}

function render({ model, el }) {
  const uid = `throughput-${Math.random().toString(36).slice(2, 8)}`;
  const families = model.get("families");
  const filters = make("div");
  const [question, rates, parts, readings] = [make("p", { class: "message" }), make("div", { class: "drawing drag" }), make("div", { class: "drawing drag" }), make("div")];
  const caption = make("p", { class: "caption" });
  const status = make("p", { class: "message", role: "status" });
  const slider = make("input", { id: `${uid}-size`, type: "range", min: 0, step: 1, oninput: () => choose(family().points[slider.value]) });
  const family = () => families.find((each) => each.id === model.get("family"));
  const nearest = (points) => points.reduce((a, b) => (distance(a) <= distance(b) ? a : b));
  const distance = (point) => Math.abs(Math.log(point.batch_size / model.get("batch_size")));
  const chosen = () => nearest(family().points);

  function put(values) {
    for (const [key, value] of Object.entries(values)) model.set(key, value);
    model.save_changes();
  }

  function choose(point) {
    if (point.batch_size !== model.get("batch_size")) put({ batch_size: point.batch_size });
  }

  // of the families that agree with the present one above a level, the one that agrees with most below it
  function go(level, value) {
    const keys = Object.keys(LEVELS);
    const own = family();
    const at = keys.indexOf(level);
    const open = families.filter((each) => each[level] === value && keys.slice(0, at).every((key) => each[key] === own[key]));
    const agreement = (each) => keys.slice(at + 1).filter((key) => each[key] === own[key]).length;
    const next = open.reduce((a, b) => (agreement(b) > agreement(a) ? b : a));
    put({ family: next.id, batch_size: nearest(next.points).batch_size });
  }

  function buildFilters() {
    const focused = document.activeElement?.id;
    const [keys, own] = [Object.keys(LEVELS), family()];
    const rows = keys.flatMap((key, at) => {
      const open = families.filter((each) => keys.slice(0, at).every((above) => each[above] === own[above]));
      const values = [...new Set(open.map((each) => each[key]))];
      if (key === "series" && values.length === 1) return [];
      return [selectSetting(`${uid}-${key}`, LEVELS[key], values, own[key], (value) => go(key, value), { wide: true })];
    });
    filters.replaceChildren(...rows);
    if (focused?.startsWith(uid)) filters.querySelector(`#${focused}`)?.focus();
  }

  function fill(point) {
    const rows = readingsOf(family(), point).map(([name, value, part]) => {
      const swatch = make("svg", { viewBox: "0 0 26 8", "aria-hidden": "true" }, make("rect", { width: 26, height: 8, style: colourOf(part) }));
      return make("tr", {}, make("th", { scope: "row" }, ...(part ? [swatch] : []), name), make("td", {}, value));
    });
    readings.replaceChildren(make("table", { class: "words", "aria-label": `Batch size ${point.batch_size}` }, make("tbody", {}, ...rows)));
  }

  function draw() {
    const [{ points }, point] = [family(), chosen()];
    const width = Math.max(280, rates.clientWidth || 600);
    drawRates(rates, points, point, width, choose);
    drawParts(parts, points, point, width, choose);
    fill(point);
  }

  function follow() {
    const [own, point] = [family(), chosen()];
    slider.max = own.points.length - 1;
    slider.value = own.points.indexOf(point);
    slider.setAttribute("aria-valuetext", `batch size ${point.batch_size}`);
    status.textContent = `Batch size ${point.batch_size}: ${measured(rateOf(point), " images per second")}`;
    question.textContent = `${own.experiment}: ${own.question}`;
    caption.textContent = `${own.dataset}; ${own.hardware}; torch ${own.torch.join(", ")}; revision ${own.revisions.join(", ")}. Means ± standard deviation over seeds.`;
    draw();
  }

  const controls = make("div", {},
    make("fieldset", {}, make("legend", {}, "Runs"), filters),
    make("fieldset", {}, make("legend", {}, "Batch size"), make("label", { for: slider.id }, "Measured sizes"), slider, status));
  const root = make("div", { class: "fastresnet-widget throughput-explorer" },
    make("div", { class: "panes" }, controls, make("div", {}, question, rates, parts, readings, caption)));
  el.append(root);
  const anew = () => {
    buildFilters();
    follow();
  };
  anew();
  model.on("change:family", anew);
  model.on("change:batch_size", follow);
  const resized = onNewWidth(rates, draw);
  return () => {
    resized.disconnect();
    model.off("change:family", anew);
    model.off("change:batch_size", follow);
  };
}

export default { render };
export { readingsOf };
