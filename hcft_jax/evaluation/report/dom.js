// Elements, numbers and packed arrays. Names from results become text nodes, never HTML.

const data = JSON.parse(document.getElementById("content").textContent);

const $ = (selector, root = document) => root.querySelector(selector);

function build(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [k, v] of Object.entries(value)) element.style.setProperty(k, v);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child != null));
  return element;
}

const el = (name, attributes = {}, ...children) =>
  build(document.createElement(name), attributes, children);

const svg = (name, attributes = {}, ...children) =>
  build(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);

function options(select, choices, chosen) {
  select.replaceChildren(
    ...choices.map(([value, text]) => el("option", { value, selected: value === chosen }, text)),
  );
}

// Measures as the tables of the evaluation show them.
const MEASURES = {
  dp20: { title: "DP@20", unit: "%", scale: 100, digits: 2, ends: 1, better: 1, top: 1,
    about: "Distance precision: share of frames with a centre error of at most 20 px" },
  os50: { title: "OS@0.5", unit: "%", scale: 100, digits: 2, ends: 1, better: 1, top: 1,
    about: "Overlap success: share of frames with an overlap above 0.5" },
  auc: { title: "AUC", unit: "", scale: 1, digits: 4, ends: 3, better: 1, top: 1,
    about: "Mean of the success curve" },
  norm_auc: { title: "Norm. AUC", unit: "", scale: 1, digits: 4, ends: 3, better: 1, top: 1,
    about: "Mean of the normalised precision curve" },
  cle: { title: "CLE", unit: "px", scale: 1, digits: 2, ends: 1, better: -1, top: null,
    about: "Mean centre location error; lower is better" },
};

const MINUS = "\u2212";

function number(value, digits, signed = false) {
  if (value == null || Number.isNaN(value)) return "\u2013";
  const text = Math.abs(value).toFixed(digits);
  const sign = value < 0 && Number(text) !== 0 ? MINUS : signed ? "+" : "";
  return sign + text;
}

const shown = (measure, value) => number(value == null ? null : value * measure.scale, measure.digits);

const ends = (measure, [low, high], signed = false) =>
  `${number(low * measure.scale, measure.ends, signed)} to ${number(high * measure.scale, measure.ends, signed)}`;

const counted = (count, what) => `${count.toLocaleString("en")} ${what}${count === 1 ? "" : "s"}`;

const titled = (measure) => (measure.unit ? `${measure.title} (${measure.unit})` : measure.title);

// The first ten trackers differ by colour; the next ten have the same colours, dashed.
const COLOURS = 10;
const DASHES = [null, "6 3", "2 2", "8 3 2 3"];
const colour = (tracker) => `var(--c${tracker % COLOURS})`;
const dash = (tracker) => DASHES[Math.floor(tracker / COLOURS) % DASHES.length];

function swatch(tracker) {
  return svg(
    "svg", { class: "swatch", viewBox: "0 0 24 8", "aria-hidden": "true" },
    svg("line", { x1: 0, y1: 4, x2: 24, y2: 4, style: { stroke: colour(tracker) },
      "stroke-dasharray": dash(tracker) }),
  );
}

async function inflated(text) {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// Sums up the differences that `encoding.pack` made: rows of numbers, NaN for missing ones.
async function unpacked({ shape, step, data: text }) {
  const bytes = await inflated(text);
  const view = new DataView(bytes.buffer);
  const length = shape[shape.length - 1];
  const values = new Float64Array(bytes.length / 4);
  for (let start = 0; start < values.length; start += length) {
    let sum = 0;
    for (let i = start; i < start + length; i++) {
      sum = (sum + view.getInt32(4 * i, true)) | 0;
      values[i] = sum === -(2 ** 31) ? NaN : sum * step;
    }
  }
  return { row: (...at) => {
    let start = 0;
    shape.slice(0, -1).forEach((size, axis) => { start = start * size + at[axis]; });
    return values.subarray(start * length, (start + 1) * length);
  } };
}

const tip = $("#tip");

function showTip(event, ...children) {
  tip.replaceChildren(...children);
  tip.hidden = false;
  const { width, height } = tip.getBoundingClientRect();
  const x = event.clientX + 16 + width > innerWidth ? event.clientX - width - 12 : event.clientX + 16;
  const y = Math.min(event.clientY + 12, innerHeight - height - 8);
  tip.style.left = `${Math.max(4, x)}px`;
  tip.style.top = `${Math.max(4, y)}px`;
}

const hideTip = () => { tip.hidden = true; };
