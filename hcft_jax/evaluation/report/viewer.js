// One sequence frame by frame: boxes over the picture, measures over the frames, response maps.

const WIDE = { width: 640, height: 150, bottom: 34 };
const PERIOD = 80; // milliseconds per frame when playing

const FRAME = "#frame=";
const frameLink = (name, index) => `${FRAME}${encodeURIComponent(name)}:${index + 1}`;

function createViewer(root) {
  let sequence = null; // its number
  let track = null; // its decoded tracks
  let frame = 0;
  let charts = [];
  let timer = null;
  let order = { column: 1, descending: true };

  const chooser = el("select", { "aria-label": "Sequence", onchange: () => open(Number(chooser.value)) });
  const about = el("span", { class: "about" });
  const picture = el("img", { alt: "", hidden: true });
  const heat = el("canvas", { class: "heat", hidden: true });
  const boxes = svg("svg", { class: "boxes", preserveAspectRatio: "none" });
  const remark = el("span", { class: "remark" });
  const legend = el("span", { class: "legend" }, svg("svg", { viewBox: "0 0 14 10" },
    svg("rect", { class: "truth", x: 2, y: 2, width: 10, height: 6 })), " ground truth");
  const stage = el("div", { class: "stage" }, picture, heat, boxes, remark, legend);
  const slider = el("input", { type: "range", min: 0, value: 0, step: 1, "aria-label": "Frame",
    oninput: () => show(Number(slider.value)) });
  const where = el("output");
  const link = el("a", { class: "link", title: "A permanent link to this frame" }, "link");
  const play = el("button", { type: "button", class: "play", "aria-label": "Play", onclick: () => run(timer == null) }, "\u25b6");
  const only = el("input", { type: "checkbox", id: "only-shown", onchange: () => show(frame) });
  const onlyLabel = el("label", {}, only, el("span"));
  const plots = el("div", { class: "frame-plots" });
  const mapTracker = el("select", { id: "map-tracker", onchange: () => { listMaps(); drawMaps(); } });
  const overlay = el("select", { id: "map-overlay", onchange: () => drawMaps() });
  const tiles = el("div", { class: "tiles" });
  const maps = el("div", { class: "maps" },
    el("p", { class: "note" }, el("label", {}, "Response maps of ", mapTracker), " ",
      el("label", {}, "over the frame ", overlay)), tiles);
  const scores = el("div", { class: "scroll" });
  const help = el("p", { class: "note" },
    "Keys: \u2190 and \u2192 move by one frame, with Shift by ten; Home and End; space plays; N and P change the sequence.");

  root.append(
    el("p", { class: "note" },
      el("button", { type: "button", "aria-label": "Previous sequence", onclick: () => step(-1) }, "\u2039"), chooser,
      el("button", { type: "button", "aria-label": "Next sequence", onclick: () => step(1) }, "\u203a"), about),
    el("div", { class: "split", tabindex: 0, onkeydown: keys },
      el("div", {}, stage, el("div", { class: "scrubber" }, play, slider, where, link), onlyLabel, maps),
      el("div", {}, plots)),
    help, scores,
  );

  function keys(event) {
    if (event.target.tagName === "SELECT" || event.altKey || event.ctrlKey || event.metaKey) return;
    const size = event.shiftKey ? 10 : 1;
    const actions = {
      ArrowLeft: () => move(-size), ArrowRight: () => move(size),
      ArrowDown: () => move(-size), ArrowUp: () => move(size),
      Home: () => show(0), End: () => show(track.length - 1),
      " ": () => run(timer == null), n: () => step(1), p: () => step(-1),
    };
    const action = actions[event.key] ?? actions[event.key.toLowerCase()];
    if (!action || !track) return;
    event.preventDefault();
    action();
  }

  // Returns the place, among the shown frames, of the last one up to this frame.
  const shownAt = (index) => track.shown.findLastIndex((other) => other <= index);

  // Moves by frames, or by shown frames if only those are wanted.
  function move(by) {
    if (!only.checked) return show(frame + by);
    const place = Math.min(Math.max(shownAt(frame) + by, 0), track.shown.length - 1);
    return show(track.shown[place]);
  }

  function step(by) {
    const list = selected();
    const place = list.indexOf(sequence);
    open(list[(place + by + list.length) % list.length]);
  }

  function run(start) {
    clearInterval(timer);
    timer = null;
    if (start) {
      if (frame >= track.length - 1) show(0);
      timer = setInterval(() => {
        move(1);
        if (frame >= track.length - 1) run(false);
      }, only.checked ? 3 * PERIOD : PERIOD);
    }
    play.textContent = timer == null ? "\u25b6" : "\u23f8";
    play.setAttribute("aria-label", timer == null ? "Play" : "Pause");
  }

  async function decode(text) {
    const raw = JSON.parse(text);
    const [truth, box, overlap, error] = await Promise.all(
      [raw.truth, raw.boxes, raw.overlap, raw.error].map(unpacked));
    const responses = new Map();
    const psr = new Map();
    for (const [tracker, of] of Object.entries(raw.responses)) {
      responses.set(Number(tracker), await responseMaps(of));
      psr.set(Number(tracker), (await unpacked(of.psr)).row());
    }
    const positive = (values) => values.map((value) => (value < 0 ? NaN : value));
    const place = (tracker) => raw.trackers.indexOf(tracker);
    const at = (of, index) => [0, 1, 2, 3].map((k) => of(k)[index]);
    return {
      length: raw.truth.shape[1], first: raw.first, shown: raw.shown, pictures: raw.pictures,
      size: raw.size, trackers: raw.trackers, responses, psr,
      file: (tracker) => raw.files[place(tracker)],
      truth: (index) => at((k) => truth.row(k), index),
      box: (tracker, index) => at((k) => box.row(place(tracker), k), index),
      overlap: (tracker) => positive(overlap.row(place(tracker))),
      error: (tracker) => positive(error.row(place(tracker))),
      extent: () => [1, 0].map((axis) => {
        const [start, side] = [truth.row(axis), truth.row(axis + 2)];
        return 1.05 * start.reduce((most, value, i) => Math.max(most, value + side[i]), 1);
      }),
    };
  }

  // Returns the decoded tracks of a sequence; null if no tracker has a result.
  async function tracks(number) {
    const element = document.getElementById(`sequence-${number}`);
    return element ? decode(element.textContent) : null;
  }

  // Opens the frame that a link names; returns whether there is such a frame.
  function follow(fragment) {
    if (!fragment.startsWith(FRAME)) return false;
    const [, name, index] = /^(.*):(\d+)$/.exec(fragment.slice(FRAME.length)) ?? [];
    const number = data.sequences.findIndex((s) => encodeURIComponent(s.name) === name || s.name === name);
    if (number < 0) return false;
    open(number, Number(index) - 1);
    return true;
  }

  async function open(number, at = 0) {
    run(false);
    sequence = number;
    list();
    const decoded = await tracks(number);
    if (sequence !== number) return; // another sequence was chosen meanwhile
    track = decoded;
    root.classList.toggle("empty", !track);
    about.textContent = track ? "" : "no tracker has a usable result";
    if (!track) return;
    const { frames, attributes } = data.sequences[number];
    about.textContent = `${counted(frames, "frame")}, ${attributes.join(" ") || "no attributes"}`;
    const [height, width] = track.size ?? track.extent();
    boxes.setAttribute("viewBox", `0 0 ${width} ${height}`);
    stage.style.setProperty("aspect-ratio", `${width} / ${height}`);
    stage.style.setProperty("--ratio", width / height);
    stage.classList.toggle("blank", !track.pictures);
    slider.max = track.length - 1;
    only.checked = Boolean(track.pictures) && track.shown.length < track.length;
    onlyLabel.hidden = track.shown.length === track.length || !(track.pictures || track.responses.size);
    $("span", onlyLabel).textContent = ` only the ${track.shown.length} frames with `
      + [track.pictures && "pictures", track.responses.size && "response maps"].filter(Boolean).join(" and ");
    frame = Math.min(Math.max(at, 0), track.length - 1);
    only.checked = only.checked && track.shown.includes(frame);
    draw();
  }

  function list() {
    const numbers = selected();
    if (sequence != null && !numbers.includes(sequence)) numbers.push(sequence);
    options(chooser, numbers.map((i) => [i, data.sequences[i].name]), sequence);
  }

  // Draws everything that depends on the visible trackers.
  function draw() {
    if (!track) return;
    const present = visible().filter((t) => track.trackers.includes(t));
    const series = (values) => present.map((tracker) => ({ tracker, values: values(tracker) }));
    const xs = Array.from({ length: track.length }, (_, i) => i + 1);
    const most = (of) => of.reduce((top, s) => s.values.reduce((m, v) => (v > m ? v : m), top), 0);
    const errors = series(track.error);
    const ratios = series((t) => track.psr.get(t)).filter((s) => s.values);
    const kinds = [
      { name: "overlap", ylabel: "Overlap", top: 1, line: 0.5, series: series(track.overlap), digits: 3 },
      // A lost target would flatten everything else: the axis ends at 100 px.
      { name: "error", ylabel: "Centre error (px)", top: Math.min(Math.max(most(errors), 25), 100), line: 20,
        series: errors, digits: 1 },
      { name: "psr", ylabel: "PSR", top: 1.05 * most(ratios) || 1, series: ratios, digits: 1 },
    ];
    charts = kinds.filter((kind) => kind.series.length).map((kind) => {
      const chart = lineChart({
        ...kind, xs, xlabel: "Frame", size: { ...WIDE, width: chartWidth(WIDE.width) },
        hover: (event, index, nearest) => {
          emphasise(nearest?.tracker);
          showTip(event, ...valueTip(`${kind.ylabel}, frame ${index + 1}`, kind.series, index, kind.digits, nearest, kind.name !== "error"));
        },
        leave: () => { emphasise(null); hideTip(); },
        pick: (index) => show(index),
      });
      chart.dataset.plot = kind.name;
      return chart;
    });
    plots.replaceChildren(...charts);
    const shownBefore = Number(mapTracker.value);
    const have = present.filter((t) => track.responses.has(t));
    options(mapTracker, have.map((t) => [t, data.trackers[t].name]), have.includes(shownBefore) ? shownBefore : have[0]);
    maps.hidden = !have.length;
    listMaps();
    show(frame);
  }

  function listMaps() {
    const of = track.responses.get(Number(mapTracker.value));
    const names = of ? of.names : [];
    const chosen = names.includes(overlay.value) || overlay.value === "" ? overlay.value : names[0];
    options(overlay, [["", "none"], ...names.map((name) => [name, name])], overlay.options.length ? chosen : names[0] ?? "");
  }

  function show(index) {
    let next = Math.min(Math.max(index, 0), track.length - 1);
    if (only.checked) {
      const below = shownAt(next);
      const above = Math.min(below + 1, track.shown.length - 1);
      next = track.shown[next - track.shown[below] <= track.shown[above] - next ? below : above];
    }
    frame = next;
    slider.value = frame;
    slider.setAttribute("aria-valuetext", `frame ${frame + 1} of ${track.length}`);
    where.textContent = `${frame + 1} / ${track.length}`;
    link.href = frameLink(data.sequences[sequence].name, frame);
    where.title = `file number ${track.first + frame}`;
    drawPicture();
    drawBoxes();
    charts.forEach((chart) => chart.mark(frame));
    drawMaps();
    drawTable();
  }

  function drawPicture() {
    const place = shownAt(frame);
    const exact = track.shown[place] === frame;
    picture.hidden = !track.pictures;
    if (track.pictures) picture.src = `data:image/webp;base64,${track.pictures[place]}`;
    picture.classList.toggle("stale", !exact);
    remark.textContent = !track.pictures ? "no pictures; evaluate with --data_dir to get them"
      : exact ? "" : `picture of frame ${track.shown[place] + 1}`;
  }

  function rectangle([x, y, width, height], attributes) {
    if (!(width > 0 && height > 0)) return null;
    // Files count pixels from 1.
    return svg("rect", { x: x - 1, y: y - 1, width, height, ...attributes });
  }

  function drawBoxes() {
    const present = visible().filter((t) => track.trackers.includes(t)).reverse();
    boxes.replaceChildren(...[
      rectangle(track.truth(frame), { class: "truth" }),
      ...present.map((t) => rectangle(track.box(t, frame), { "data-tracker": t, style: { stroke: colour(t) }, "stroke-dasharray": dash(t) })),
    ].filter(Boolean));
  }

  function drawMaps() {
    const of = track.responses.get(Number(mapTracker.value));
    const k = track.shown.indexOf(frame);
    heat.hidden = true;
    $(".window", boxes)?.remove();
    if (!of) return;
    const found = k < 0 ? [] : of.names.map((name) => [name, of.map(k, name)]).filter(([, map]) => map);
    tiles.replaceChildren(...found.map(([name, map]) => {
      const canvas = el("canvas", { "data-layer": name });
      paint(canvas, map, of.width, of.height, false);
      const [row, column] = map.peak;
      const cross = svg("svg", { viewBox: `0 0 ${of.width} ${of.height}`, class: "cross" },
        svg("path", { d: `M${column - 1.5} ${row + 0.5}h4M${column + 0.5} ${row - 1.5}v4` }));
      return el("figure", {}, el("div", { class: "tile" }, canvas, cross),
        el("figcaption", {}, el("strong", {}, name),
          name === "sum" || of.names.length === 1 ? "" : ` \u03b3 ${of.gamma(name)}`, ` max ${map.most.toFixed(3)}`));
    }));
    if (!found.length) {
      tiles.replaceChildren(el("p", { class: "note" }, k < 0
        ? `There are maps of ${track.shown.length} frames; the nearest one before is frame ${track.shown[shownAt(frame)] + 1}.`
        : "The first frame is given, so it has no response."));
    }
    const [, chosen] = found.find(([name]) => name === overlay.value) ?? [];
    if (!chosen) return;
    const [height, width] = boxes.getAttribute("viewBox").split(" ").slice(2).map(Number).reverse();
    const [left, top, w, h] = of.place(k);
    paint(heat, chosen, of.width, of.height, true);
    Object.assign(heat.style, { left: `${(100 * left) / width}%`, top: `${(100 * top) / height}%`,
      width: `${(100 * w) / width}%`, height: `${(100 * h) / height}%` });
    heat.hidden = false;
    const [wx, wy, ww, wh] = of.window(k);
    boxes.prepend(svg("rect", { class: "window", x: wx, y: wy, width: ww, height: wh }));
  }

  function drawTable() {
    const rows = visible().filter((t) => track.trackers.includes(t));
    const score = (t, name) => data.sequences[sequence].scores[t]?.[name];
    const column = (name) => ({
      title: titled(MEASURES[name]), about: MEASURES[name].about, class: "number",
      descending: MEASURES[name].better > 0, value: (t) => score(t, name), cell: (t) => shown(MEASURES[name], score(t, name)),
    });
    const now = (title, values, digits) => ({
      title, class: "number now", descending: digits > 1, value: (t) => values(t)[frame],
      cell: (t) => number(values(t)[frame], digits),
    });
    scores.replaceChildren(sortedTable({
      columns: [
        { title: "Tracker", head: true, value: (t) => data.trackers[t].name,
          cell: (t) => [swatch(t), el("span", {}, data.trackers[t].name)] },
        column("auc"), column("dp20"), column("os50"), column("cle"),
        now("Overlap now", track.overlap, 3), now("Error now (px)", track.error, 1),
        { title: "File", class: "file", value: (t) => track.file(t), cell: (t) => track.file(t) },
      ],
      rows, order, key: (t) => t, caption: `${data.sequences[sequence].name}, frame ${frame + 1}`,
      decorate: (line, t) => {
        line.dataset.tracker = t;
        line.addEventListener("pointerenter", () => emphasise(t));
        line.addEventListener("pointerleave", () => emphasise(null));
      },
    }));
  }

  return { open, draw, list, follow, track: tracks, current: () => sequence };
}
