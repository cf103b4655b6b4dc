// The runs of the laboratory: learning rate, training loss and test accuracy by epoch, and the list of the runs.

const PANELS = [["learning rate", "rates"], ["training loss", "losses"], ["test accuracy, %", "accuracies"]];
const PANEL = 150;

function panel(name, key, runs, last, box, isLowest) {
  const highest = Math.max(...runs.flatMap((run) => run[key].map(([, value]) => value)), 1e-12);
  // a loss that grows beyond twice those at the beginning runs along the upper edge, so that others can still be read
  const high = key === "losses" ? Math.min(highest, 2 * Math.max(...runs.map((run) => run.losses[0]?.[1] ?? 0)) || highest) : highest;
  const x = (epoch) => box.left + (epoch / last) * (box.right - box.left);
  const y = vertical(0, high * 1.08, box.top, box.bottom, false);
  y.ticks = niceTicks(0, high * 1.08, 3);
  const xTicks = niceTicks(0, last, box.right - box.left < 400 ? 4 : 8).map((tick) => [tick, short(tick)]);
  const curves = runs.flatMap((run, index) => {
    const look = lookOf(index);
    const points = run[key].map(([epoch, value]) => [x(epoch), y.at(Math.min(value, high))]);
    const dots = key === "accuracies" ? points.map(([cx, cy]) => make("circle", { r: 2.5, cx, cy, style: look.stroke.replace("stroke", "fill") })) : [];
    return [line(look, points), ...dots];
  });
  return [...frame(x, y, name, box, xTicks, isLowest ? "epoch" : ""), ...curves];
}

function render({ model, el }) {
  const plot = make("div", { class: "plot" });
  const table = make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Runs" });
  const root = make("div", { class: "fastresnet-widget laboratory" }, plot, table);

  function draw() {
    const percent = ([epoch, accuracy]) => [epoch, 100 * accuracy];
    const runs = model.get("runs").map((run) => ({ ...run, accuracies: run.accuracies.map(percent) }));
    root.hidden = !runs.length;
    if (!runs.length) return;
    const width = Math.max(280, plot.clientWidth || 600);
    const last = Math.max(...runs.map((run) => (run.state === "training" ? run.epochs : (run.rates.at(-1)?.[0] ?? 0)))) || 1;
    const step = PANEL + MARGIN.top;
    const parts = PANELS.flatMap(([name, key], index) => {
      const top = index * step + MARGIN.top;
      return panel(name, key, runs, last, { left: MARGIN.left, right: width - MARGIN.right, top, bottom: top + PANEL - 12 }, index === 2);
    });
    const titles = titlesOf(runs.map((run) => run.schedule), runs.map((run) => run.name));
    const accuracy = (run) => (run.accuracies.length ? `${(run.accuracies.at(-1)[1]).toFixed(1)} %` : "-");
    const said = runs.map((run, index) => `run ${index + 1}, ${titles[index]}, test accuracy ${accuracy(run)}`).join("; ");
    plot.replaceChildren(make("svg", { viewBox: `0 0 ${width} ${3 * step + MARGIN.bottom}`, role: "img", "aria-label": `Curves by epoch: ${said}` }, ...parts));
    const head = ["Run", "Network", "Epochs", "Test accuracy", "State"].map((name) => make("th", { scope: "col" }, name));
    const rows = runs.map((run, index) => {
      const cells = [run.network, written(run.epochs), accuracy(run), run.state].map((text) => make("td", {}, text));
      return make("tr", {}, make("th", { scope: "row" }, swatch(lookOf(index)), `${index + 1} ${titles[index]}`), ...cells);
    });
    table.replaceChildren(make("table", { class: "words" }, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...rows)));
  }

  el.append(root);
  draw();
  model.on("change:runs", draw);
  const resized = onNewWidth(plot, draw);
  return () => {
    resized.disconnect();
    model.off("change:runs", draw);
  };
}

export default { render };
