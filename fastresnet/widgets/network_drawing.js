// A network as boxes with its costs below, and networks as points of accuracy against cost.

const ROWS = { boxes: 96, labels: 34, bar: 46, gap: 40 };

const percentOf = (share) => (share > 0 && share < 0.005 ? "<1 %" : `${Math.round(100 * share)} %`);
const sizeText = (output) => (output.length > 1 ? `${output[1]}×${output[2]}` : "");

// A box's height is the side of what a part hands on, its width grows with the logarithm of the channels.
function boxOf({ output }, imageSide, centre, column, top) {
  const height = Math.max(3, ((output[1] ?? 1) / imageSide) * ROWS.boxes);
  const width = Math.max(4, 0.085 * Math.log2(output[0] + 1) * column);
  return make("rect", { class: "box", x: centre - width / 2, y: top + (ROWS.boxes - height) / 2, width, height });
}

function barsOf(parts, key, name, colour, at, column, top) {
  const total = sumOf(parts, key);
  const largest = Math.max(...parts.map((part) => part[key]));
  const nodes = [make("text", { x: at(0) - column / 2, y: top - 6 }, name)];
  parts.forEach((part, index) => {
    const [height, x] = [(part[key] / largest) * ROWS.bar, at(index + 1)];
    const bottom = top + ROWS.bar + 14;
    nodes.push(make("rect", { x: x - column * 0.3, y: bottom - height, width: column * 0.6, height, style: `fill: ${colour}` }));
    nodes.push(make("text", { x, y: bottom - height - 4, "text-anchor": "middle" }, percentOf(part[key] / total)));
  });
  nodes.push(make("line", { class: "grid", x1: at(0) - column / 2, x2: at(parts.length) + column / 2, y1: top + ROWS.bar + 14, y2: top + ROWS.bar + 14 }));
  return nodes;
}

// What each part hands on, and which share of a forward pass and of the parameters is its own.
function drawNetwork(parts, model, imageSide, width) {
  const image = { part: "image", output: [model.in_channels, imageSide, imageSide] };
  const column = width / (parts.length + 1);
  const at = (index) => (index + 0.5) * column;
  const narrow = column < 84;
  const nodes = [image, ...parts].flatMap((each, index) => [
    boxOf(each, imageSide, at(index), column, 22),
    make("text", { x: at(index), y: 12, "text-anchor": "middle" }, narrow ? each.part.replace("stage ", "") : each.part),
    make("text", { x: at(index), y: ROWS.boxes + 38, "text-anchor": "middle" }, sizeText(each.output)),
    make("text", { x: at(index), y: ROWS.boxes + 53, "text-anchor": "middle" }, `${each.output[0]}${narrow ? "" : each.part === "head" ? " classes" : " channels"}`),
  ]);
  const first = 22 + ROWS.boxes + ROWS.labels + 28;
  const second = first + ROWS.bar + ROWS.gap;
  nodes.push(...barsOf(parts, "flops", "FLOPs, share of a forward pass", "var(--c0)", at, column, first));
  nodes.push(...barsOf(parts, "parameters", "Parameters, share", "var(--c1)", at, column, second));
  const said = parts.map(({ part, output, flops }) => `${part} ${output.join(" by ")}, ${percentOf(flops / sumOf(parts, "flops"))} of the FLOPs`);
  return make("svg", { viewBox: `0 0 ${width} ${second + ROWS.bar + 18}`, role: "img", "aria-label": `The network: ${said.join("; ")}` }, ...nodes);
}

// The name of a point, in a line or several, at the first of four places around it that is free and inside the box.
function labelOf(name, [px, py], box, taken) {
  const places = [[name], name.split(/(?<=,) /)].flatMap((lines) => {
    const [width, height] = [6.4 * Math.max(...lines.map(({ length }) => length)), 14 * lines.length];
    const around = [[px + 12, py - height / 2], [px - 12 - width, py - height / 2], [px - width / 2, py - 12 - height], [px - width / 2, py + 12]];
    return around.map(([x, y]) => ({ lines, left: x, top: y, right: x + width, bottom: y + height }));
  });
  const inside = ({ left, top, right, bottom }) => left > box.left && right < box.right && top > box.top && bottom < box.bottom;
  const apart = (a, b) => a.left > b.right || a.right < b.left || a.top > b.bottom || a.bottom < b.top;
  const place = places.find((each) => inside(each) && taken.every((other) => apart(each, other))) ?? places[0];
  taken.push(place);
  return place.lines.map((line, index) => make("text", { x: (place.left + place.right) / 2, y: place.top + 11 + 14 * index, "text-anchor": "middle" }, line));
}

// Recorded networks by FLOPs and mean accuracy, with a standard deviation either way; a line where the chosen one lies.
function drawRecorded(place, networks, chosen, width, choose) {
  const height = Math.round(Math.max(220, Math.min(300, width * 0.5)));
  const box = { left: 52, right: width - 20, top: 24, bottom: height - 38 };
  const known = networks.filter(({ accuracies }) => accuracies.length);
  const average = ({ accuracies }) => 100 * mean(accuracies);
  const eitherWay = ({ accuracies }) => 100 * (deviation(accuracies) || 0);
  const ends = known.flatMap((each) => [-1, 1].map((sign) => average(each) + sign * eitherWay(each)));
  const costs = [...known.map(({ flops }) => flops), chosen.flops].map((flops) => flops / 1e6);
  const [low, high] = [Math.min(...costs) / 1.3, Math.max(...costs) * 1.3];
  const y = vertical(Math.min(...ends) - 1, Math.max(...ends) + 1, box.top, box.bottom, false);
  const x = (value) => box.left + (Math.log(value / low) / Math.log(high / low)) * (box.right - box.left);
  const nodes = frame(x, y, "test accuracy, %", box, costTicks(low, high).map((tick) => [tick, short(tick)]), "MFLOP of a forward pass, log scale");
  nodes.push(make("line", { class: "cursor", x1: x(chosen.flops / 1e6), x2: x(chosen.flops / 1e6), y1: box.top, y2: box.bottom }));
  const places = known.map((each) => [x(each.flops / 1e6), y.at(average(each))]);
  const taken = places.map(([px, py]) => ({ left: px - 8, top: py - 8, right: px + 8, bottom: py + 8 }));
  known.forEach((network, index) => {
    const [[px, py], own] = [places[index], sameValues(network.model, chosen.model)];
    const [high, low] = [1, -1].map((sign) => y.at(average(network) + sign * eitherWay(network)));
    nodes.push(make("line", { class: "frame", x1: px, x2: px, y1: high, y2: low }));
    nodes.push(make("circle", { class: "point", r: own ? 8 : 5.5, cx: px, cy: py, style: `fill: var(--c${own ? 1 : 0})`, onclick: () => choose(network) }));
    nodes.push(...labelOf(network.variant, places[index], box, taken));
  });
  const text = `${known.length} recorded networks, accuracy by FLOPs of a forward pass; the table lists them`;
  place.replaceChildren(make("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": text }, ...nodes));
}
