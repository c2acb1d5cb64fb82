/* Tables that sort by any column, by mouse or keyboard, and say so to a screen reader.
 *
 * columns: [{ label, value(row), show(row), text, bad(row) }]. value sorts and is kept in data-value, exactly as the
 * data has it; show is what people see, text or an element. */
function makeTable({ caption, columns, rows, limit = 60, onRow, describeRow }) {
  let sorted = rows.slice(), order = null, shown = Math.min(limit, rows.length);
  const body = el("tbody"), more = el("button", { type: "button", onclick: () => { shown = rows.length; fill(); } });
  const heads = columns.map((column) => el("th", { scope: "col", class: column.text ? "text" : null, "aria-sort": "none" },
    el("button", { type: "button", onclick: () => sortBy(column) }, column.label)));

  function compare(a, b) {
    if (a === null || a === undefined) return b === null || b === undefined ? 0 : 1;
    if (b === null || b === undefined) return -1;
    return typeof a === "string" ? a.localeCompare(b, "en", { numeric: true }) : a - b;
  }
  function sortBy(column) {
    const down = order && order.column === column ? !order.down : !column.text;
    order = { column, down };
    sorted = rows.slice().sort((a, b) => {
      const x = column.value(a), y = column.value(b);
      return (x === null || y === null || !down ? 1 : -1) * compare(x, y);
    });
    heads.forEach((head, k) => head.setAttribute("aria-sort", columns[k] === column ? (down ? "descending" : "ascending") : "none"));
    fill();
  }
  function cell(column, row) {
    const value = column.value(row), show = column.show ? column.show(row) : value;
    return el("td", { class: [column.text && "text", column.bad && column.bad(row) && "bad"].filter(Boolean).join(" ") || null,
      "data-value": value === null || value === undefined ? "null" : String(value) },
      column.text && typeof show === "string" ? named(show) : show === null || show === undefined ? "\u2013" : show);
  }
  function fill() {
    body.replaceChildren(...sorted.slice(0, shown).map((row) => el("tr", onRow ? { class: "clickable", tabindex: 0,
      "aria-label": describeRow ? describeRow(row) : null, onclick: () => onRow(row),
      onkeydown: (event) => { if (event.key === "Enter") onRow(row); } } : null, columns.map((column) => cell(column, row)))));
    more.hidden = shown >= rows.length;
    more.textContent = `Show all ${count(rows.length)}`;
  }
  fill();
  return el("div", { class: "table" }, el("div", { class: "scroll" },
    el("table", null, caption ? el("caption", null, caption) : null, el("thead", null, el("tr", null, heads)), body)), more);
}

/* The table behind a chart: made when it is opened, and anyway once the page has time, so that searching finds it. */
function behind(label, make) {
  const box = el("details", null, el("summary", null, label));
  let made = false;
  const fill = () => {
    if (!made) box.append(typeof make === "function" ? make() : make);
    made = true;
  };
  box.addEventListener("toggle", fill);
  later(fill);
  return box;
}
