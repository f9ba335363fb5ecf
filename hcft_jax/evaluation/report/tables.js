// Tables that can be sorted by any column.

// columns: [{title, about, value(row), cell(row), descending (the first click's order), class}],
// order: {column, descending}, kept by the caller. Rows without a value are last in both orders.
function sortedTable({ columns, rows, order, key, decorate, caption }) {
  const table = el("table", { class: "sorted" });
  const body = el("tbody");

  const fill = () => {
    const { value } = columns[order.column] ?? columns[0];
    const sign = order.descending ? -1 : 1;
    const compare = (a, b) => {
      const [one, other] = [value(a), value(b)];
      if (one == null || other == null) return (one == null) - (other == null);
      return sign * (typeof one === "string" ? one.localeCompare(other, "en", { numeric: true }) : one - other);
    };
    body.replaceChildren(...[...rows].sort(compare).map((row) => {
      const line = el("tr", { "data-key": key(row) }, ...columns.map((c) =>
        el(c.head ? "th" : "td", { class: c.class, scope: c.head && "row" }, ...[c.cell(row)].flat())));
      decorate?.(line, row);
      return line;
    }));
    [...head.cells].forEach((cell, i) => cell.setAttribute(
      "aria-sort", i !== order.column ? "none" : order.descending ? "descending" : "ascending"));
  };

  const head = el("tr", {}, ...columns.map((column, i) => el(
    "th", { scope: "col", class: column.class, title: column.about },
    el("button", {
      type: "button",
      onclick: () => {
        order.descending = order.column === i ? !order.descending : Boolean(column.descending);
        order.column = i;
        fill();
      },
    }, column.title),
  )));
  table.append(el("caption", {}, caption), el("thead", {}, head), body);
  fill();
  return table;
}

// Draws an interval on the scale of all rows: a line with the mean on it.
function intervalBar(value, [low, high], [least, most], tracker) {
  const at = (v) => (100 * (v - least)) / (most - least || 1);
  return svg(
    "svg", { class: "range", viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("line", { x1: at(low), x2: at(high), y1: 5, y2: 5, style: { stroke: colour(tracker) } }),
    svg("line", { class: "mean", x1: at(value), x2: at(value), y1: 1, y2: 9, style: { stroke: colour(tracker) } }),
  );
}
