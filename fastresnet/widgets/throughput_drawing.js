// Images per second and the parts of a step, for every batch size that was measured; a press or a drag chooses the nearest.

const PARTS = ["loader", "transfer", "forward", "backward", "optimiser"];
const colourOf = (part) => `fill: var(${PARTS.includes(part) ? `--c${PARTS.indexOf(part)}` : "--line"})`;
const rateOf = (point) => point.image_seconds.map((seconds) => 1 / seconds);

// Each part's mean milliseconds per image; where parts were not timed, those of a whole step.
function millisecondsOf(point) {
  const timed = PARTS.filter((part) => point.parts[part]);
  if (!timed.length) return [["whole step", 1e3 * mean(point.image_seconds)]];
  return timed.map((part) => [part, 1e3 * mean(point.parts[part])]);
}

// While a pointer is down on a drawing, the point whose place `across` lies nearest is chosen.
function chooseByPointer(place, points, across, width, choose) {
  const nearest = (event) => {
    const box = place.getBoundingClientRect();
    const x = ((event.clientX - box.left) * width) / box.width;
    return points.reduce((a, b) => (Math.abs(across(a) - x) <= Math.abs(across(b) - x) ? a : b));
  };
  place.onpointerdown = (event) => {
    if (event.button) return;
    place.setPointerCapture(event.pointerId);
    choose(nearest(event));
  };
  place.onpointermove = (event) => {
    if (place.hasPointerCapture(event.pointerId)) choose(nearest(event));
  };
}

function drawRates(place, points, chosen, width, choose) {
  const height = Math.round(Math.max(200, Math.min(280, width * 0.45)));
  const box = { left: 52, right: width - 20, top: 24, bottom: height - 38 };
  const ends = points.flatMap((point) => [-1, 1].map((sign) => mean(rateOf(point)) + sign * (deviation(rateOf(point)) || 0)));
  const room = 0.06 * (Math.max(...ends) - Math.min(...ends)) || 1;
  const y = vertical(Math.max(0, Math.min(...ends) - room), Math.max(...ends) + room, box.top, box.bottom, false);
  const margin = (points.at(-1).batch_size / points[0].batch_size) ** 0.06;
  const [low, high] = [points[0].batch_size / margin, points.at(-1).batch_size * margin];
  const x = (size) => box.left + (Math.log(size / low) / Math.log(high / low)) * (box.right - box.left);
  const nodes = frame(x, y, "images per second", box, costTicks(low, high).map((tick) => [tick, short(tick)]), "batch size, log scale");
  for (const point of points) {
    const [px, rate, either] = [x(point.batch_size), mean(rateOf(point)), deviation(rateOf(point)) || 0];
    const own = point === chosen;
    nodes.push(make("line", { class: "frame", x1: px, x2: px, y1: y.at(rate - either), y2: y.at(rate + either) }));
    nodes.push(make("circle", { class: "point", r: own ? 8 : 5, cx: px, cy: y.at(rate), style: `fill: var(--c${own ? 1 : 0})` }));
  }
  const said = points.map((point) => `${point.batch_size}: ${short(mean(rateOf(point)))}`).join("; ");
  place.replaceChildren(make("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Images per second by batch size; ${said}` }, ...nodes));
  chooseByPointer(place, points, (point) => x(point.batch_size), width, choose);
}

function drawParts(place, points, chosen, width, choose) {
  const [height, column] = [210, width / points.length];
  const [top, bottom] = [40, height - 38];
  const total = (point) => 1e3 * mean(point.image_seconds);
  const scale = (bottom - top) / Math.max(...points.map(total));
  const at = (point) => (points.indexOf(point) + 0.5) * column;
  const wide = Math.min(70, column * 0.62);
  const nodes = [make("text", { x: 0, y: 12 }, `milliseconds per image${chosen.parts[PARTS[0]] ? ", by part of a step" : ""}`)];
  points.forEach((point, index) => {
    let y = bottom;
    for (const [part, milliseconds] of millisecondsOf(point)) {
      y -= milliseconds * scale;
      nodes.push(make("rect", { x: at(point) - wide / 2, y, width: wide, height: milliseconds * scale, style: `${colourOf(part)}; opacity: ${point === chosen ? 1 : 0.45}` }));
    }
    if (point === chosen) nodes.push(make("rect", { class: "outline", x: at(point) - wide / 2 - 2, y: y - 2, width: wide + 4, height: bottom - y + 4 }));
    nodes.push(make("text", { x: at(point), y: y - 6, "text-anchor": "middle" }, total(point).toPrecision(3)));
    const room = column >= 36 || (index - points.indexOf(chosen)) % 2 === 0;
    if (room) nodes.push(make("text", { x: at(point), y: bottom + 16, "text-anchor": "middle" }, point.batch_size));
  });
  nodes.push(make("text", { x: width, y: height - 4, "text-anchor": "end" }, "batch size"));
  const said = millisecondsOf(chosen).map(([part, milliseconds]) => `${part} ${milliseconds.toPrecision(3)}`).join(", ");
  place.replaceChildren(make("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Milliseconds per image at batch size ${chosen.batch_size}: ${said}` }, ...nodes));
  chooseByPointer(place, points, at, width, choose);
}
