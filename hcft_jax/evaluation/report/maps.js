// Response maps: restored from their levels, summed as in the tracker, and coloured.

const VIRIDIS = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];

function viridis(share) {
  const place = Math.min(Math.max(share, 0), 1) * (VIRIDIS.length - 1);
  const below = Math.min(Math.floor(place), VIRIDIS.length - 2);
  return [0, 1, 2].map((c) => VIRIDIS[below][c] + (place - below) * (VIRIDIS[below + 1][c] - VIRIDIS[below][c]));
}

// The maps of one tracker on the shown frames of a sequence.
async function responseMaps(given) {
  const levels = await inflated(given.maps);
  const [height, width] = given.grid;
  const cells = height * width;
  const count = given.layers.length;

  // The map of a layer on the k-th shown frame: {values, least, most, peak}; null if there is none.
  const layer = (k, index) => {
    const at = k * count + index;
    if (given.offset[at] == null) return null;
    const values = new Float64Array(cells);
    for (let i = 0; i < cells; i++) values[i] = given.offset[at] + given.scale[at] * levels[at * cells + i];
    return described(values);
  };
  const described = (values) => {
    let peak = 0;
    let least = 0;
    values.forEach((value, i) => {
      if (value > values[peak]) peak = i;
      if (value < values[least]) least = i;
    });
    return { values, least: values[least], most: values[peak], peak: [Math.floor(peak / width), peak % width] };
  };
  const total = (k) => {
    const values = new Float64Array(cells);
    for (let index = 0; index < count; index++) {
      const map = layer(k, index);
      if (!map) return null;
      map.values.forEach((value, i) => { values[i] += given.gamma[index] * value; });
    }
    return described(values);
  };
  return {
    height, width,
    names: [...(count > 1 ? ["sum"] : []), ...given.layers],
    gamma: (name) => given.gamma[given.layers.indexOf(name)],
    map: (k, name) => (name === "sum" ? total(k) : layer(k, given.layers.indexOf(name))),
    // Left, top, width, height in the image: the cell of no displacement lies on the centre.
    place: (k) => {
      const [row, column] = given.centres.slice(2 * k, 2 * k + 2);
      const [h, w] = given.cell;
      return [column - w * (Math.floor(width / 2) + 0.5), row - h * (Math.floor(height / 2) + 0.5),
        w * width, h * height];
    },
    // The search window around the centre in the same form.
    window: (k) => {
      const [row, column] = given.centres.slice(2 * k, 2 * k + 2);
      const [h, w] = given.window;
      return [Math.floor(column) + 1 - Math.floor(w / 2), Math.floor(row) + 1 - Math.floor(h / 2), w, h];
    },
  };
}

// Paints a map into a canvas of one pixel per cell; with `clear`, the frame shows through low values.
function paint(canvas, map, width, height, clear) {
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  const span = map.most - map.least || 1;
  map.values.forEach((value, i) => {
    const share = (value - map.least) / span;
    image.data.set([...viridis(share), clear ? 40 + 170 * share : 255], 4 * i);
  });
  context.putImageData(image, 0, 0);
}
