/* Traces before and after: a list, the worst first, that can be searched, and the sheet that draws one of them. */

const listStep = 200;

function describeSpan(store, trace, k, after) {
  const moved = trace.start2[k] - trace.start[k], length = trace.end[k] - trace.start[k], at = BigInt(trace.info.origin);
  const stamp = (ns) => (Number.isFinite(ns) ? instant(at + BigInt(Math.round(ns))) : "no stamp");
  return {
    title: store.names[trace.name[k]],
    facts: [`${kinds[trace.flags[k] & 7]} on ${clip(store.clocks[trace.clock[k]].clock, 60)}`, `starts ${stamp(after ? trace.start2[k] : trace.start[k])}${after ? ", corrected" : ", as stamped"}`,
      Number.isFinite(length) ? `lasts ${duration(length)}` : "no end", moved ? `moved by ${signedDuration(moved)}` : "not moved", `span ${store.spanId(trace, k)}`],
  };
}

function describePair(store, trace, row) {
  const { pairs } = trace, from = pairs.from[row], to = pairs.to[row], flags = pairs.flags[row], by = pairs.by[row], by2 = pairs.by2[row];
  const clock = (k) => clip(store.clocks[trace.clock[k]].clock, 60);
  const order = flags & pairFlag.fromEnd ? "ends" : "is sent";
  return {
    title: `${clock(from)} \u2192 ${clock(to)}`,
    facts: [relations[flags & 7], flags & pairFlag.violated ? `received ${duration(by)} before it ${order}` : `takes ${duration(-by)} as stamped`,
      `corrected: ${by2 > 0 ? `still ${duration(by2)} too early` : `takes ${duration(-by2)}`}`,
      `${store.names[trace.name[from]]} \u2192 ${store.names[trace.name[to]]}`],
  };
}

const detailNodes = (d) => [el("b", null, named(d.title)), " ", el("span", { class: "bidi" }, d.facts.join(" \u00b7 "))];
const detailText = (d) => [d.title, ...d.facts].join("\n");

class TraceList {
  constructor(store, onPick) {
    this.store = store;
    this.onPick = onPick;
    this.only = null;
    this.list = el("ul", { class: "list", role: "listbox", "aria-label": "Traces, the worst first", tabindex: 0, onkeydown: (event) => this.key(event) });
    this.search = el("input", { class: "search", type: "search", placeholder: "Search by trace id", "aria-label": "Search by trace id", spellcheck: "false", autocomplete: "off",
      oninput: () => this.fill() });
    this.said = el("p", { class: "filter", role: "status" });
    this.element = el("div", null, this.search, this.said, this.list);
    this.fill();
  }

  filterEdge(edge) {
    this.only = edge ? { edge, rows: this.store.withEdge(edge.from, edge.to) } : null;
    this.search.value = "";
    this.fill();
    if (this.matches.length) this.pick(this.matches[0].row);
  }

  fill() {
    const wanted = this.search.value.trim().toLowerCase();
    this.matches = this.store.rows.filter((row) => (!this.only || this.only.rows.has(row.row)) && (!wanted || row.id.includes(wanted)));
    this.shown = Math.min(listStep, this.matches.length);
    this.render();
    this.say();
    if (wanted && this.matches.length === 1) this.pick(this.matches[0].row);
  }

  say() {
    const all = this.store.packed.total, here = this.store.rows.length;
    const parts = [`${count(this.matches.length)} of ${plural(all, "trace")}`];
    if (here < all) parts.push(`${count(here)} are in this file, the worst first`);
    this.said.replaceChildren(parts.join("; "));
    if (this.only)
      this.said.append(el("button", { type: "button", onclick: () => this.filterEdge(null) }, `${clip(this.only.edge.from, 24)} \u2192 ${clip(this.only.edge.to, 24)} \u2715`));
  }

  render() {
    const items = this.matches.slice(0, this.shown).map((row) => el("li", { role: "option", id: `trace-${row.row}`, "aria-selected": String(row.row === this.picked), onclick: () => this.pick(row.row) },
      el("span", { class: "id" }, row.id.length > 16 ? `${row.id.slice(0, 6)}…${row.id.slice(-8)}` : row.id), el("span", { class: row.violations ? "bad" : "sub" }, row.violations ? `${count(row.violations)} \u00d7, ${duration(row.worst_ns)}` : plural(row.spans, "span"))));
    if (this.shown < this.matches.length)
      items.push(el("li", null, el("button", { type: "button", onclick: () => { this.shown += listStep; this.render(); } }, `Show ${count(Math.min(listStep, this.matches.length - this.shown))} more`)));
    if (!items.length) items.push(el("li", { class: "note" }, "No such trace in this file."));
    this.list.replaceChildren(...items);
  }

  pick(row) {
    this.picked = row;
    for (const item of this.list.querySelectorAll('[role="option"]')) item.setAttribute("aria-selected", String(item.id === `trace-${row}`));
    this.list.setAttribute("aria-activedescendant", `trace-${row}`);
    this.onPick(row);
  }

  key(event) {
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!by || !this.matches.length) return;
    event.preventDefault();
    const at = this.matches.findIndex((row) => row.row === this.picked), next = Math.max(0, Math.min(this.shown - 1, at + by));
    this.pick(this.matches[next].row);
    byId(`trace-${this.matches[next].row}`).scrollIntoView({ block: "nearest" });
  }
}

function pairsTable(store, trace, onRow) {
  const { pairs } = trace, clock = (line) => store.clocks[trace.clock[line]].clock, name = (line) => store.names[trace.name[line]];
  const id = (line) => el("span", { class: "id" }, store.spanId(trace, line));
  return makeTable({
    caption: "Offending pairs of this trace. By: how long before it was sent it was received, as stamped and corrected.",
    rows: trace.offending, limit: 30, onRow, describeRow: (p) => `Show the pair ${store.spanId(trace, pairs.from[p])}, ${store.spanId(trace, pairs.to[p])}`,
    columns: [
      { label: "from", text: true, value: (p) => clock(pairs.from[p]), show: (p) => clip(clock(pairs.from[p]), 60) },
      { label: "to", text: true, value: (p) => clock(pairs.to[p]), show: (p) => clip(clock(pairs.to[p]), 60) },
      { label: "pair", text: true, value: (p) => relations[pairs.flags[p] & 7] },
      { label: "by", value: (p) => pairs.by[p], show: (p) => duration(pairs.by[p]), bad: () => true },
      { label: "corrected", value: (p) => pairs.by2[p], show: (p) => duration(pairs.by2[p]), bad: (p) => Boolean(pairs.flags[p] & pairFlag.left) },
      { label: "earlier side", text: true, value: (p) => name(pairs.from[p]) },
      { label: "span", text: true, value: (p) => store.spanId(trace, pairs.from[p]), show: (p) => id(pairs.from[p]) },
      { label: "later side", text: true, value: (p) => name(pairs.to[p]) },
      { label: "span", text: true, value: (p) => store.spanId(trace, pairs.to[p]), show: (p) => id(pairs.to[p]) },
    ],
  });
}

class Waterfall {
  constructor(audit) {
    this.store = new TraceStore(audit);
    this.detail = el("p", { class: "detail", "aria-live": "polite" });
    this.heading = el("p", { class: "note" });
    this.tables = el("div");
    this.sheet = new Sheet(this.store, (found, event, keep) => this.hover(found, event, keep));
    this.sheet.canvas.addEventListener("keydown", (event) => {
      if (event.key === "n" || event.key === "p") this.step(event.key === "n" ? 1 : -1);
    });
    this.list = new TraceList(this.store, (row) => this.show(row));
  }

  /* Show the worst; once. */
  begin() {
    if (haveD3 && this.list.picked === undefined && this.store.rows.length) this.list.pick(0);
  }

  mode(name, label, checked) {
    return el("label", { class: "chip" }, el("input", { type: "radio", name: "sheet-mode", value: name, checked, onchange: () => this.sheet.setMode(name) }), el("span", null, label));
  }

  elements() {
    const button = (label, text, act) => el("button", { type: "button", "aria-label": label, title: label, onclick: act }, text);
    this.next = button("Next offending pair", "Next offending pair", () => this.step(1));
    const toolbar = el("div", { class: "toolbar" }, this.mode("clocks", "By clock", true), this.mode("spans", "By span", false), el("span", { class: "gap" }), this.next,
      button("Zoom in", "+", () => this.sheet.zoom(0.6)), button("Zoom out", "\u2212", () => this.sheet.zoom(1.6)), button("Show the whole trace", "Whole", () => this.sheet.fit()));
    const box = (colour, alpha) => (svg) => svg.append("rect").attr("x", 1).attr("y", 2).attr("width", 26).attr("height", 8).style("fill", colour).style("opacity", alpha);
    const line = (colour) => (svg) => { svg.append("path").attr("d", "M3 2L24 10").style("stroke", colour).style("stroke-width", 1.5); svg.append("circle").attr("cx", 24).attr("cy", 10).attr("r", 2).style("fill", colour); };
    const wrong = this.store.rows.some((row) => row.violations);
    this.legend = legendOf([[box("var(--span)", 1), "span as stamped"], [box("var(--cool)", 0.75), "corrected"], [line("var(--faint)"), "message, a dot where it is received"],
      ...(wrong ? [[line("var(--bad)"), "received before it was sent"]] : [])]);
    return el("div", { class: "tracer" }, this.list.element, el("div", null, toolbar, this.heading, el("div", { class: "drawing" }, this.legend, this.sheet.element), this.detail, this.tables));
  }

  show(row) {
    const trace = this.store.trace(row), info = trace.info;
    this.trace = trace;
    this.at = -1;
    this.bad = trace.offending;
    this.heading.replaceChildren("Trace ", el("span", { class: "id" }, info.id), `: ${plural(info.spans, "span")}` + (info.shown < info.spans ? `, ${count(info.shown)} of them in this file` : "") +
      (info.violations ? `; ${plural(info.violations, "violation")} as stamped, ${info.left ? count(info.left) : "none"} once corrected.` : "; no violation."));
    this.next.disabled = !this.bad.length;
    this.detail.textContent = "Point at a span or a line. Ctrl and the wheel zoom, dragging moves; double click zooms in.";
    this.tables.replaceChildren(this.bad.length ? behind(`Offending pairs of this trace (${count(this.bad.length)}), as a table`, () => pairsTable(this.store, trace, (pair) => this.go(pair))) : "");
    this.sheet.show(trace);
  }

  go(pair) {
    this.at = this.bad.indexOf(pair);
    this.sheet.focus(pair);
    this.detail.replaceChildren(...detailNodes(describePair(this.store, this.trace, pair)));
  }

  step(by) {
    if (this.bad.length) this.go(this.bad[(this.at + by + this.bad.length) % this.bad.length]);
  }

  hover(found, event, keep) {
    if (!found) {
      tip.hide();
      return;
    }
    const d = found.pair !== undefined ? describePair(this.store, this.trace, found.pair) : describeSpan(this.store, this.trace, found.span, found.after);
    tip.show(detailText(d), event.clientX, event.clientY);
    if (keep) this.detail.replaceChildren(...detailNodes(d));
  }
}

function waterfallSection(audit, waterfall) {
  const empty = !audit.traces.index.length;
  return [
    el("h2", null, "Traces before and after"),
    el("p", { class: "note" }, "One trace twice, on one scale: as its clocks stamped it, and with every clock's error taken out."),
    empty ? el("p", { class: "note" }, "There are no spans.") : haveD3 ? waterfall.elements() : el("p", { class: "note" }, "The drawing is left out: truespan was built without d3."),
  ];
}
