// The frames in which two trackers' boxes differ most, over all sequences that both have.

const MOST_DIFFERENT = 10; // frames in the list
const APART = 10; // frames of one sequence that are listed are at least so far from each other

// Returns the overlap of two boxes; a box that is missing overlaps with nothing.
function overlapOf([ax, ay, aw, ah], [bx, by, bw, bh]) {
  const width = Math.min(ax + aw, bx + bw) - Math.max(ax, bx);
  const height = Math.min(ay + ah, by + bh) - Math.max(ay, by);
  if (!(width > 0 && height > 0)) return 0;
  return (width * height) / (aw * ah + bw * bh - width * height);
}

const distance = ([ax, ay, aw, ah], [bx, by, bw, bh]) =>
  Math.hypot(ax + aw / 2 - bx - bw / 2, ay + ah / 2 - by - bh / 2);

async function mostDifferent(viewer, a, b) {
  const found = [];
  for (const number of data.sequences.keys()) {
    const track = await viewer.track(number);
    if (!track || ![a, b].every((t) => track.trackers.includes(t))) continue;
    for (let frame = 0; frame < track.length; frame++) {
      const [one, other] = [a, b].map((t) => track.box(t, frame));
      const pixels = distance(one, other);
      found.push({ number, frame, overlap: overlapOf(one, other), pixels: Number.isNaN(pixels) ? Infinity : pixels });
    }
  }
  found.sort((p, q) => p.overlap - q.overlap || q.pixels - p.pixels);
  const listed = [];
  for (const one of found) {
    if (one.overlap === 1 || listed.length === MOST_DIFFERENT) break;
    const close = (p) => p.number === one.number && Math.abs(p.frame - one.frame) < APART;
    if (!listed.some(close)) listed.push(one);
  }
  return listed;
}

function createDifferences(root, viewer, showOnly) {
  const choices = data.trackers.map((t, i) => [i, t.name]);
  const pair = [0, 1].map((i) => el("select", { "aria-label": `${i ? "Second" : "First"} tracker` }));
  pair.forEach((select, i) => options(select, choices, i));
  const list = el("ol", {});
  const find = el("button", { type: "button", onclick: async () => {
    const [a, b] = pair.map((select) => Number(select.value));
    find.disabled = true;
    const listed = await mostDifferent(viewer, a, b);
    find.disabled = false;
    if (a !== b) showOnly([a, b]);
    list.replaceChildren(...listed.map(({ number: i, frame, overlap, pixels }) => el("li", {},
      el("a", { href: frameLink(data.sequences[i].name, frame) }, `${data.sequences[i].name}, frame ${frame + 1}`),
      Number.isFinite(pixels) ? ` overlap ${overlap.toFixed(3)}, ${pixels.toFixed(1)} px apart` : " one of them has no box")));
    if (!listed.length) list.replaceChildren(el("li", { class: "note" }, "no frame in which both differ"));
  } }, "Find");
  root.append(el("p", { class: "note" }, "Where ", pair[0], " and ", pair[1], " differ most ", find), list);
}
