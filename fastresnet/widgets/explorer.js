// The explorer of schedules: controls, curves and readings around a model of `get`, `set`, `on` and `save_changes`, which
// in a live notebook is anywidget's and on a page without a kernel a few lines around the same values.

const MOST_CURVES = 6;
const LINK = "#schedules=";
const LINKED = ["schedule", "compared", "epochs", "steps_per_epoch", "loss_curve", "axis", "scale"];

// `names` are those of the curves that are presets, "" for the others
const linkTo = (model, names) => {
  const state = Object.fromEntries(LINKED.map((key) => [key, model.get(key)]));
  return LINK + encodeURIComponent(JSON.stringify({ ...state, names }));
};

// The state that a link holds and the names of its curves, or an error that says what is wrong with it.
function linkedState(link, lossCurves) {
  const linked = Object(JSON.parse(decodeURIComponent(link.slice(LINK.length))));
  const { schedule, compared = [], epochs, steps_per_epoch, loss_curve, axis, scale, names } = linked;
  const oneOf = (name, value, allowed) => {
    if (!allowed.includes(value)) throw new Error(`${name}: no "${value}"`);
    return value;
  };
  if (!Array.isArray(compared) || compared.length >= MOST_CURVES) throw new Error(`compared: must be at most ${MOST_CURVES - 1} schedules`);
  const state = {
    schedule: checkedSchedule(schedule),
    compared: compared.map(checkedSchedule),
    epochs: checked(FIELDS.epochs, String(epochs)),
    steps_per_epoch: checked(FIELDS.steps_per_epoch, String(steps_per_epoch)),
    loss_curve: oneOf("loss_curve", loss_curve, ["", ...lossCurves]),
    axis: oneOf("axis", axis, ["step", "epoch"]),
    scale: oneOf("scale", scale, ["linear", "log"]),
  };
  return { state, names: [names ?? []].flat().map(String) };
}

function render({ model, el }) {
  const uid = `schedule-${Math.random().toString(36).slice(2, 8)}`;
  let ownChange = false;
  let cursor = 0;
  const read = new WeakMap();
  const names = () => model.get("_names") ?? {}; // of the presets that were chosen, by their schedule
  const kindSelect = make("select", { id: `${uid}-kind`, onchange: () => choose(kindSelect.value) });
  const settings = make("div", { class: "settings" });
  const run = make("div");
  const plot = make("div", { class: "plot" });
  const table = make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Readings of the curves" });
  const reader = make("input", { type: "range", id: `${uid}-cursor`, min: 0, value: 0, oninput: () => moveCursor(Number(reader.value)) });
  const message = make("p", { class: "message", role: "status", id: `${uid}-message` });
  const home = make("div", { class: "messages" }, message);
  const codes = make("div");
  const sources = make("ul", { class: "caption sources" });
  const keep = make("button", { type: "button", onclick: keepThis }, "Keep for comparison");
  let followed = ""; // a link that the way back leads to again would undo what was done since
  const link = make("button", { type: "button", onclick: () => {
    followed = linkTo(model, curves().map((each) => nameOf(each) ?? ""));
    history.replaceState(null, "", followed);
    copy("link", location.href);
  } }, "Copy a link to this");
  const schedule = () => model.get("schedule");
  const curves = () => [schedule(), ...model.get("compared")];
  const nameOf = (each) => names()[JSON.stringify(each)];
  const losses = () => model.get("losses")[model.get("loss_curve")] ?? [];
  const presets = () => model.get("presets");
  const titleOf = ({ group, name }) => `${group}: ${name}`;
  // a plateau falls as its own run's loss tells
  const hasLoss = (preset) => preset.schedule.kind === "plateau" && preset.name in model.get("losses");
  const total = () => model.get("epochs") * model.get("steps_per_epoch");

  // at its own place, or over the label of a setting: buttons that moved away under a pointer would not be pressed
  function say(text, wrong = false, place = home) {
    if (message.parentElement !== place) place.append(message);
    message.textContent = text;
    message.classList.toggle("wrong", wrong);
  }

  function put(key, value) {
    ownChange = true;
    model.set(key, value);
    model.save_changes();
    ownChange = false;
  }

  function keepThis() {
    put("compared", [...model.get("compared"), schedule()]);
    table.focus(); // the button that was pressed is disabled
    say("Kept.");
  }

  // applies what was typed, or says why not and leaves the schedule as it was; what was refused before goes with its message
  function attempt(change, input) {
    const accept = (box) => ["aria-invalid", "aria-describedby"].forEach((name) => box?.removeAttribute(name));
    for (const refused of root.querySelectorAll("[aria-invalid]")) {
      accept(refused);
      if (refused !== input) refused.value = refused.defaultValue;
    }
    try {
      change();
      if (input) input.defaultValue = input.value;
      say("");
    } catch (error) {
      input?.setAttribute("aria-invalid", "true");
      input?.setAttribute("aria-describedby", message.id);
      say(error.message, true, input?.closest(".setting"));
    }
  }

  const change = (key, value) => put("schedule", bounded({ ...schedule(), [key]: value }));

  function choose(option) {
    say("");
    const preset = presets()[option];
    if (preset) {
      put("_names", { ...names(), [JSON.stringify(preset.schedule)]: titleOf(preset) });
      if (hasLoss(preset)) put("loss_curve", preset.name);
      for (const key of ["schedule", "epochs", "steps_per_epoch"]) put(key, structuredClone(preset[key]));
      buildRun();
    } else put("schedule", { kind: option, ...structuredClone(KINDS[option][1]) });
    buildSettings();
  }

  function numberSetting(key, value, apply, field = FIELDS[key]) {
    const id = `${uid}-${key}`;
    const scale = field.log ? Math.log : (x) => x;
    const [from, to] = [scale(field.from), scale(field.to)];
    const position = (x) => Math.round((1000 * (scale(Math.max(x, field.log ? field.from : -Infinity)) - from)) / (to - from));
    const box = make("input", { id, type: "text", inputmode: "decimal", value: written(value) });
    const slider = make("input", { type: "range", min: 0, max: 1000, value: position(value), "aria-label": `${field.label}, slider`, "aria-valuetext": written(value) });
    box.addEventListener("change", () => attempt(() => {
      const typed = checked(field, box.value);
      apply(typed);
      slider.value = position(typed);
      slider.setAttribute("aria-valuetext", typed);
    }, box));
    const take = (value) => {
      box.value = value;
      slider.setAttribute("aria-valuetext", box.value);
      attempt(() => apply(checked(field, box.value)), box);
    };
    slider.addEventListener("input", () => {
      const raw = from + (slider.value / 1000) * (to - from);
      const moved = field.log && field.low === 0 && slider.value === "0" ? 0 : field.log ? Math.exp(raw) : raw;
      take(field.whole ? Math.round(moved) : rounded(moved));
    });
    slider.addEventListener("keydown", (event) => {
      const by = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
      if (!by || !field.whole) return; // a thousandth of the slider is less than a whole number
      event.preventDefault();
      const next = Math.max(field.from, Math.min(Math.max(field.to, box.defaultValue), Number(box.defaultValue) + by));
      slider.value = position(next);
      take(next);
    });
    return make("div", { class: "setting" }, make("label", { for: id }, field.label), slider, box);
  }

  function textSetting(key, label, width) {
    const id = `${uid}-${key}`;
    const box = make("input", { id, type: "text", class: "wide", value: asText(schedule()[key]) });
    box.addEventListener("change", () => attempt(() => {
      const typed = listOf(label, box.value, width);
      // 0,1 is how some write 0.1
      if (width === 1 && typed.length > 1 && typed.every(Number.isInteger)) throw new Error(`${label}: must be written with points, like 0.1, got "${box.value}"`);
      change(key, typed);
    }, box));
    return make("div", { class: "setting" }, make("label", { for: id }, label), box);
  }

  function momentumSetting(range) {
    const cycles = make("select", { id: `${uid}-momentum` }, make("option", { value: "no" }, "constant"), make("option", { value: "yes" }, "cycles"));
    cycles.value = range ? "yes" : "no";
    cycles.addEventListener("change", () => {
      change("momentum_range", cycles.value === "yes" ? [0.85, 0.95] : null);
      buildSettings();
      settings.querySelector(`#${uid}-momentum`).focus();
    });
    const rows = [make("div", { class: "setting short" }, make("label", { for: cycles.id }, "Momentum"), cycles)];
    ["Lowest momentum", "Highest momentum"].forEach((label, index) => {
      const apply = (value) => change("momentum_range", schedule().momentum_range.with(index, value));
      if (range) rows.push(numberSetting(`momentum-${index}`, range[index], apply, share(label)));
    });
    return rows;
  }

  function knotButtons() {
    const put = (points, button) => {
      attempt(() => change("points", points));
      buildSettings();
      settings.querySelector(`#${uid}-${button}`).focus(); // the one that was pressed is gone
    };
    const add = () => {
      const points = schedule().points;
      const gaps = points.slice(1).map(([at], index) => at - points[index][0]);
      const widest = gaps.indexOf(Math.max(...gaps)) + 1;
      const [at, lr] = [0, 1].map((part) => (points[widest - 1][part] + points[widest][part]) / 2);
      const knot = [Number(at.toPrecision(12)), rounded(lr)];
      if (points[widest - 1][0] < knot[0] && knot[0] < points[widest][0]) put(points.toSpliced(widest, 0, knot), "add");
      else say("There is no room for a knot.", true);
    };
    const remove = () => (schedule().points.length > 2 ? put(schedule().points.toSpliced(-2, 1), "remove") : say("A curve needs two knots.", true));
    return make("div", { class: "buttons" }, make("button", { type: "button", id: `${uid}-add`, onclick: add }, "Add a knot"), make("button", { type: "button", id: `${uid}-remove`, onclick: remove }, "Remove a knot"));
  }

  function buildSettings() {
    const { kind, ...values } = schedule();
    const rows = Object.entries(values).flatMap(([key, value]) => {
      if (key === "momentum_range") return momentumSetting(value);
      if (LISTS[key]) return [textSetting(key, ...LISTS[key]), ...(key === "points" ? [knotButtons()] : [])];
      if (CHOICES[key]) return selectSetting(`${uid}-${key}`, ...CHOICES[key], value, (chosen) => change(key, chosen));
      return numberSetting(key, value, (typed) => change(key, typed), fieldOf(kind, key));
    });
    settings.replaceChildren(...rows);
  }

  function buildRun() {
    const rows = ["epochs", "steps_per_epoch"].map((key) => numberSetting(key, model.get(key), (value) => put(key, value)));
    rows.push(selectSetting(`${uid}-axis`, "Horizontal axis", ["step", "epoch"], model.get("axis"), (value) => put("axis", value)));
    rows.push(selectSetting(`${uid}-scale`, "Vertical axis", ["linear", "log"], model.get("scale"), (value) => put("scale", value)));
    const names = Object.keys(model.get("losses"));
    if (names.length) rows.push(selectSetting(`${uid}-loss`, "Loss for a plateau", names, model.get("loss_curve"), (value) => put("loss_curve", value)));
    run.replaceChildren(...rows);
  }

  function moveCursor(step) {
    cursor = Math.max(0, Math.min(step, total() - 1));
    reader.value = cursor;
    draw();
  }

  function moveKnot(index, at, lr) {
    const points = schedule().points;
    const low = index ? points[index - 1][0] + 0.001 : 0;
    const high = index < points.length - 1 ? points[index + 1][0] - 0.001 : 1;
    const within = Math.max(low, Math.min(high, at));
    // there may be no room between its neighbours, or only on the other side
    const stays = low >= high || Math.sign(within - points[index][0]) !== Math.sign(at - points[index][0]);
    const share = stays ? points[index][0] : Number(within.toFixed(4));
    const rate = lr === points[index][1] ? lr : Math.min(FIELDS.lr.high, Math.max(0, rounded(lr)));
    const moved = [share, tooSmall(rate) ? 0 : rate];
    const box = settings.querySelector(`#${uid}-points`);
    attempt(() => {
      change("points", points.with(index, moved));
      box.value = asText(schedule().points);
    }, box);
  }

  function copy(name, text, place = home) {
    const done = () => say(`${name} copied.`, false, place);
    const failed = () => say(`The browser refuses to copy; select the ${name} by hand.`, true, place);
    if (!navigator.clipboard) return failed();
    return navigator.clipboard.writeText(text).then(done, failed);
  }

  const code = (name, file) => {
    const text = make("pre", { tabindex: 0, role: "region", "aria-label": name, "data-code": file });
    const said = make("div", { class: "messages" });
    const button = make("button", { type: "button", onclick: () => copy(name, text.textContent, said) }, `Copy ${name}`);
    codes.append(make("details", {}, make("summary", {}, `As ${name}`), text, button, said));
    return text;
  };
  const yaml = code("YAML", "yaml");
  const torch = code("PyTorch", "torch");

  // a curve is read again only if it or the run has changed
  function readingsOf(each, rate, epochs, perEpoch) {
    const run = `${epochs} ${perEpoch} ${losses()}`;
    if (read.get(each)?.run !== run) read.set(each, { run, ...readings(rate, epochs, perEpoch) });
    return read.get(each);
  }

  function draw() {
    const [epochs, perEpoch] = [model.get("epochs"), model.get("steps_per_epoch")];
    cursor = Math.min(cursor, total() - 1);
    reader.max = total() - 1;
    reader.setAttribute("aria-valuetext", `step ${cursor}`);
    const titles = titlesOf(curves(), curves().map(nameOf));
    const drawn = curves().map((each, index) => {
      const rate = rateOf(each, epochs, perEpoch, losses());
      const momentum = momentumOf(each, epochs, perEpoch);
      return { schedule: each, title: titles[index], rate, momentum, read: readingsOf(each, rate, epochs, perEpoch), ...lookOf(index) };
    });
    // runs are known by schedule and length: whoever comes to both by hand sees them, too
    const asLong = (preset) => preset.epochs === epochs && preset.steps_per_epoch === perEpoch;
    const ofRuns = presets().filter((preset) => preset.accuracy.length && asLong(preset) && (!hasLoss(preset) || preset.name === model.get("loss_curve")));
    // several runs of one schedule share its colour
    const recorded = drawn.flatMap((each, index) =>
      ofRuns.filter((preset) => sameValues(preset.schedule, each.schedule)).map((preset, more) => ({ ...each, dash: lookOf(index + more).dash, preset })));
    listRecorded(sources, recorded);
    const known = losses().length;
    if (drawn.some(({ schedule: { kind } }) => kind === "plateau") && known < epochs) {
      const said = known ? `The recorded loss ends after epoch ${known}: from there on, the plateau's rate is held.` : "Without the loss of a run, a plateau's rate is never lowered.";
      sources.append(make("li", {}, said));
    }
    const chosen = presets().findIndex((preset) => asLong(preset) && sameValues(preset.schedule, schedule()) && titleOf(preset) === nameOf(schedule()));
    kindSelect.value = chosen < 0 ? schedule().kind : chosen;
    const knots = schedule().kind === "piecewise-linear" ? schedule().points : [];
    const look = { total: total(), perEpoch, cursor, axis: model.get("axis"), scale: model.get("scale"), width: Math.max(280, plot.clientWidth || 600) };
    drawPlot(plot, drawn, knots, recorded, look, { moveKnot, moveCursor });
    fillTable(table, drawn, look, (index) => {
      put("compared", model.get("compared").toSpliced(index - 1, 1));
      table.focus(); // the button that was pressed is gone
    });
    for (const [place, text] of [[yaml, toYaml(schedule())], [torch, toTorch(schedule(), epochs, perEpoch)]]) {
      if (place.textContent !== text) place.textContent = text; // else a selection in it would be lost
    }
    keep.disabled = curves().length >= MOST_CURVES || model.get("compared").some((each) => sameValues(each, schedule()));
  }

  const option = ([value, label]) => make("option", { value }, label);
  kindSelect.append(...Object.entries(KINDS).map(([kind, [label]]) => option([kind, label])));
  for (const [group, about] of new Map(presets().map((preset) => [preset.group, preset.about]))) {
    const own = presets().flatMap((preset, index) => (preset.group === group ? [option([index, preset.name])] : []));
    kindSelect.append(make("optgroup", { label: `${group}: ${about}` }, ...own));
  }
  const controls = make("div", {},
    make("fieldset", {}, make("legend", {}, "Schedule"),
      make("div", { class: "setting" }, make("label", { for: kindSelect.id }, "Shape"), make("span", { class: "wide" }, kindSelect)),
      settings, make("div", { class: "buttons" }, keep, ...(model.isPage ? [link] : [])), home),
    make("fieldset", {}, make("legend", {}, "Run"), run));
  const cursorRow = make("div", {}, make("label", { for: reader.id }, "Read at step"), reader);
  const root = make("div", { class: "fastresnet-widget schedule-explorer" },
    make("div", { class: "panes" }, controls, make("div", {}, plot, sources, cursorRow, table, codes)));
  el.append(root);
  buildSettings();
  buildRun();
  draw();

  const changed = () => {
    if (!ownChange) {
      buildSettings();
      buildRun();
    }
    draw();
  };
  const watched = ["schedule", "compared", "epochs", "steps_per_epoch", "losses", "loss_curve", "axis", "scale"];
  for (const key of watched) model.on(`change:${key}`, changed);
  const follow = () => location.hash.startsWith(LINK) && location.hash !== followed && attempt(() => {
    followed = location.hash;
    try {
      const { state, names: linked } = linkedState(location.hash, Object.keys(model.get("losses")));
      const called = (each, name) => presets().some((preset) => titleOf(preset) === name && sameValues(preset.schedule, each));
      const linkedCurves = [state.schedule, ...state.compared].map((each, index) => [each, linked[index]]);
      const named = linkedCurves.filter((each) => called(...each)).map(([each, name]) => [JSON.stringify(each), name]);
      model.set("_names", { ...names(), ...Object.fromEntries(named) });
      for (const [key, value] of Object.entries(state)) model.set(key, value);
    } catch (error) {
      throw new Error(`The link cannot be followed: ${error.message}`);
    }
  });
  if (model.isPage) {
    if (model.restored) followed = location.hash;
    else follow();
    window.addEventListener("hashchange", follow);
  }
  const resized = onNewWidth(plot, draw);
  return () => {
    resized.disconnect();
    window.removeEventListener("hashchange", follow);
    for (const key of watched) model.off(`change:${key}`, changed);
  };
}

export default { render };
export { rateOf, momentumOf, toYaml, toTorch, titlesOf, KINDS };
