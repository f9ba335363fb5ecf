// The controls, and the redrawing when they change.

const viewer = createViewer($("#viewer .viewer"));

function open(number) {
  viewer.open(number);
  $("#viewer").scrollIntoView({ behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
  $("#viewer .split").focus({ preventScroll: true });
}

// Redraws everything that depends on the visible trackers and on the selection.
function refresh() {
  drawCurves();
  drawScores();
  drawAttributes();
  drawSequences(open);
  viewer.draw();
}

function reselect() {
  refresh();
  viewer.list();
}

function toggle(tracker, on) {
  if (on) state.hidden.delete(tracker);
  else state.hidden.add(tracker);
  refresh();
  $(`[data-toggle="${tracker}"]`).focus();
}

function showOnly(trackers) {
  state.hidden = new Set(everyone.filter((t) => !trackers.includes(t)));
  refresh();
}

function listAttributes() {
  const choices = Object.entries(subset().selections).map(([attribute, { n }]) =>
    [attribute, attribute ? `${attribute} \u2013 ${data.attributes[attribute]} (${n})` : `all (${n})`]);
  if (!(state.attribute in subset().selections)) state.attribute = "";
  options($("#attribute"), choices, state.attribute);
}

function connect() {
  options($("#subset"), data.subsets.map((s, i) => [i, `${s.title} (${s.targets.length})`]), state.subset);
  $("#subset").addEventListener("change", (event) => {
    state.subset = Number(event.target.value);
    listAttributes();
    reselect();
  });
  $("#attribute").addEventListener("change", (event) => {
    state.attribute = event.target.value;
    reselect();
  });
  options($("#baseline"), [["", "none"], ...data.trackers.map((t, i) => [i, t.name])], "");
  $("#baseline").addEventListener("change", (event) => {
    state.baseline = event.target.value === "" ? null : Number(event.target.value);
    drawScores();
  });
  $("#show-all").addEventListener("click", () => showOnly(everyone));
  $("#show-none").addEventListener("click", () => showOnly([]));
  $("#show-best").addEventListener("click", () => {
    const rows = selection().rows;
    const ranked = everyone.filter((t) => rows[t].scores).sort((a, b) => rows[b].scores.auc - rows[a].scores.auc);
    showOnly(ranked.slice(0, 5));
  });
  const measures = Object.entries(MEASURES).map(([name, measure]) => [name, titled(measure)]);
  for (const [place, name, redraw] of [
    ["#attributes", "attributeMeasure", drawAttributes],
    ["#sequences", "sequenceMeasure", () => drawSequences(open)],
  ]) {
    const select = $(`${place} .measure`);
    options(select, measures, state[name]);
    select.addEventListener("change", () => {
      state[name] = select.value;
      redraw();
    });
  }
  $("#sequences input").addEventListener("input", () => drawSequences(open));
  // In a narrow window, charts are drawn again if its width changes.
  let width = chartWidth(WIDE.width);
  addEventListener("resize", () => {
    if (width === chartWidth(WIDE.width)) return;
    width = chartWidth(WIDE.width);
    drawCurves();
    viewer.draw();
  });
  // A link to a source opens it; for printing all are open.
  addEventListener("hashchange", () => {
    const details = location.hash.startsWith("#source-") && document.getElementById(location.hash.slice(1));
    if (details) details.open = true;
    if (viewer.follow(location.hash)) $("#viewer").scrollIntoView();
  });
  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((d) => { d.open = true; }));
}

function start() {
  // The page begins with the first subset that some tracker has completely.
  const whole = data.subsets.findIndex((s) => s.selections[""].rows.some((row) => row.scores));
  state.subset = Math.max(whole, 0);
  const kept = data.sequences.filter((s) => s.scores.some(Boolean));
  const frames = kept.reduce((sum, s) => sum + s.frames, 0);
  $("#lede").textContent = `${counted(data.trackers.length, "tracker")}, ${counted(kept.length, "target")}, ${counted(frames, "frame")}. One-pass evaluation (OPE) by the rules of the OTB toolkit.`;
  $("#colophon").textContent = `hcft_jax ${data.version}. Bootstrap over sequences: ${data.resamples} resamples, seed ${data.seed}.`;
  connect();
  listAttributes();
  drawSources();
  refresh();
  const pictured = selected().find((i) => document.getElementById(`sequence-${i}`)?.textContent.includes('"pictures"'));
  const first = pictured ?? selected().find((i) => document.getElementById(`sequence-${i}`));
  if (viewer.follow(location.hash)) $("#viewer").scrollIntoView();
  else if (first != null) viewer.open(first);
  if (data.trackers.length > 1) createDifferences($("#viewer .differences"), viewer, showOnly);
}

start();
