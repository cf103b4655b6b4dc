// Curves as SVG, and their readings as a table.

const MARGIN = { left: 52, right: 20, top: 24, bottom: 34 };
const MOST_POINTS = 800; // of a path: about one per pixel

const DASHES = ["", "7 4", "2 3", "10 3 2 3", "5 2", "1 4"];
// Colour and dashes of a curve: the first six differ in both, those after them in one of the two.
const lookOf = (index) => ({ stroke: `stroke: var(--c${index % 6})`, dash: DASHES[(index + Math.floor(index / 6)) % 6] });

function rateAxis(drawn, knots, log) {
  const high = Math.max(...drawn.map(({ read }) => read.maximum), ...knots.map(([, lr]) => lr), 1e-12);
  if (!log) return [0, high * 1.08];
  const lowest = Math.min(high, ...drawn.map(({ read }) => read.lowest));
  return [Math.max(lowest, high * 1e-6) * 0.7, high * 1.5];
}

const tenths = (value) => Math.round(value * 10) / 10;
const pathOf = (points) => points.map(([x, y], index) => `${index ? "L" : "M"}${tenths(x)} ${tenths(y)}`).join("");
const line = ({ stroke, dash }, points) => make("path", { class: "curve", style: stroke, "stroke-dasharray": dash, d: pathOf(points) });

function knotHandle(index, [at, lr], last, x, y, highest, onmove) {
  const text = `${written(at)} of the run, rate ${written(lr)}`;
  const moves = { ArrowLeft: [-0.01, 1], ArrowRight: [0.01, 1], ArrowUp: [0, 1.05], ArrowDown: [0, 1 / 1.05] };
  const onkeydown = (event) => {
    const move = moves[event.key];
    if (!move) return;
    event.preventDefault();
    const floor = event.key === "ArrowUp" && lr === 0 ? highest * 1e-3 : lr;
    onmove(index, at + move[0], event.key === "ArrowDown" && lr < highest * 1e-6 ? 0 : floor * move[1]);
  };
  return make("circle", {
    class: "knot", r: 7, cx: x(at * last), cy: y.at(lr), tabindex: 0, role: "slider", "data-knot": index,
    "aria-label": `Knot ${index + 1}; arrow keys move it`, "aria-valuenow": lr, "aria-valuemin": 0, "aria-valuemax": Math.max(10, lr), "aria-valuetext": text, onkeydown,
  });
}

// the handlers lie on the place of the plot, which stays while what is in it is drawn anew
function followPointer(place, geometry, { moveKnot, moveCursor }) {
  const spot = (event) => {
    const box = place.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  place.onpointerdown = (event) => {
    const knot = event.target.dataset?.knot;
    if (knot === undefined || event.button || place.held) return;
    event.preventDefault();
    event.target.focus();
    place.dragged = Number(knot);
    const handle = event.target.getBoundingClientRect();
    place.offset = [event.clientX - handle.x - handle.width / 2, event.clientY - handle.y - handle.height / 2];
    // the scale stays as it was while a knot is dragged, or it would run away from the pointer
    place.held = geometry;
    place.pointer = event.pointerId; // another finger moves nothing
    place.setPointerCapture(event.pointerId);
  };
  // in Chromium, touch-action of a knot does not stop the page from scrolling
  place.ontouchstart = (event) => event.target.dataset?.knot !== undefined && event.preventDefault();
  place.onpointermove = (event) => {
    if (place.held && event.pointerId !== place.pointer) return;
    const [px, py] = spot(event);
    if (place.held) moveKnot(place.dragged, place.held.share(px - place.offset[0]), place.held.y.value(py - place.offset[1]));
    else moveCursor(Math.round(geometry.share(px) * geometry.total));
  };
  place.onpointerup = place.onpointercancel = place.onlostpointercapture = (event) => {
    if (!place.held || event.pointerId !== place.pointer) return;
    place.held = undefined;
    moveCursor(geometry.cursor); // draws anew, with a scale for where the knot is now
  };
}

// The recorded accuracies of runs with the schedules that are drawn, by epoch, in a panel of their own.
function accuracyPanel(recorded, box) {
  const last = Math.max(...recorded.map(({ preset }) => preset.epochs));
  const highest = 100 * Math.max(...recorded.flatMap(({ preset }) => preset.accuracy.map(([, accuracy]) => accuracy)));
  const x = (epoch) => box.left + (epoch / last) * (box.right - box.left);
  const y = vertical(0, highest * 1.08, box.top, box.bottom, false);
  const xTicks = niceTicks(0, last, box.right - box.left < 400 ? 4 : 8).map((tick) => [tick, short(tick)]);
  const curves = recorded.flatMap(({ preset, stroke, dash }) => {
    const points = preset.accuracy.map(([epoch, accuracy]) => [x(epoch), y.at(100 * accuracy)]);
    const dots = points.map(([cx, cy]) => make("circle", { class: "recorded", r: 2.5, cx, cy, style: stroke.replace("stroke", "fill") }));
    return [line({ stroke, dash }, points), ...dots];
  });
  return [...frame(x, y, "recorded test accuracy, %", box, xTicks, "epoch of the recorded runs"), ...curves];
}

function drawPlot(place, drawn, knots, recorded, { total, perEpoch, cursor, axis, scale, width }, handlers) {
  const height = Math.round(Math.max(230, Math.min(380, width * 0.5)));
  // with the steps beside the knots, or a narrow peak would be left out
  const bends = drawn.flatMap(({ schedule: { points = [] } }) => points.flatMap(([at]) => [Math.floor(at * total), Math.ceil(at * total)]));
  const steps = [...new Set([...evenSteps(total, MOST_POINTS), ...bends.filter((step) => step < total)])].sort((a, b) => a - b);
  const moving = drawn.filter(({ momentum }) => momentum);
  const box = { left: MARGIN.left, right: width - MARGIN.right, top: MARGIN.top, bottom: height - MARGIN.bottom };
  const x = (step) => box.left + (step / total) * (box.right - box.left);
  const log = scale === "log";
  const y = place.held?.y ?? vertical(...rateAxis(drawn, knots, log), box.top, box.bottom, log);
  const per = axis === "epoch" ? perEpoch : 1;
  const xTicks = niceTicks(0, total / per, width < 480 ? 4 : 8).map((tick) => [tick * per, short(tick)]);
  const curve = (each, value, at) => line(each, steps.map((step) => [x(step), at(value(step))]));
  const parts = [...frame(x, y, "learning rate", box, xTicks, axis), ...drawn.map((each) => curve(each, each.rate, y.at))];
  let bottom = height;
  if (moving.length) {
    const lower = { ...box, top: height + MARGIN.top - 6, bottom: height + 100 };
    const lowest = Math.min(...moving.flatMap(({ momentum }) => steps.map(momentum)));
    const my = vertical(Math.max(0, lowest - 0.03), 1, lower.top, lower.bottom, false);
    my.ticks = niceTicks(Math.max(0, lowest - 0.03), 1, 3);
    parts.push(...frame(x, my, "momentum", lower, xTicks, ""), ...moving.map((each) => curve(each, each.momentum, my.at)));
    bottom = height + 108;
  }
  parts.push(make("line", { class: "cursor", x1: x(cursor), x2: x(cursor), y1: box.top, y2: moving.length ? bottom - 8 : box.bottom }));
  parts.push(...knots.map((knot, index) => knotHandle(index, knot, total, x, y, Math.max(...drawn.map(({ read }) => read.maximum)) || 1, handlers.moveKnot)));
  if (recorded.length) {
    parts.push(...accuracyPanel(recorded, { ...box, top: bottom + MARGIN.top, bottom: bottom + 150 }));
    bottom += 150 + MARGIN.bottom;
  }
  const said = [
    ...drawn.map(({ title, rate }) => `${title} from ${rounded(rate(0))} to ${rounded(rate(total - 1))}`),
    ...recorded.map(({ preset }) => `recorded test accuracy ${percentOf(preset)}, ${preset.group} ${preset.name}`),
  ].join("; ");
  const focused = place.contains(document.activeElement) ? document.activeElement.dataset.knot : undefined;
  place.replaceChildren(make("svg", { viewBox: `0 0 ${width} ${bottom}`, role: knots.length ? "group" : "img", "aria-label": `Learning rate by ${axis}: ${said}` }, ...parts));
  if (focused !== undefined) place.querySelector(`[data-knot="${focused}"]`)?.focus({ preventScroll: true });
  const share = (px) => (px * (width / place.clientWidth) - box.left) / (box.right - box.left);
  const scaled = { ...y, value: (py) => y.value(py * (width / place.clientWidth)) };
  followPointer(place, { y: scaled, share, total, cursor }, handlers);
}

const percentOf = ({ accuracy }) => `${(100 * accuracy.at(-1)[1]).toFixed(1)} %`;

const swatch = ({ stroke, dash }) =>
  make("svg", { viewBox: "0 0 26 8", "aria-hidden": "true" }, make("path", { class: "curve", style: stroke, "stroke-dasharray": dash, d: "M0 4H26" }));

function fillTable(place, drawn, { total, cursor }, remove) {
  const head = ["Curve", "Maximum", "Final", "Area", `At step ${cursor}`];
  const rows = drawn.map((each, index) => {
    const { title, rate, read } = each;
    const button = make("button", { type: "button", "aria-label": `Remove curve ${index + 1}, ${title}`, onclick: () => remove(index) }, "×");
    const cells = [read.maximum, rate(total - 1), read.area, rate(cursor)].map((value) => make("td", {}, String(rounded(value))));
    return make("tr", {}, make("th", { scope: "row" }, swatch(each), `${index + 1} ${title} `, ...(index ? [button] : [])), ...cells);
  });
  const heading = make("tr", {}, ...head.map((name) => make("th", { scope: "col" }, name)));
  place.replaceChildren(make("table", {}, make("thead", {}, heading), make("tbody", {}, ...rows)));
}

// What the recorded accuracies are those of.
function listRecorded(place, recorded) {
  const items = recorded.map((each) => {
    const { preset } = each;
    return make("li", {}, swatch(each), `${preset.group}, ${preset.name}: ${percentOf(preset)} after ${preset.epochs} epochs, ${preset.source}`);
  });
  place.replaceChildren(...items);
}
