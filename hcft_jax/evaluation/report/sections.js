// The sections above the frames (curves, scores, attributes, sequences) and the sources below.

const state = {
  subset: 0,
  attribute: "",
  baseline: null, // the tracker to which differences are shown
  hidden: new Set(),
  attributeMeasure: "auc",
  sequenceMeasure: "auc",
  scoreOrder: { column: 4, descending: true },
  sequenceOrder: { column: 0, descending: false },
};

const everyone = data.trackers.map((_, tracker) => tracker);
const visible = () => everyone.filter((tracker) => !state.hidden.has(tracker));
const subset = () => data.subsets[state.subset];
const selection = () => subset().selections[state.attribute];

// Emphasises a tracker wherever it is drawn.
function emphasise(tracker) {
  document.body.classList.toggle("emphasis", tracker != null);
  for (const element of document.querySelectorAll("[data-tracker]")) {
    element.classList.toggle("strong", tracker != null && element.dataset.tracker === String(tracker));
  }
}

function drawCurves() {
  const rows = selection().rows;
  const note = (text) => el("span", { title: text }, ` \u2013 ${text}`);
  $("#curves .plots").replaceChildren(...data.plots.map((plot) => {
    const measure = MEASURES[plot.number];
    const series = visible()
      .filter((tracker) => rows[tracker].scores)
      .map((tracker) => ({ tracker, values: rows[tracker][plot.name] }))
      .sort((a, b) => rows[b.tracker].scores[plot.number] - rows[a.tracker].scores[plot.number]);
    const chart = lineChart({
      size: { width: chartWidth(CHART.width) }, xs: plot.thresholds, xlabel: plot.xlabel, ylabel: plot.ylabel, top: 1, series,
      hover: (event, index, nearest) => {
        emphasise(nearest?.tracker);
        showTip(event, ...valueTip(`${plot.xlabel}: ${plot.thresholds[index]}`, series, index, 3, nearest));
      },
      leave: () => { emphasise(null); hideTip(); },
    });
    const best = series[0];
    return el(
      "figure", { "data-plot": plot.name }, el("figcaption", {},
        el("strong", {}, plot.title),
        note(best ? `best ${measure.title}: ${data.trackers[best.tracker].name} ${shown(measure, rows[best.tracker].scores[plot.number])}` : "no tracker has all of these targets")),
      chart,
    );
  }));
}

// [mean of a tracker minus the baseline's, low, high] by measure, as intervals.json has them.
function differences() {
  const of = new Map();
  for (const [a, b, measures] of subset().differences) {
    if (a === state.baseline || b === state.baseline) {
      const sign = b === state.baseline ? 1 : -1;
      const turned = Object.entries(measures).map(([m, [mean, low, high]]) =>
        [m, sign > 0 ? [mean, low, high] : [-mean, -high, -low]]);
      of.set(sign > 0 ? a : b, Object.fromEntries(turned));
    }
  }
  return of;
}

function measureColumn(name, rows, apart) {
  const measure = MEASURES[name];
  const all = rows.flatMap((row) => row.intervals?.[name] ?? []);
  const scale = [Math.min(...all), Math.max(...all)];
  return {
    title: titled(measure), about: measure.about, descending: measure.better > 0, class: "number",
    value: (tracker) => rows[tracker].scores?.[name],
    cell: (tracker) => {
      const { scores, intervals } = rows[tracker];
      if (!scores) return "\u2013";
      const value = el("span", { class: "value" }, shown(measure, scores[name]));
      const difference = apart?.get(tracker)?.[name];
      if (apart && !difference) return [value, el("small", { class: "same" }, tracker === state.baseline ? "reference" : "")];
      if (difference) {
        const [mean, ...limits] = difference;
        const clear = limits[0] > 0 || limits[1] < 0;
        const kind = !clear ? "same" : mean * measure.better > 0 ? "better" : "worse";
        return [value, el("small", { class: kind },
          `${number(mean * measure.scale, measure.ends, true)} (${ends(measure, limits, true)})`)];
      }
      return [value, intervalBar(scores[name], intervals[name], scale, tracker),
        el("small", {}, ends(measure, intervals[name]))];
    },
  };
}

function drawScores() {
  const { rows, n } = selection();
  // There are resampled differences for whole subsets only.
  const apart = state.baseline != null && !state.attribute ? differences() : null;
  const columns = [
    {
      title: "Tracker", head: true, value: (t) => data.trackers[t].name,
      cell: (t) => el("label", {},
        el("input", { type: "checkbox", checked: !state.hidden.has(t), "data-toggle": t,
          onchange: (event) => { toggle(t, event.target.checked); } }),
        swatch(t), el("span", {}, data.trackers[t].name)),
    },
    { title: "n", about: "Targets with a usable result", class: "number", descending: true,
      value: (t) => rows[t].n, cell: (t) => String(rows[t].n) },
    ...["dp20", "os50", "auc", "norm_auc", "cle"].map((name) => measureColumn(name, rows, apart)),
    { title: "Source", value: (t) => data.trackers[t].folder,
      cell: (t) => el("a", { href: `#source-${t}`, title: data.trackers[t].folder ?? "" },
        data.trackers[t].command ? "command" : "files") },
  ];
  const level = Math.round(100 * data.level);
  $("#scores .note span").textContent = apart
    ? `with ${level} % intervals of paired resamples, coloured if zero is outside.`
    : `Means over ${counted(n, "target")} with ${level} % bootstrap intervals (${data.resamples.toLocaleString("en")} resamples).`
      + (state.baseline != null ? " Differences are shown for all attributes together only." : "");
  $("#scores .scroll").replaceChildren(sortedTable({
    columns, rows: everyone, order: state.scoreOrder, key: (t) => t,
    caption: `One-pass evaluation, ${subset().title}${state.attribute ? `, ${data.attributes[state.attribute]}` : ""} (${counted(n, "target")})`,
    decorate: (line, t) => {
      line.dataset.tracker = t;
      line.classList.toggle("off", state.hidden.has(t));
      line.addEventListener("pointerenter", () => emphasise(t));
      line.addEventListener("pointerleave", () => emphasise(null));
    },
  }));
}

function drawAttributes() {
  const measure = MEASURES[state.attributeMeasure];
  const chosen = Object.entries(subset().selections);
  const panels = chosen.map(([attribute, { rows, n }]) => {
    const have = visible().filter((t) => rows[t].scores);
    const value = (t) => rows[t].scores[state.attributeMeasure];
    have.sort((a, b) => measure.better * (value(b) - value(a)));
    const top = measure.top ?? Math.max(...have.map((t) => rows[t].intervals[state.attributeMeasure][1]), 1e-9);
    const part = (v) => `${(100 * Math.min(v, top)) / top}%`;
    return el(
      "figure", { class: "panel", "data-attribute": attribute || "all" },
      el("figcaption", {}, el("strong", {}, attribute || "All"),
        ` ${data.attributes[attribute] ?? "targets"} (${n})`),
      ...have.map((t) => {
        const [low, high] = rows[t].intervals[state.attributeMeasure];
        return el(
          "div", { class: "bar", "data-tracker": t, "data-value": value(t),
            title: `${data.trackers[t].name}: ${shown(measure, value(t))} (${ends(measure, [low, high])})`,
            onpointerenter: () => emphasise(t), onpointerleave: () => emphasise(null) },
          el("span", { class: "name" }, data.trackers[t].name),
          el("span", { class: "track" },
            el("span", { class: "fill", style: { width: part(value(t)), "background-color": colour(t) } }),
            el("span", { class: "whisker", style: { left: part(low), width: `calc(${part(high)} - ${part(low)})` } })),
          el("span", { class: "value" }, number(value(t) * measure.scale, measure.ends)),
        );
      }),
    );
  });
  $("#attributes .note span").textContent =
    `${titled(measure)} with ${Math.round(100 * data.level)} % intervals, best first.`;
  $("#attributes .panels").replaceChildren(...panels);
}

// The selected sequences, by number.
function selected() {
  const { targets } = subset();
  return targets.filter((i) => !state.attribute || data.sequences[i].attributes.includes(state.attribute));
}

function drawSequences(open) {
  const measure = MEASURES[state.sequenceMeasure];
  const filter = $("#sequences input").value.trim().toLowerCase();
  const rows = selected().filter((i) => data.sequences[i].name.toLowerCase().includes(filter));
  const of = (i, t) => data.sequences[i].scores[t]?.[state.sequenceMeasure];
  const shade = (value) => Math.round(100 * (measure.top ? value : 1 / (1 + value / 20)));
  const columns = [
    { title: "Sequence", head: true, value: (i) => data.sequences[i].name, cell: (i) =>
      el("button", { type: "button", class: "open", onclick: () => open(i) }, data.sequences[i].name) },
    { title: "Frames", class: "number", descending: true, value: (i) => data.sequences[i].frames,
      cell: (i) => String(data.sequences[i].frames) },
    { title: "Attributes", class: "tags", value: (i) => data.sequences[i].attributes.join(" "),
      cell: (i) => data.sequences[i].attributes.join(" ") },
    ...visible().map((t) => ({
      title: data.trackers[t].name, class: "number cell", descending: measure.better > 0,
      value: (i) => of(i, t),
      cell: (i) => {
        const value = of(i, t);
        if (value == null) return el("span", { class: "heat none" }, "\u2013");
        return el("span", { class: "heat", style: { "--share": `${shade(value)}%` } },
          number(value * measure.scale, measure.unit ? 1 : 3));
      },
    })),
  ];
  if (!columns[state.sequenceOrder.column]) state.sequenceOrder.column = 0;
  $("#sequences .scroll").replaceChildren(sortedTable({
    columns, rows, order: state.sequenceOrder, key: (i) => i,
    caption: `${titled(measure)} of ${counted(rows.length, "sequence")}`,
  }));
}

function setting(value) {
  if (Array.isArray(value)) return value.map(setting).join(", ") || "(none)";
  return value == null ? "(none)" : typeof value === "object" ? JSON.stringify(value) : String(value);
}

function drawSources() {
  $("#sources .list").replaceChildren(...data.trackers.map((source, t) => {
    const parts = [el("dt", {}, "Results"), el("dd", {}, source.folder
      ? `${counted(source.files, "file")} in ${source.folder}` : "no usable result",
      source.pattern ? ` (${source.pattern} \u2026)` : "")];
    if (source.note) parts.push(el("dt", {}, "Settings"), el("dd", { class: "worse" }, source.note));
    if (source.command) {
      const copy = el("button", { type: "button", onclick: () => {
        getSelection().selectAllChildren(copy.previousSibling);
        navigator.clipboard?.writeText(source.command);
      } }, "copy");
      parts.push(el("dt", {}, "Command"), el("dd", {}, el("code", { class: "command" }, source.command), copy));
    }
    const content = [el("dl", {}, ...parts)];
    if (source.settings) {
      content.push(el("table", { class: "settings" }, el("tbody", {}, ...Object.entries(source.settings).map(
        ([name, value]) => el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, setting(value)))))));
    }
    return el("details", { id: `source-${t}` },
      el("summary", {}, swatch(t), source.name), ...content);
  }));
  const section = $("#problems");
  section.hidden = !data.problems.length;
  $("ul", section).replaceChildren(...data.problems.map((line) => el("li", {}, line)));
}
