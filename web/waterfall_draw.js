/* One trace, as stamped and as corrected, drawn on a canvas: only what is in view, and of what shares a pixel one.
 *
 *   by clock  two panels of the same shape, one above the other: a band a clock, messages as lines between them
 *   by span   a row a span, its stamped bar above its corrected one */

const laneHeight = 9, laneMost = 10, rowHeight = 20, axisHeight = 26, overviewHeight = 26, panelTitle = 26;

/* Rows of a band: each span in the first lane that is free at its start. */
function layoutClocks(trace) {
  const bands = [], byClock = new Map(), lane = new Uint8Array(trace.n), ends = [];
  for (let k = 0; k < trace.n; k++) {
    if (!byClock.has(trace.clock[k])) {
      byClock.set(trace.clock[k], bands.length);
      bands.push({ clock: trace.clock[k], lanes: 1 });
      ends.push([]);
    }
    const band = byClock.get(trace.clock[k]), open = ends[band];
    let at = 0;
    while (at < open.length && at < laneMost - 1 && open[at] > trace.start[k]) at++;
    open[at] = Math.max(trace.end[k] || trace.start[k], trace.start[k] + 1);
    lane[k] = at;
    bands[band].lanes = Math.max(bands[band].lanes, at + 1);
  }
  /* From top to bottom as messages flow: by each clock's first stamp once corrected. */
  const first = new Float64Array(bands.length).fill(Infinity);
  for (let k = 0; k < trace.n; k++) {
    const band = byClock.get(trace.clock[k]);
    if (trace.start2[k] < first[band]) first[band] = trace.start2[k];
  }
  const places = bands.map((_, band) => band).sort((a, b) => first[a] - first[b]), place = new Map(places.map((band, row) => [band, row]));
  for (const [clock, band] of byClock) byClock.set(clock, place.get(band));
  bands.sort((a, b) => byClock.get(a.clock) - byClock.get(b.clock));
  let y = panelTitle;
  for (const band of bands) {
    band.y = y;
    band.height = Math.max(26, band.lanes * laneHeight + 10);
    y += band.height;
  }
  return { mode: "clocks", bands, lane, band: Uint32Array.from(trace.clock, (c) => byClock.get(c)), panel: y + 10 };
}

/* Rows in the order of the tree; a ring or a missing parent makes a root. */
function layoutSpans(trace) {
  const children = new Map(), order = [], depth = new Uint16Array(trace.n), row = new Int32Array(trace.n).fill(-1), stack = [];
  for (let k = 0; k < trace.n; k++) {
    const parent = trace.parent[k];
    if (!children.has(parent)) children.set(parent, []);
    children.get(parent).push(k);
  }
  const open = (k, d) => stack.push([k, d]);
  for (const root of (children.get(-1) || []).slice().reverse()) open(root, 0);
  while (stack.length) {
    const [k, d] = stack.pop();
    row[k] = order.length;
    depth[k] = d;
    order.push(k);
    for (const child of (children.get(k) || []).slice().reverse()) open(child, Math.min(d + 1, 65535));
  }
  for (let k = 0; k < trace.n; k++) if (row[k] < 0) { row[k] = order.length; order.push(k); }
  return { mode: "spans", order, depth, row };
}

class Sheet {
  constructor(store, onHover) {
    this.store = store;
    this.onHover = onHover;
    this.mode = "clocks";
    this.canvas = el("canvas", { tabindex: 0, role: "img" });
    this.spacer = el("div");
    this.scroller = el("div", { class: "scroller", onscroll: () => this.draw() }, this.canvas, this.spacer);
    this.element = el("div", { class: "sheet" }, this.scroller);
    this.listen();
    redrawn(this.scroller, () => this.draw());
  }

  show(trace) {
    this.trace = trace;
    this.focused = null;
    this.bounds();
    this.arrange();
    this.scroller.scrollTop = 0;
    const worst = trace.pairs.find((pair) => pair.flags & pairFlag.violated);
    this.view = this.full.slice();
    if (worst && worst.by_ns < 0.04 * (this.full[1] - this.full[0])) this.focus(worst, true);
    this.draw();
  }

  bounds() {
    const t = this.trace;
    let lo = Infinity, hi = -Infinity;
    for (const column of [t.start, t.end, t.start2, t.end2])
      for (let k = 0; k < t.n; k++) {
        if (column[k] < lo) lo = column[k];
        if (column[k] > hi) hi = column[k];
      }
    if (!(lo <= hi)) [lo, hi] = [0, 1];
    const pad = Math.max((hi - lo) * 0.02, 500);
    this.full = [lo - pad, hi + pad];
  }

  arrange() {
    this.layout = this.mode === "clocks" ? layoutClocks(this.trace) : layoutSpans(this.trace);
  }

  setMode(mode) {
    this.mode = mode;
    this.arrange();
    this.scroller.scrollTop = 0;
    this.draw();
    this.scrollTo(this.focused || this.trace.pairs.find((pair) => pair.flags & pairFlag.violated));
    this.draw();
  }

  /* In rows of spans a pair may lie far down. */
  scrollTo(pair) {
    if (pair && this.mode === "spans") this.scroller.scrollTop = Math.max(0, Math.min(this.layout.row[pair.from], this.layout.row[pair.to]) * rowHeight - 100);
  }

  get content() {
    return this.mode === "clocks" ? 2 * this.layout.panel : this.layout.order.length * rowHeight + 8;
  }

  /* Bring a pair into view, with room around it. */
  focus(pair, quiet) {
    const [s, r] = this.stamps(pair, false), [s2, r2] = this.stamps(pair, true);
    const lo = Math.min(s, r, s2, r2), hi = Math.max(s, r, s2, r2), wide = Math.max((hi - lo) * 2.6, Math.abs(pair.by_ns) * 8, 2000);
    this.zoomTo((lo + hi) / 2 - wide / 2, (lo + hi) / 2 + wide / 2);
    this.focused = quiet ? null : pair;
    this.scrollTo(pair);
    if (!quiet) this.draw();
  }

  zoomTo(lo, hi) {
    const [a, b] = this.full, width = Math.min(b - a, Math.max(hi - lo, 100));
    lo = Math.max(a, Math.min(b - width, (lo + hi) / 2 - width / 2));
    this.view = [lo, lo + width];
  }

  zoom(factor, at) {
    const [lo, hi] = this.view, centre = at === undefined ? (lo + hi) / 2 : at;
    this.zoomTo(centre - (centre - lo) * factor, centre + (hi - centre) * factor);
    this.draw();
  }

  pan(share) {
    const [lo, hi] = this.view, by = (hi - lo) * share;
    this.zoomTo(lo + by, hi + by);
    this.draw();
  }

  fit() {
    this.view = this.full.slice();
    this.focused = null;
    this.draw();
  }

  stamps(pair, corrected) {
    const t = this.trace, start = corrected ? t.start2 : t.start, end = corrected ? t.end2 : t.end;
    return [(pair.flags & pairFlag.fromEnd ? end : start)[pair.from], (pair.flags & pairFlag.toEnd ? end : start)[pair.to]];
  }

  x(t) {
    return this.gutter + ((t - this.view[0]) / (this.view[1] - this.view[0])) * (this.width - this.gutter - 10);
  }
  timeAt(x) {
    return this.view[0] + ((x - this.gutter) / (this.width - this.gutter - 10)) * (this.view[1] - this.view[0]);
  }

  /* ---------------------------------------------------------------- drawing */

  draw() {
    const width = this.scroller.clientWidth;
    if (!this.trace || !width) return;
    const fixed = axisHeight + overviewHeight, tall = Math.min(this.content, 640), height = tall + fixed, scale = window.devicePixelRatio || 1;
    this.width = width;
    this.height = height;
    this.gutter = this.mode === "clocks" ? (width < 560 ? 92 : 150) : width < 560 ? 110 : 230;
    this.canvas.width = width * scale;
    this.canvas.height = height * scale;
    this.canvas.style.width = width + "px";
    this.canvas.style.height = height + "px";
    this.spacer.style.height = Math.max(0, this.content - tall) + "px";
    this.colours = themeColours();
    const c = (this.context = this.canvas.getContext("2d"));
    c.scale(scale, scale);
    c.fillStyle = this.colours.paper;
    c.fillRect(0, 0, width, height);
    c.font = '12px system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", Arial, sans-serif';
    c.textBaseline = "middle";
    this.targets = [];
    c.save();
    c.beginPath();
    c.rect(0, 0, width, tall);
    c.clip();
    this.drawGrid(0, tall);
    c.translate(0, -this.scroller.scrollTop);
    if (this.mode === "clocks") this.drawClocks();
    else this.drawSpans(tall);
    c.restore();
    this.drawAxis(tall);
    this.drawOverview(tall + axisHeight);
    this.canvas.setAttribute("aria-label", `Trace ${this.trace.info.id}, as stamped and corrected: ${plural(this.trace.n, "span")}, ` +
      `${plural(this.trace.info.violations, "violation")}. Plus and minus zoom, arrows move, n and p go to the next and previous offending pair.`);
  }

  ticks() {
    const [unit, name] = unitFor(this.view[1] - this.view[0]);
    const values = d3.ticks(this.view[0] / unit, this.view[1] / unit, Math.max(2, Math.floor((this.width - this.gutter) / 110)));
    /* Far from the start the digits that do not change stand once, at the left. */
    const far = values.length && Math.abs(values[0]) > 300 * (this.view[1] - this.view[0]) / unit, base = far ? values[0] : 0;
    this.base = far ? base * unit : null;
    return values.map((v) => ({ x: this.x(v * unit), text: `${far ? "+" : ""}${tick(v - base)} ${name}` }));
  }

  drawGrid(top, bottom) {
    const c = this.context;
    c.strokeStyle = this.colours.hair;
    c.lineWidth = 1;
    for (const t of this.ticks()) this.segment(Math.round(t.x) + 0.5, top, Math.round(t.x) + 0.5, bottom);
  }

  drawAxis(y) {
    const c = this.context;
    c.strokeStyle = this.colours.line;
    this.segment(0, y + 0.5, this.width, y + 0.5);
    c.fillStyle = this.colours.soft;
    c.textAlign = "center";
    const ticks = this.ticks();
    for (const t of ticks) if (t.x > this.gutter + 16 && t.x < this.width - 24) c.fillText(t.text, t.x, y + 14);
    c.textAlign = "left";
    this.text(this.base === null ? (this.width < 560 ? "from start" : "since first stamp") : `${minus((this.base / 1e9).toFixed(6))} s +`, 8, y + 14, this.gutter - 10, this.colours.soft);
  }

  segment(x1, y1, x2, y2) {
    const c = this.context;
    c.beginPath();
    c.moveTo(x1, y1);
    c.lineTo(x2, y2);
    c.stroke();
  }

  text(text, x, y, width, colour, bold) {
    const c = this.context;
    c.save();
    c.beginPath();
    c.rect(x, y - 10, width, 20);
    c.clip();
    c.fillStyle = colour;
    if (bold) c.font = "600 " + c.font;
    c.textAlign = "left";
    let shown = text;
    if (c.measureText(shown).width > width) {
      let lo = 0, hi = shown.length;
      while (lo < hi) {
        const mid = (lo + hi + 1) >> 1;
        if (c.measureText(text.slice(0, mid) + "…").width <= width) lo = mid;
        else hi = mid - 1;
      }
      shown = text.slice(0, lo) + "…";
    }
    c.fillText(isolate(shown), x, y);
    c.restore();
  }

  drawClocks() {
    const { bands, panel } = this.layout, colours = this.colours, info = this.trace.info;
    for (const after of [false, true]) {
      const top = after ? panel : 0, left = after ? info.left : info.violations;
      const c = this.context;
      if (after) {
        c.strokeStyle = colours.line;
        this.segment(0, top - 4.5, this.width, top - 4.5);
      }
      this.text(after ? "Corrected" : "As stamped", 8, top + 13, 120, colours.ink, true);
      this.text(left ? plural(left, "violation") : "no violation", this.gutter, top + 13, 240, left ? colours.bad : colours.good, true);
      bands.forEach((band, k) => {
        const y = top + band.y;
        if (k % 2 === 0) {
          c.fillStyle = colours.panel;
          c.globalAlpha = 0.75;
          c.fillRect(0, y, this.width, band.height);
          c.globalAlpha = 1;
        }
        const clock = this.store.clocks[band.clock];
        this.text(clip(clock.clock, 60), 8, y + band.height / 2, this.gutter - 14, clock.verdict === "proven" ? colours.bad : colours.ink);
      });
      this.drawBandSpans(top, after);
      this.drawMessages(top, after);
    }
  }

  bandY(top, k) {
    const band = this.layout.bands[this.layout.band[k]];
    return top + band.y + 5 + this.layout.lane[k] * laneHeight + (band.height - 10 - band.lanes * laneHeight) / 2;
  }

  clipPlot() {
    const c = this.context;
    c.save();
    c.beginPath();
    c.rect(this.gutter, -1e6, this.width - this.gutter, 2e6);
    c.clip();
  }

  drawBandSpans(top, after) {
    const t = this.trace, start = after ? t.start2 : t.start, end = after ? t.end2 : t.end, c = this.context, last = new Map();
    this.clipPlot();
    for (let k = 0; k < t.n; k++) {
      if (!(end[k] >= this.view[0] || start[k] >= this.view[0]) || start[k] > this.view[1]) continue;
      const x1 = this.x(start[k]), x2 = Math.max(x1 + 1.5, this.x(end[k]) || 0), key = this.layout.band[k] * laneMost + this.layout.lane[k];
      if (x2 - x1 < 2 && last.get(key) === Math.floor(x1)) continue;
      last.set(key, Math.floor(x1));
      const y = this.bandY(top, k);
      c.fillStyle = t.flags[k] & flag.error ? this.colours.bad : after ? this.colours.cool : this.colours.span;
      c.globalAlpha = after ? 0.75 : 1;
      c.fillRect(x1, y, x2 - x1, laneHeight - 2);
      c.globalAlpha = 1;
      this.targets.push([x1, y, x2, y + laneHeight - 2, k, after]);
    }
    c.restore();
  }

  drawMessages(top, after) {
    const t = this.trace, c = this.context, seen = new Set(), many = t.pairs.length > 400;
    this.lines = after ? this.lines : [];
    this.clipPlot();
    for (const violated of [false, true])
      for (const pair of t.pairs) {
        const bad = Boolean(pair.flags & (after ? pairFlag.left : pairFlag.violated));
        if (bad !== violated || (t.clock[pair.from] === t.clock[pair.to] && !bad)) continue;
        const [s, r] = this.stamps(pair, after);
        if (!(Math.max(s, r) >= this.view[0]) || !(Math.min(s, r) <= this.view[1])) continue;
        const x1 = this.x(s), x2 = this.x(r);
        /* Of many lines that share their pixels and bands one is drawn. */
        if (many && pair !== this.focused && Math.abs(x1) < 8192 && Math.abs(x2) < 8192) {
          const key = ((Math.round(x1) + 8192) * 16384 + Math.round(x2) + 8192) * 16384 + this.layout.band[pair.from] * 128 + this.layout.band[pair.to];
          if (seen.has(key)) continue;
          seen.add(key);
        }
        const y1 = this.bandY(top, pair.from) + 3.5, y2 = this.bandY(top, pair.to) + 3.5;
        const chosen = pair === this.focused;
        c.strokeStyle = chosen ? this.colours.ink : bad ? this.colours.bad : this.colours.faint;
        c.lineWidth = chosen ? 2 : bad ? 1.4 : 0.8;
        c.globalAlpha = bad || chosen ? 1 : many ? 0.35 : 0.7;
        this.segment(x1, y1, x2, y2);
        c.globalAlpha = 1;
        c.fillStyle = c.strokeStyle;
        c.beginPath();
        c.arc(x2, y2, bad || chosen ? 2.6 : 1.6, 0, 7);
        c.fill();
        if (this.lines.length < 50000) this.lines.push([x1, y1, x2, y2, pair, after]);
      }
    c.restore();
  }

  drawSpans(tall) {
    const { order, depth, row } = this.layout, t = this.trace, c = this.context, top = this.scroller.scrollTop, colours = this.colours;
    const first = Math.max(0, Math.floor(top / rowHeight) - 1), end = Math.min(order.length, Math.ceil((top + tall) / rowHeight) + 1);
    for (let at = first; at < end; at++) {
      const k = order[at], y = at * rowHeight, indent = Math.min(depth[k], 12) * 9;
      if (at % 2 === 0) {
        c.fillStyle = colours.panel;
        c.globalAlpha = 0.6;
        c.fillRect(0, y, this.width, rowHeight);
        c.globalAlpha = 1;
      }
      this.text(this.store.names[t.name[k]], 8 + indent, y + rowHeight / 2, this.gutter - 14 - indent, t.flags[k] & flag.error ? colours.bad : colours.ink);
      this.clipPlot();
      for (const after of [false, true]) {
        const s = (after ? t.start2 : t.start)[k], e = (after ? t.end2 : t.end)[k];
        if (!Number.isFinite(s)) continue;
        const x1 = this.x(s), x2 = Math.max(x1 + 2, this.x(e) || 0), by = y + (after ? 11 : 3);
        c.fillStyle = after ? colours.cool : colours.span;
        c.globalAlpha = after ? 0.8 : 1;
        c.fillRect(x1, by, x2 - x1, 6);
        c.globalAlpha = 1;
        this.targets.push([x1, by, x2, by + 6, k, after]);
      }
      c.restore();
    }
    this.lines = [];
    this.clipPlot();
    for (const pair of t.pairs) {
      const r1 = row[pair.from], r2 = row[pair.to];
      if (!(pair.flags & pairFlag.violated) || Math.max(r1, r2) < first || Math.min(r1, r2) > end) continue;
      const [s, r] = this.stamps(pair, false), x1 = this.x(s), x2 = this.x(r), y1 = r1 * rowHeight + 6, y2 = r2 * rowHeight + 6;
      c.strokeStyle = c.fillStyle = pair === this.focused ? colours.ink : colours.bad;
      c.lineWidth = pair === this.focused ? 2 : 1.3;
      this.segment(x1, y1, x2, y2);
      c.beginPath();
      c.arc(x2, y2, 2.6, 0, 7);
      c.fill();
      this.lines.push([x1, y1, x2, y2, pair, false]);
    }
    c.restore();
  }

  /* The whole trace in a strip, with what is in view above. */
  drawOverview(y) {
    const c = this.context, t = this.trace, [a, b] = this.full, left = this.gutter, width = this.width - this.gutter - 10, colours = this.colours;
    const at = (v) => left + ((v - a) / (b - a)) * width, used = new Uint8Array(Math.ceil(width) + 2);
    c.fillStyle = colours.soft;
    c.textAlign = "left";
    c.fillText(this.width < 560 ? "whole" : "whole trace", 8, y + 12);
    c.fillStyle = colours.panel;
    c.fillRect(left, y + 3, width, 18);
    c.fillStyle = colours.span;
    for (let k = 0; k < t.n; k++) {
      const x = Math.floor(at(t.start[k]) - left);
      if (x >= 0 && x < used.length && !used[x]) {
        used[x] = 1;
        c.fillRect(left + x, y + 7, 1, 10);
      }
    }
    c.fillStyle = colours.bad;
    used.fill(0);
    for (const pair of t.pairs) {
      if (!(pair.flags & pairFlag.violated)) continue;
      const x = Math.floor(at(this.stamps(pair, false)[1]) - left);
      if (x >= 0 && x < used.length && !used[x]) {
        used[x] = 1;
        c.fillRect(left + x, y + 5, 1.5, 14);
      }
    }
    c.strokeStyle = colours.ink;
    c.lineWidth = 1.5;
    c.strokeRect(at(this.view[0]) + 0.5, y + 2.5, Math.max(3, at(this.view[1]) - at(this.view[0])), 19);
    this.overview = { y, at: (x) => a + ((x - left) / width) * (b - a) };
  }

  /* ---------------------------------------------------------------- pointer and keys */

  spot(event) {
    const box = this.canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  /* What is under the pointer: an offending line before a span before any line. */
  find(x, y) {
    if (y > this.height - axisHeight - overviewHeight) return null;
    y += this.scroller.scrollTop;
    let near = null, best = 6;
    for (const [x1, y1, x2, y2, pair, after] of this.lines) {
      const l2 = (x2 - x1) ** 2 + (y2 - y1) ** 2 || 1, u = Math.max(0, Math.min(1, ((x - x1) * (x2 - x1) + (y - y1) * (y2 - y1)) / l2));
      const d = Math.hypot(x - x1 - u * (x2 - x1), y - y1 - u * (y2 - y1)) + (pair.flags & pairFlag.violated ? 0 : 2);
      if (d < best) [near, best] = [{ pair, after }, d];
    }
    if (near && near.pair.flags & pairFlag.violated) return near;
    for (let k = this.targets.length - 1; k >= 0; k--) {
      const [x1, y1, x2, y2, span, after] = this.targets[k];
      if (x >= x1 - 2 && x <= x2 + 2 && y >= y1 - 1 && y <= y2 + 1) return { span, after };
    }
    return near;
  }

  listen() {
    let dragged = null;
    const canvas = this.canvas;
    canvas.addEventListener("pointerdown", (event) => {
      const [x, y] = this.spot(event), jump = y >= this.overview.y;
      dragged = { x, view: this.view.slice(), jump, moved: false };
      if (jump) this.jump(x);
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      const [x, y] = this.spot(event);
      if (!dragged) {
        const found = this.find(x, y);
        this.onHover(found, event);
        return;
      }
      dragged.moved = dragged.moved || Math.abs(x - dragged.x) > 3;
      if (dragged.jump) this.jump(x);
      else if (dragged.moved) {
        const by = ((dragged.x - x) / (this.width - this.gutter - 10)) * (dragged.view[1] - dragged.view[0]);
        this.zoomTo(dragged.view[0] + by, dragged.view[1] + by);
        this.draw();
      }
    });
    canvas.addEventListener("pointerup", (event) => {
      if (dragged && !dragged.moved && !dragged.jump) {
        const found = this.find(...this.spot(event));
        this.onHover(found, event, true);
      }
      dragged = null;
    });
    canvas.addEventListener("pointerleave", () => this.onHover(null));
    canvas.addEventListener("dblclick", (event) => this.zoom(0.4, this.timeAt(this.spot(event)[0])));
    canvas.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      this.zoom(event.deltaY > 0 ? 1.25 : 0.8, this.timeAt(this.spot(event)[0]));
    }, { passive: false });
    canvas.addEventListener("keydown", (event) => {
      const keys = { "+": () => this.zoom(0.7), "=": () => this.zoom(0.7), "-": () => this.zoom(1.4), 0: () => this.fit(), ArrowLeft: () => this.pan(-0.2), ArrowRight: () => this.pan(0.2) };
      if (keys[event.key] && !event.ctrlKey && !event.metaKey) {
        event.preventDefault();
        keys[event.key]();
      }
    });
  }

  jump(x) {
    const centre = this.overview.at(x), width = this.view[1] - this.view[0];
    this.zoomTo(centre - width / 2, centre + width / 2);
    this.draw();
  }
}
