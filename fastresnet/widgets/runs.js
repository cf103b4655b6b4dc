// The explorer of runs: every record a point, cost against accuracy, and what lies behind the point that is chosen.

const AXES = {
  flops: ["training, TFLOP", (run) => run.flops / 1e12],
  seconds: ["seconds of training", (run) => run.seconds],
  epochs: ["epochs", (run) => run.epochs],
};
const FILTERS = [["dataset", "Data set"], ["chapter", "Chapter"], ["experiment", "Experiment"], ["edition", "Edition"], ["hardware", "Hardware"]];
const EDGE = { left: 52, right: 20, top: 22, bottom: 38 };
const REACH = 14;

const percent = (value) => `${(100 * value).toFixed(2)} %`;

// Runs than which none is both cheaper and at least as accurate, from the cheapest on.
function paretoFront(runs, cost) {
  const front = [];
  for (const run of [...runs].sort((a, b) => cost(a) - cost(b) || b.accuracy - a.accuracy)) {
    if (!front.length || run.accuracy > front.at(-1).accuracy) front.push(run);
  }
  return front;
}

function learningCurve(run, width) {
  const height = 200;
  const box = { left: EDGE.left, right: width - EDGE.right, top: EDGE.top, bottom: height - EDGE.bottom };
  const last = Math.max(...run.curve.map(([epoch]) => epoch));
  const accuracies = run.curve.map(([, accuracy]) => 100 * accuracy);
  const y = vertical(Math.min(...accuracies) * 0.98, Math.max(...accuracies), box.top, box.bottom, false);
  const x = (epoch) => box.left + (last > 1 ? (epoch - 1) / (last - 1) : 0.5) * (box.right - box.left);
  const ticks = niceTicks(1, last, 8).filter(Number.isInteger).map((tick) => [tick, tick]);
  const parts = frame(x, y, "test accuracy, %", box, ticks, "epoch");
  parts.push(make("path", { class: "curve", style: "stroke: var(--c0)", d: run.curve.map(([epoch], i) => `${i ? "L" : "M"}${x(epoch)} ${y.at(accuracies[i])}`).join("") }));
  parts.push(...run.curve.map(([epoch], i) => make("circle", { r: 2.5, cx: x(epoch), cy: y.at(accuracies[i]), style: "fill: var(--c0)" })));
  return make("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Accuracy by epoch, ${percent(run.curve[0][1])} to ${percent(run.curve.at(-1)[1])}` }, ...parts);
}

function render({ model, el }) {
  const uid = `runs-${Math.random().toString(36).slice(2, 8)}`;
  const repeated = ({ values, places }) => places.map((place) => values[place]);
  const columns = Object.entries(model.get("runs")).map(([key, column]) => [key, column.places ? repeated(column) : column]);
  const runs = columns[0][1].map((_, row) => Object.fromEntries(columns.map(([key, column]) => [key, column[row]])));
  const filtered = () => model.get("_filters") ?? {};
  const axis = () => model.get("_cost") || "flops";
  let [shown, places, hovered] = [[], [], null];
  const canvas = make("canvas", { role: "img" });
  const slider = make("input", { id: `${uid}-step`, type: "range", min: 0, value: 0, oninput: () => select(shown[slider.value]), onclick: () => select(shown[slider.value]), onkeydown: stepIn });
  const count = make("p", { class: "message", role: "status" });
  const detail = make("div", { class: "detail", tabindex: -1 });
  const table = make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Runs on the front" });
  const filters = make("div");
  const cost = (run) => AXES[axis()][1](run);
  const selected = () => runs.find((run) => run.id === model.get("selected"));

  function put(key, value) {
    model.set(key, value);
    model.save_changes();
  }

  const select = (run) => {
    hovered = null; // the pointer may rest on another one
    if (run) put("selected", run.id);
  };
  const show = (run) => {
    select(run);
    detail.scrollIntoView({ block: "nearest" });
    detail.focus();
  };
  const begin = (dataset) => put("_filters", { dataset });

  // the slider stands on the first run before one is chosen, and moves to no other if it is the only one
  function stepIn(event) {
    if (shown.includes(selected()) || !/^(Arrow|Home)/.test(event.key)) return;
    event.preventDefault();
    select(shown[0]);
  }

  const passes = (run, but) => FILTERS.every(([key]) => key === but || !filtered()[key] || run[key] === filtered()[key]);

  // each filter offers what the others leave, so that no choice ends in an empty plot; a data set begins anew
  function buildFilters() {
    const focused = document.activeElement?.id;
    const rows = FILTERS.map(([key, label]) => {
      const values = [...new Set(runs.filter((run) => key === "dataset" || passes(run, key)).map((run) => run[key]))].sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
      const options = [...(key === "dataset" ? [] : [["", "all"]]), ...values.map((value) => [value, value])];
      return selectSetting(`${uid}-${key}`, label, options, filtered()[key] ?? "", (value) => {
        if (key === "dataset") begin(value);
        else put("_filters", { ...filtered(), [key]: value });
      }, { wide: true });
    });
    rows.push(selectSetting(`${uid}-axis`, "Cost", Object.entries(AXES).map(([key, [name]]) => [key, name]), axis(), (value) => put("_cost", value), { wide: true }));
    filters.replaceChildren(...rows);
    if (focused?.startsWith(uid)) filters.querySelector(`#${focused}`)?.focus();
  }

  function draw() {
    const [width, height] = [Math.max(280, canvas.clientWidth || 600), Math.round(Math.max(260, Math.min(420, (canvas.clientWidth || 600) * 0.6)))];
    const sharp = globalThis.devicePixelRatio || 1;
    [canvas.width, canvas.height] = [width * sharp, height * sharp];
    canvas.style.height = `${height}px`;
    const style = getComputedStyle(canvas);
    const colour = (name) => style.getPropertyValue(name);
    const pen = canvas.getContext("2d");
    pen.scale(sharp, sharp);
    pen.font = "12px sans-serif";
    const costs = shown.map(cost);
    const room = (Math.max(...costs) / Math.min(...costs)) ** 0.04 * 1.001;
    const [low, high] = [Math.min(...costs) / room, Math.max(...costs) * room];
    const accuracies = shown.map((run) => 100 * run.accuracy);
    const spread = Math.max(1, Math.max(...accuracies) - Math.min(...accuracies));
    const y = vertical(Math.min(...accuracies) - 0.05 * spread, Math.max(...accuracies) + 0.05 * spread, EDGE.top, height - EDGE.bottom, false);
    const x = (value) => EDGE.left + (Math.log(value / low) / Math.log(high / low)) * (width - EDGE.left - EDGE.right);
    drawAxes(pen, x, y, costTicks(low, high), { width, height, name: AXES[axis()][0], line: colour("--grid"), text: style.color });
    places = shown.map((run) => [x(cost(run)), y.at(100 * run.accuracy), run]);
    const front = paretoFront(shown, cost);
    pen.strokeStyle = pen.fillStyle = colour("--c0");
    pen.globalAlpha = 0.45;
    for (const [px, py] of places) dot(pen, px, py, 4, true);
    pen.globalAlpha = 1;
    pen.strokeStyle = pen.fillStyle = colour("--c1");
    pen.lineWidth = 2;
    pen.beginPath();
    front.forEach((run, index) => {
      if (index) pen.lineTo(x(cost(run)), y.at(100 * front[index - 1].accuracy));
      pen.lineTo(x(cost(run)), y.at(100 * run.accuracy));
    });
    pen.stroke();
    for (const run of front) dot(pen, x(cost(run)), y.at(100 * run.accuracy), 4.5, true);
    for (const run of [selected(), hovered]) {
      const place = places.find((each) => each[2] === run);
      pen.strokeStyle = style.color;
      if (place) dot(pen, place[0], place[1], 8, false);
    }
    canvas.setAttribute("aria-label", `${shown.length} runs, ${AXES[axis()][0]} against accuracy; the table lists those on the front`);
  }

  function describe(run) {
    if (!run) return detail.replaceChildren(make("p", {}, "Choose a point, or move the slider, to see what lies behind it."));
    const facts = [percent(run.accuracy), `${short(run.seconds)} s`, `${short(run.epochs)} epochs`, `${short(run.flops / 1e12)} TFLOP`, `${whole(run.parameters)} parameters`, `${whole(run.test_images)} test images`, run.hardware];
    const open = detail.querySelector("details")?.open ? { open: "" } : {};
    const settings = JSON.stringify(model.get("configs")[run.config], null, 1);
    return detail.replaceChildren(
      make("p", { class: "title" }, `${run.experiment}: ${run.variant}, seed ${run.seed} (${run.chapter}, ${run.edition})`),
      make("p", {}, facts.join(" · ")),
      ...(run.curve.length > 1 ? [learningCurve(run, Math.max(280, canvas.clientWidth || 600))] : []),
      make("details", open, make("summary", {}, "Configuration, where it differs from the defaults"), make("pre", { tabindex: 0, role: "region", "aria-label": "Configuration" }, settings)),
    );
  }

  function list(front) {
    const head = ["Run on the front", AXES[axis()][0], "test accuracy", ""].map((name) => (name ? make("th", { scope: "col" }, name) : make("td", {})));
    const rows = front.toReversed().map((run) => {
      const name = `${run.experiment}: ${run.variant}, seed ${run.seed}`;
      const button = make("button", { type: "button", "aria-label": `Show ${name}`, onclick: () => show(run) }, "Show");
      return make("tr", {}, make("th", { scope: "row" }, name), make("td", {}, short(cost(run))), make("td", {}, percent(run.accuracy)), make("td", {}, button));
    });
    table.replaceChildren(make("table", {}, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...rows)));
  }

  function follow() {
    const at = shown.indexOf(selected());
    slider.value = Math.max(0, at);
    slider.setAttribute("aria-valuetext", at >= 0 ? `${shown[at].experiment}, ${shown[at].variant}, ${percent(shown[at].accuracy)}` : "none chosen");
    describe(hovered ?? shown[at]);
    draw();
  }

  function refresh() {
    shown = runs.filter((run) => passes(run)).sort((a, b) => cost(a) - cost(b));
    hovered = null;
    slider.max = shown.length - 1;
    count.textContent = `${shown.length} of ${runs.length} runs`;
    buildFilters();
    list(paretoFront(shown, cost));
    follow();
  }

  function nearest(event) {
    const box = canvas.getBoundingClientRect();
    const away = ([px, py]) => Math.hypot(px - (event.clientX - box.left), py - (event.clientY - box.top));
    const best = places.reduce((a, b) => (away(a) <= away(b) ? a : b), places[0]);
    return best && away(best) <= REACH ? best[2] : null;
  }

  const hover = (run) => {
    if (run === hovered) return;
    hovered = run;
    follow();
  };
  canvas.addEventListener("pointermove", (event) => hover(nearest(event)));
  canvas.addEventListener("pointerleave", () => hover(null));
  canvas.addEventListener("click", (event) => select(nearest(event)));
  const controls = make("fieldset", {}, make("legend", {}, "Runs"), filters, count);
  const step = make("div", {}, make("label", { for: slider.id }, "Step through the runs"), slider);
  const root = make("div", { class: "fastresnet-widget run-explorer" },
    make("div", { class: "panes" }, controls, make("div", {}, canvas, step, detail, table)));
  el.append(root);
  if (!filtered().dataset) begin((selected() ?? runs[0]).dataset);
  refresh();
  const picked = () => (!selected() || shown.includes(selected()) ? follow() : begin(selected().dataset));
  const heard = { "change:selected": picked, "change:_filters": refresh, "change:_cost": refresh }; // also from another view
  for (const [event, then] of Object.entries(heard)) model.on(event, then);
  const printed = matchMedia("print");
  printed.addEventListener("change", draw);
  const themed = new MutationObserver(draw);
  for (const place of [document.documentElement, document.body]) themed.observe(place, { attributeFilter: ["data-theme", "data-jp-theme-light"] });
  const resized = onNewWidth(canvas, draw);
  return () => {
    themed.disconnect();
    resized.disconnect();
    printed.removeEventListener("change", draw);
    for (const [event, then] of Object.entries(heard)) model.off(event, then);
  };
}

function dot(pen, x, y, radius, filled) {
  pen.beginPath();
  pen.arc(x, y, radius, 0, 2 * Math.PI);
  if (filled) pen.fill();
  else pen.stroke();
}

function drawAxes(pen, x, y, ticks, { width, height, name, line, text }) {
  const [right, bottom] = [width - EDGE.right, height - EDGE.bottom];
  pen.strokeStyle = line;
  pen.fillStyle = text;
  pen.lineWidth = 1;
  pen.strokeRect(EDGE.left, EDGE.top, right - EDGE.left, bottom - EDGE.top);
  const grid = (fromX, fromY, toX, toY) => {
    pen.beginPath();
    pen.moveTo(fromX, fromY);
    pen.lineTo(toX, toY);
    pen.stroke();
  };
  pen.textAlign = "right";
  for (const tick of y.ticks) {
    grid(EDGE.left, y.at(tick), right, y.at(tick));
    pen.fillText(short(tick), EDGE.left - 6, y.at(tick) + 4);
  }
  pen.fillText(`${name}, log scale`, right, bottom + 33);
  pen.textAlign = "center";
  for (const tick of ticks) {
    grid(x(tick), EDGE.top, x(tick), bottom);
    pen.fillText(short(tick), x(tick), bottom + 16);
  }
  pen.textAlign = "left";
  pen.fillText("test accuracy, %", EDGE.left, EDGE.top - 8);
}

export default { render };
