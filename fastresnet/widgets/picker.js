// The picker of architectures: a network by its settings, its layers and costs, and what was recorded of it.

const SETTINGS = {
  stem: ["Stem", [["7x7/2", "7x7, stride 2"], ["3x3/1", "3x3, stride 1"]]],
  stem_padding: ["Padding of the stem", [[true, "half the kernel"], [false, "none"]]],
  stem_pool: ["Pool after the stem", [["max", "max 3x3/2"], ["average", "average 3x3/2"], ["none", "none"]]],
  channels: ["Channels of the stages", [[64, 128, 256, 512], [32, 64, 128, 256], [16, 32, 64, 128]].map((each) => [each, each.join("-")])],
  extra_conv: ["Extra convolution", [[false, "no"], [true, "one in every block"]]],
  depth: ["Depth", [10, 18, 34].map((depth) => [depth, `${depth} layers`])],
};

const percentage = (accuracies) => (accuracies.length ? `${spread(accuracies.map((each) => 100 * each), 2)} % (n = ${accuracies.length})`.replace(/ (?!\()/g, "\u00a0") : "unknown: no run yet");
const breakable = (text) => text.replace("\u00a0±", " ±"); // four columns do not fit a telephone otherwise
const signed = (value) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(2)}`;
const megaflops = (flops) => `${short(flops / 1e6)} MFLOP`;

function tableOf(head, rows, label, look = {}) {
  const heading = make("tr", {}, ...head.map((name) => (name ? make("th", { scope: "col" }, name) : make("td", {}))));
  const body = rows.map(([name, ...cells]) => make("tr", {}, make("th", { scope: "row" }, name), ...cells.map((cell) => make("td", {}, cell))));
  return make("table", { "aria-label": label, ...look }, make("thead", {}, heading), make("tbody", {}, ...body));
}

function render({ model, el }) {
  const uid = `picker-${Math.random().toString(36).slice(2, 8)}`;
  const side = model.get("image_side");
  const layersAt = (network) => layersOf(network, side);
  const networks = model.get("recorded").map((each) => {
    const layers = layersAt(each.model);
    return { ...each, flops: sumOf(layers, "flops"), parameters: sumOf(layers, "parameters") };
  });
  const drawing = make("div", { class: "drawing" });
  const readings = make("div");
  const plot = make("div", { class: "drawing" });
  const listed = make("div");
  const layerTable = make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Layers" });
  const message = make("p", { class: "message", role: "status" });
  const chosen = () => model.get("model_config");
  const known = () => networks.find((each) => sameValues(each.model, chosen()));

  function put(key, value) {
    model.set(key, value);
    model.save_changes();
  }

  const named = ["", ...networks.map(({ variant }) => variant)].map((name) => [name, name || "none of them"]);
  const start = selectSetting(`${uid}-start`, "Recorded network", named, "", (name) => {
    const found = networks.find((each) => each.variant === name);
    if (found) put("model_config", found.model);
    else start.querySelector("select").value = known()?.variant ?? "";
  }, { wide: true });
  const settings = Object.entries(SETTINGS).map(([key, [label, options]]) => {
    const texts = options.map(([value, text]) => [JSON.stringify(value), text]);
    const apply = (text) => put("model_config", { ...chosen(), [key]: JSON.parse(text) });
    return [key, selectSetting(`${uid}-${key}`, label, texts, null, apply, { wide: true })];
  });
  const beside = selectSetting(`${uid}-compared`, "Network", named.slice(1), "", (name) => put("compared", name), { wide: true });

  // shows a value; one that Python set and the list does not have is added to it
  function show(setting, text) {
    const select = setting.querySelector("select");
    if (![...select.options].some((option) => option.value === text)) select.append(make("option", { value: text }, text));
    select.value = text;
  }

  function differenceText(network, other) {
    if (!network?.accuracies.length || !other.accuracies.length) return "no runs to compare";
    if (network === other) return "the same network";
    const interval = network.differences[other.variant];
    if (!interval) return "too few runs";
    const [difference, low, high] = interval.map((value) => signed(100 * value));
    return `${difference} points, 95\u00a0% interval ${low} to ${high}`;
  }

  function compare(layers) {
    const [network, other] = [known(), networks.find((each) => each.variant === model.get("compared"))];
    const own = { flops: sumOf(layers, "flops"), parameters: sumOf(layers, "parameters") };
    const times = (key) => `${short(own[key] / other[key])} times`;
    const rows = [
      ["FLOPs, one image", megaflops(own.flops), megaflops(other.flops), times("flops")],
      ["Parameters", whole(own.parameters), whole(other.parameters), times("parameters")],
      ["Test accuracy", breakable(percentage(network?.accuracies ?? [])), breakable(percentage(other.accuracies)), differenceText(network, other)],
    ];
    readings.replaceChildren(tableOf(["", network?.variant ?? "this network", other.variant, "difference"], rows, "The network beside another", { class: "words" }));
    message.textContent = `${network?.variant ?? "A network without a record"}: ${rows[0][1]}, ${rows[1][1]} parameters, accuracy ${rows[2][1]}.`;
  }

  function list() {
    const published = networks.some((each) => each.published);
    const head = ["Recorded network", "MFLOP", "Test accuracy", ...(published ? ["Published"] : [])];
    const rows = networks.map((each) => {
      const name = make("button", { type: "button", onclick: () => put("model_config", each.model) }, each.variant);
      const theirs = each.published ? `${(100 * each.published).toFixed(2)}\u00a0%` : "none";
      return [name, short(each.flops / 1e6), percentage(each.accuracies), ...(published ? [theirs] : [])];
    });
    listed.replaceChildren(tableOf(head, rows, "Recorded networks"));
  }

  function draw() {
    const layers = layersAt(chosen());
    const width = Math.max(280, drawing.clientWidth || 600);
    drawing.replaceChildren(drawNetwork(partsOf(layers), chosen(), side, width));
    drawRecorded(plot, networks, { model: chosen(), flops: sumOf(layers, "flops") }, width, (network) => put("model_config", network.model));
    const rows = layers.map((each) => {
      const name = make("span", {}, each.name, make("span", { class: "what" }, each.what));
      return [name, each.output.join("×"), whole(each.parameters), whole(each.flops)];
    });
    layerTable.replaceChildren(tableOf(["Layer", "Output", "Parameters", "FLOPs"], rows, "Layers"));
    compare(layers);
  }

  function follow() {
    show(start, known()?.variant ?? "");
    for (const [key, setting] of settings) show(setting, JSON.stringify(chosen()[key]));
    show(beside, model.get("compared"));
    draw();
  }

  const controls = make("div", {},
    make("fieldset", {}, make("legend", {}, "Network"), start, make("div", { class: "pairs" }, ...settings.map(([, setting]) => setting))),
    make("fieldset", {}, make("legend", {}, "Compared with"), beside));
  const details = make("details", {}, make("summary", {}, "Every layer"), layerTable);
  const root = make("div", { class: "fastresnet-widget architecture-picker" },
    make("div", { class: "panes" }, controls, make("div", {}, message, drawing, readings, details, plot, listed, make("p", { class: "caption" }, model.get("caption")))));
  el.append(root);
  list();
  follow();
  const watched = ["model_config", "compared"];
  for (const key of watched) model.on(`change:${key}`, follow);
  const resized = onNewWidth(drawing, draw);
  return () => {
    resized.disconnect();
    for (const key of watched) model.off(`change:${key}`, follow);
  };
}

export default { render };
export { layersOf };
