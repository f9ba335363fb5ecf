// Line charts as SVG.

const CHART = { width: 460, height: 300, left: 46, right: 10, top: 10, bottom: 40 };

// Text keeps its size in a narrow window: the chart is drawn narrower, not scaled down.
const chartWidth = (most) => Math.min(most, Math.max(300, document.documentElement.clientWidth - 70));

function ticks(low, high, count) {
  const rough = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const values = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++) {
    values.push([k * step, (k * step).toFixed(digits)]);
  }
  return values;
}

// Returns a path through the points whose values are numbers, with gaps at all others.
function path(xs, ys, x, y) {
  const parts = [];
  let drawing = false;
  for (let i = 0; i < ys.length; i++) {
    const whole = Number.isFinite(ys[i]);
    if (whole) {
      const after = Number.isFinite(ys[i + 1]);
      parts.push(`${drawing ? "L" : "M"}${x(xs[i]).toFixed(1)} ${y(ys[i]).toFixed(1)}`);
      if (!drawing && !after) parts.push("h0.01"); // a single point
    }
    drawing = whole;
  }
  return parts.join("");
}

// given: xs, xlabel, ylabel, top (of the y axis), series [{tracker, values, label}], line (a
// threshold), size, hover(event, index, nearest), leave(), pick(index).
function lineChart(given) {
  const size = { ...CHART, ...given.size };
  const [first, last] = [given.xs[0], given.xs[given.xs.length - 1]];
  const span = last - first || 1;
  const right = size.width - size.right;
  const bottom = size.height - size.bottom;
  const x = (value) => size.left + ((value - first) / span) * (right - size.left);
  const y = (value) => bottom - (value / given.top) * (bottom - size.top);
  const root = svg("svg", {
    viewBox: `0 0 ${size.width} ${size.height}`, class: "chart", role: "img",
    "aria-label": `${given.ylabel} over ${given.xlabel}`,
  });
  for (const [value, text] of ticks(0, given.top, size.height < 200 ? 3 : 5)) {
    root.append(
      svg("line", { class: "grid", x1: size.left, x2: right, y1: y(value), y2: y(value) }),
      svg("text", { x: size.left - 6, y: y(value) + 4, "text-anchor": "end" }, text),
    );
  }
  for (const [value, text] of ticks(first, last, size.width / 90)) {
    root.append(
      svg("line", { class: "grid", x1: x(value), x2: x(value), y1: size.top, y2: bottom }),
      svg("text", { x: x(value), y: bottom + 16, "text-anchor": "middle" }, text),
    );
  }
  root.append(
    svg("text", { class: "axis", x: (size.left + right) / 2, y: size.height - 5, "text-anchor": "middle" }, given.xlabel),
    svg("text", { class: "axis", transform: `translate(13 ${(size.top + bottom) / 2}) rotate(-90)`, "text-anchor": "middle" }, given.ylabel),
  );
  if (given.line != null && given.line < given.top) {
    root.append(svg("line", { class: "threshold", x1: size.left, x2: right, y1: y(given.line), y2: y(given.line) }));
  }
  // Curves are cut off at the axes, and the best are drawn last, above the others.
  const inside = { x: size.left, y: size.top - 2, width: right - size.left, height: bottom - size.top + 4 };
  const curves = svg("svg", { ...inside, viewBox: Object.values(inside).join(" "), overflow: "hidden" });
  for (const { tracker, values } of [...given.series].reverse()) {
    curves.append(svg("path", {
      class: "curve", "data-tracker": tracker, d: path(given.xs, values, x, y),
      style: { stroke: colour(tracker) }, "stroke-dasharray": dash(tracker),
    }));
  }
  const cursor = svg("line", { class: "cursor", y1: size.top, y2: bottom, visibility: "hidden" });
  const dots = svg("g", { class: "dots" });
  root.append(curves, cursor, dots);

  const mark = (index) => {
    cursor.setAttribute("visibility", index == null ? "hidden" : "visible");
    dots.replaceChildren();
    if (index == null) return;
    for (const end of ["x1", "x2"]) cursor.setAttribute(end, x(given.xs[index]));
    for (const { tracker, values } of given.series) {
      if (!(values[index] <= given.top)) continue; // NaN too
      dots.append(svg("circle", { cx: x(given.xs[index]), cy: y(values[index]), r: 2.6, style: { fill: colour(tracker) } }));
    }
  };
  const at = (event) => {
    const box = root.getBoundingClientRect();
    const place = ((event.clientX - box.left) / box.width) * size.width;
    const value = first + ((place - size.left) / (right - size.left)) * span;
    const height = ((event.clientY - box.top) / box.height) * size.height;
    let index = 0;
    given.xs.forEach((v, i) => { if (Math.abs(v - value) < Math.abs(given.xs[index] - value)) index = i; });
    const apart = (s) => (Number.isFinite(s.values[index]) ? Math.abs(y(s.values[index]) - height) : Infinity);
    const nearest = given.series.reduce((best, s) => (best && apart(best) <= apart(s) ? best : s), null);
    return [index, nearest && apart(nearest) < Infinity ? nearest : null];
  };
  root.addEventListener("pointermove", (event) => {
    const [index, nearest] = at(event);
    if (!given.pick) mark(index);
    given.hover?.(event, index, nearest);
    if (given.pick && event.buttons & 1) given.pick(index);
  });
  root.addEventListener("pointerleave", () => {
    if (!given.pick) mark(null);
    given.leave?.();
  });
  if (given.pick) root.addEventListener("pointerdown", (event) => given.pick(at(event)[0]));
  root.mark = mark;
  return root;
}

// Returns the lines of a tip: the values of all series at one place, the best first.
function valueTip(title, series, index, digits, nearest, descending = true) {
  const rows = series
    .filter((s) => Number.isFinite(s.values[index]))
    .sort((a, b) => (descending ? -1 : 1) * (a.values[index] - b.values[index]));
  return [
    el("strong", {}, title),
    el("table", {}, ...rows.map((s) => el(
      "tr", { class: s === nearest ? "near" : null },
      el("td", {}, swatch(s.tracker)), el("td", {}, data.trackers[s.tracker].name),
      el("td", {}, number(s.values[index], digits)),
    ))),
  ];
}
