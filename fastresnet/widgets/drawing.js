// What the widgets draw with: elements, figures in few digits, axes.

const SVG = ["svg", "path", "line", "rect", "circle", "text", "g"];
function make(tag, attributes = {}, ...children) {
  const node = SVG.includes(tag) ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value !== null && value !== false) node.setAttribute(key, value);
  }
  node.append(...children);
  return node;
}

const short = (value) => String(Number(value.toPrecision(4)));
const rounded = (value) => Number(value.toPrecision(3));

function niceTicks(low, high, many) {
  const rough = (high - low) / many || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((times) => times * power).find((each) => each >= rough * 0.999);
  const ticks = [];
  for (let tick = Math.ceil(low / step); tick * step <= high * 1.0001; tick += 1) ticks.push(Number((tick * step).toPrecision(10)));
  return ticks;
}

// Where a value is drawn, and back: linear from `low`, or in decades, where what is not above the floor lies on it.
function vertical(low, high, top, bottom, log) {
  const form = log ? (value) => Math.log10(Math.max(value, low)) : (value) => value;
  const back = log ? (value) => 10 ** value : (value) => value;
  const [from, to] = [form(low), form(high)];
  const decades = () => niceTicks(Math.ceil(from), Math.floor(to), 6).filter(Number.isInteger).map((power) => 10 ** power);
  return {
    at: (value) => bottom - ((form(value) - from) / (to - from || 1)) * (bottom - top),
    value: (y) => back(from + ((bottom - y) / (bottom - top)) * (to - from)),
    ticks: log ? decades() : niceTicks(low, high, 5),
  };
}
