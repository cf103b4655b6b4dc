// Curves as SVG, and their readings as a table.

const MARGIN = { left: 52, right: 20, top: 24, bottom: 34 };
const MOST_POINTS = 1500;

function pathOf(values, x, y) {
  const stride = Math.ceil(values.length / MOST_POINTS);
  const steps = [];
  for (let step = 0; step < values.length; step += stride) steps.push(step);
  if (steps.at(-1) !== values.length - 1) steps.push(values.length - 1);
  return steps.map((step, index) => `${index ? "L" : "M"}${x(step).toFixed(2)} ${y(values[step]).toFixed(2)}`).join("");
}

function rateAxis(drawn, knots, log) {
  const all = drawn.flatMap(({ rates }) => [rates.reduce((a, b) => Math.max(a, b))]);
  const high = Math.max(...all, ...knots.map(([, lr]) => lr), 1e-12);
  if (!log) return [0, high * 1.08];
  const lowest = Math.min(...drawn.map(({ rates }) => rates.reduce((a, b) => (b > 0 ? Math.min(a, b) : a), high)));
  return [Math.max(lowest, high * 1e-6) * 0.7, high * 1.5];
}

const line = (each, values, x, y) => make("path", { class: "curve", style: each.stroke, "stroke-dasharray": each.dash, d: pathOf(values, x, y) });

function knotHandle(index, [at, lr], last, x, y, onmove) {
  const text = `${short(at)} of the run, rate ${short(lr)}`;
  const moves = { ArrowLeft: [-0.01, 1], ArrowRight: [0.01, 1], ArrowUp: [0, 1.05], ArrowDown: [0, 1 / 1.05] };
  const onkeydown = (event) => {
    const move = moves[event.key];
    if (!move) return;
    event.preventDefault();
    const floor = event.key === "ArrowUp" && lr === 0 ? 1e-3 : lr;
    onmove(index, at + move[0], event.key === "ArrowDown" && lr < 1e-4 ? 0 : floor * move[1]);
  };
  return make("circle", {
    class: "knot", r: 7, cx: x(at * last), cy: y.at(lr), tabindex: 0, role: "slider", "data-knot": index,
    "aria-label": `Knot ${index + 1}; arrow keys move it`, "aria-valuenow": lr, "aria-valuemin": 0, "aria-valuemax": 10, "aria-valuetext": text, onkeydown,
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
    if (knot === undefined) return;
    event.preventDefault();
    place.dragged = Number(knot);
    // the scale stays as it was while a knot is dragged, or it would run away from the pointer
    place.held = geometry;
    place.setPointerCapture(event.pointerId);
  };
  place.onpointermove = (event) => {
    const [px, py] = spot(event);
    if (place.held) moveKnot(place.dragged, place.held.share(px), place.held.y.value(py));
    else moveCursor(Math.round(geometry.share(px) * geometry.total));
  };
  place.onpointerup = place.onpointercancel = () => {
    const dragged = place.held !== undefined;
    place.held = undefined;
    if (dragged) moveCursor(geometry.cursor); // draws anew, with a scale for where the knot is now
  };
}

function drawPlot(place, drawn, knots, { perEpoch, cursor, axis, scale, width }, handlers) {
  const total = drawn[0].rates.length;
  const height = Math.round(Math.max(230, Math.min(380, width * 0.5)));
  const moving = drawn.filter(({ momenta }) => momenta);
  const box = { left: MARGIN.left, right: width - MARGIN.right, top: MARGIN.top, bottom: height - MARGIN.bottom };
  const x = (step) => box.left + (step / total) * (box.right - box.left);
  const log = scale === "log";
  const y = place.held?.y ?? vertical(...rateAxis(drawn, knots, log), box.top, box.bottom, log);
  const per = axis === "epoch" ? perEpoch : 1;
  const xTicks = niceTicks(0, total / per, width < 480 ? 4 : 8).map((tick) => [tick * per, short(tick)]);
  const parts = [...frame(x, y, "learning rate", box, xTicks, axis), ...drawn.map((each) => line(each, each.rates, x, y.at))];
  let bottom = height;
  if (moving.length) {
    const lower = { ...box, top: height + MARGIN.top - 6, bottom: height + 100 };
    const lowest = Math.min(...moving.flatMap(({ momenta }) => [momenta.reduce((a, b) => Math.min(a, b))]));
    const my = vertical(Math.max(0, lowest - 0.03), 1, lower.top, lower.bottom, false);
    my.ticks = niceTicks(Math.max(0, lowest - 0.03), 1, 3);
    parts.push(...frame(x, my, "momentum", lower, xTicks, ""), ...moving.map((each) => line(each, each.momenta, x, my.at)));
    bottom = height + 108;
  }
  parts.push(make("line", { class: "cursor", x1: x(cursor), x2: x(cursor), y1: box.top, y2: moving.length ? bottom - 8 : box.bottom }));
  parts.push(...knots.map((knot, index) => knotHandle(index, knot, total, x, y, handlers.moveKnot)));
  const said = drawn.map(({ title, rates }) => `${title} from ${short(rates[0])} to ${short(rates.at(-1))}`).join("; ");
  const focused = place.contains(document.activeElement) ? document.activeElement.dataset.knot : undefined;
  place.replaceChildren(make("svg", { viewBox: `0 0 ${width} ${bottom}`, role: knots.length ? "group" : "img", "aria-label": `Learning rate by ${axis}: ${said}` }, ...parts));
  if (focused !== undefined) place.querySelector(`[data-knot="${focused}"]`)?.focus();
  const share = (px) => (px * (width / place.clientWidth) - box.left) / (box.right - box.left);
  const scaled = { ...y, value: (py) => y.value(py * (width / place.clientWidth)) };
  followPointer(place, { y: { ...scaled, at: y.at, ticks: y.ticks }, share, total, cursor }, handlers);
}

function fillTable(place, drawn, perEpoch, cursor, remove) {
  const head = ["Curve", "Maximum", "Final", "Area, rate × epochs", `At step ${cursor}`];
  const rows = drawn.map(({ title, rates, stroke, dash }, index) => {
    const { maximum, final, area } = readings(rates, perEpoch);
    const swatch = make("svg", { viewBox: "0 0 26 8", "aria-hidden": "true" }, make("path", { class: "curve", style: stroke, "stroke-dasharray": dash, d: "M0 4H26" }));
    const button = make("button", { type: "button", "aria-label": `Remove curve ${index + 1}, ${title}`, onclick: () => remove(index) }, "×");
    const cells = [maximum, final, area, rates[cursor]].map((value) => make("td", {}, short(value)));
    return make("tr", {}, make("th", { scope: "row" }, swatch, `${index + 1} ${title}`), ...cells, make("td", {}, index ? button : ""));
  });
  const heading = make("tr", {}, ...head.map((name) => make("th", { scope: "col" }, name)), make("td", {}));
  place.replaceChildren(make("table", {}, make("thead", {}, heading), make("tbody", {}, ...rows)));
}
