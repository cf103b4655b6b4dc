// What the widgets draw with: elements, settings to choose from, figures in few digits, axes.

const SVG = ["svg", "path", "line", "rect", "circle", "text"];
const TAKES_KEYS = ["input", "select", "button", "summary"];

function make(tag, attributes = {}, ...children) {
  const node = SVG.includes(tag) ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value !== null && value !== false) node.setAttribute(key, value);
  }
  // JupyterLab takes keys for its own unless the very element that has the focus forbids it
  if (TAKES_KEYS.includes(tag) || "tabindex" in attributes) node.setAttribute("data-lm-suppress-shortcuts", "true");
  node.append(...children);
  return node;
}

const equal = (a, b) => JSON.stringify(a) === JSON.stringify(b);
const sameValues = (a, b) => Object.keys({ ...a, ...b }).every((key) => equal(a[key], b[key]));

const whole = (value) => value.toLocaleString("en");
const short = (value) => String(Number(value.toPrecision(4)));
const rounded = (value) => Number(value.toPrecision(3));
// A number as one writes it: 0.02 where arithmetic has left 0.020000000000000004.
const written = (value) => (typeof value === "number" ? String(Number(value.toPrecision(12))) : String(value));

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
const deviation = (values) => Math.sqrt(values.reduce((sum, value) => sum + (value - mean(values)) ** 2, 0) / (values.length - 1));
// Mean ± standard deviation; the value alone where there is one.
const spread = (values, digits) => mean(values).toFixed(digits) + (values.length > 1 ? ` ± ${deviation(values).toFixed(digits)}` : "");

function niceTicks(low, high, many) {
  const rough = (high - low) / many || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((times) => times * power).find((each) => each >= rough * 0.999);
  const ticks = [];
  for (let tick = Math.ceil(low / step); tick * step <= high + step * 1e-4; tick += 1) ticks.push(Number((tick * step).toPrecision(10)));
  return ticks;
}

// The ticks of a cost in decades, with 2 and 5 between them where there are few; even ones within a narrow range.
function costTicks(low, high) {
  if (high / low < 10) return niceTicks(low, high, 5);
  const ticks = [];
  for (let power = Math.floor(Math.log10(low)); 10 ** power <= high; power += 1) ticks.push(...[1, 2, 5].map((times) => times * 10 ** power));
  const inside = ticks.filter((tick) => tick >= low && tick <= high);
  return inside.length > 7 ? inside.filter((tick) => Number.isInteger(Math.round(Math.log10(tick) * 1e6) / 1e6)) : inside;
}

// Where a value is drawn, and back: linear from `low`, or in decades, where what is not above the floor lies on it, and the floor
// is read as 0.
function vertical(low, high, top, bottom, log) {
  const form = log ? (value) => Math.log10(Math.max(value, low)) : (value) => value;
  const back = log ? (value) => 10 ** value : (value) => value;
  const [from, to] = [form(low), form(high)];
  return {
    at: (value) => bottom - ((form(value) - from) / (to - from || 1)) * (bottom - top),
    value: (y) => (log && y > bottom - 4 ? 0 : back(from + ((bottom - y) / (bottom - top)) * (to - from))),
    ticks: log ? costTicks(low, high) : niceTicks(low, high, 5),
  };
}

// Frame, grid and names of a plot of `y` as `vertical` makes it over ticks [value, label] of `x`.
function frame(x, y, name, box, xTicks, xName) {
  const parts = [make("rect", { class: "frame", x: box.left, y: box.top, width: box.right - box.left, height: box.bottom - box.top })];
  for (const tick of y.ticks) {
    parts.push(make("line", { class: "grid", x1: box.left, x2: box.right, y1: y.at(tick), y2: y.at(tick) }));
    parts.push(make("text", { x: box.left - 6, y: y.at(tick) + 4, "text-anchor": "end" }, short(tick)));
  }
  for (const [step, label] of xTicks) {
    parts.push(make("line", { class: "grid", x1: x(step), x2: x(step), y1: box.top, y2: box.bottom }));
    if (xName) parts.push(make("text", { x: x(step), y: box.bottom + 16, "text-anchor": "middle" }, label));
  }
  parts.push(make("text", { x: box.left, y: box.top - 8 }, name));
  if (xName) parts.push(make("text", { x: box.right, y: box.bottom + 31, "text-anchor": "end" }, xName));
  return parts;
}

// A list to choose from under its label, of values or of pairs of value and text; `wide` puts it on a line of its own.
function selectSetting(id, label, options, value, apply, { wide = false } = {}) {
  const pairs = options.map((each) => (Array.isArray(each) ? each : [each, each]));
  const select = make("select", { id, onchange: () => apply(select.value) }, ...pairs.map(([each, text]) => make("option", { value: each }, text)));
  select.value = value;
  const box = wide ? make("span", { class: "wide" }, select) : select;
  return make("div", { class: wide ? "setting" : "setting short" }, make("label", { for: id }, label), box);
}

// Draws anew whenever the width of a place has changed, until it is disconnected.
function onNewWidth(place, draw) {
  let width = place.clientWidth;
  const observer = new ResizeObserver(() => {
    if (place.clientWidth === width) return;
    width = place.clientWidth;
    draw();
  });
  observer.observe(place);
  return observer;
}
