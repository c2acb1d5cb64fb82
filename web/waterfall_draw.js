/* One trace, as stamped and as corrected, drawn on a canvas: only what is in view, and of what shares a pixel one.
 *
 *   by clock  two panels of the same shape, one above the other: a band a clock, messages as lines between them
 *   by span   a row a span, its stamped bar above its corrected one */

const axisHeight = 26, overviewHeight = 26;

/* Lines that were drawn, by the pixels they join: of those that share them one is drawn. Far more than a screen shows
 * count as drawn. */
class Seen {
  constructor() {
    this.slots = new Float64Array(1 << 17);
    this.left = 60000;
  }

  has(x1, x2, kind) {
    if (Math.abs(x1) >= 8192 || Math.abs(x2) >= 8192) return false;
    const a = Math.round(x1) + 8192, b = Math.round(x2) + 8192, key = (a * 16384 + b) * 65536 + kind + 1;
    let at = (Math.imul(a * 16384 + b, 0x9e3779b1) ^ Math.imul(kind, 0x85ebca6b)) >>> 15;
    for (; this.slots[at]; at = (at + 1) & 0x1ffff) if (this.slots[at] === key) return true;
    if (!this.left) return true;
    this.left--;
    this.slots[at] = key;
    return false;
  }
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
    redrawn(this.scroller, (width) => this.draw(width));
  }

  show(trace) {
    this.trace = trace;
    this.focused = -1;
    this.bounds();
    this.arrange();
    this.scroller.scrollTop = 0;
    this.view = this.full.slice();
    if (trace.offending.length && trace.pairs.by[trace.offending[0]] < 0.04 * (this.full[1] - this.full[0])) this.focus(trace.offending[0], true);
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
    this.layout = this.mode === "clocks" ? layoutClocks(this.trace, this.store.clocks.length) : layoutSpans(this.trace);
  }

  setMode(mode) {
    this.mode = mode;
    this.arrange();
    this.scroller.scrollTop = 0;
    this.draw();
    this.scrollTo(this.focused >= 0 ? this.focused : this.trace.offending[0]);
    this.draw();
  }

  /* In rows of spans a pair may lie far down. */
  scrollTo(pair) {
    const { row } = this.layout, { from, to } = this.trace.pairs;
    if (pair !== undefined && this.mode === "spans") this.scroller.scrollTop = Math.max(0, Math.min(row[from[pair]], row[to[pair]]) * rowHeight - 100);
  }

  get content() {
    return this.mode === "clocks" ? 2 * this.layout.panel : this.layout.order.length * rowHeight + 8;
  }

  /* Bring a pair into view, with room around it. */
  focus(pair, quiet) {
    const [s, r] = this.stamps(pair, false), [s2, r2] = this.stamps(pair, true);
    const lo = Math.min(s, r, s2, r2), hi = Math.max(s, r, s2, r2), wide = Math.max((hi - lo) * 2.6, Math.abs(this.trace.pairs.by[pair]) * 8, 2000);
    this.zoomTo((lo + hi) / 2 - wide / 2, (lo + hi) / 2 + wide / 2);
    this.focused = quiet ? -1 : pair;
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
    const t = this.trace, { pairs } = t, start = corrected ? t.start2 : t.start, end = corrected ? t.end2 : t.end;
    return [(pairs.flags[pair] & pairFlag.fromEnd ? end : start)[pairs.from[pair]], (pairs.flags[pair] & pairFlag.toEnd ? end : start)[pairs.to[pair]]];
  }

  x(t) {
    return this.gutter + ((t - this.view[0]) / (this.view[1] - this.view[0])) * (this.width - this.gutter - 10);
  }
  timeAt(x) {
    return this.view[0] + ((x - this.gutter) / (this.width - this.gutter - 10)) * (this.view[1] - this.view[0]);
  }

  /* ---------------------------------------------------------------- drawing */

  draw(width = this.scroller.clientWidth) {
    if (!this.trace || !width) return;
    const fixed = axisHeight + overviewHeight, tall = Math.min(this.content, 640), height = tall + fixed, scale = window.devicePixelRatio || 1;
    this.width = width;
    this.height = height;
    this.gutter = this.gutterFor(width);
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
    c.font = chartFont;
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

  /* Room for the names at the left: as wide as they are, within reason. */
  gutterFor(width) {
    const c = this.canvas.getContext("2d");
    if (this.mode === "spans") return width < 560 ? 120 : 230;
    c.font = chartFont;
    const names = this.layout.bands.slice(0, 200).map((band) => c.measureText(clip(this.store.clocks[band.clock].clock, 60)).width);
    return Math.round(Math.max(102, Math.min(Math.max(...names) + 26, 0.34 * width, 240)));
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
    this.text(this.base === null ? (this.gutter < 130 ? "from start" : "since first stamp") : `${minus((this.base / 1e9).toFixed(6))} s +`, 8, y + 14, this.gutter - 10, this.colours.soft);
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
    const t = this.trace, start = after ? t.start2 : t.start, end = after ? t.end2 : t.end, c = this.context, [lo, hi] = this.view;
    const { band, lane, bands } = this.layout, last = new Int32Array(bands.length * laneMost).fill(-1), colour = after ? this.colours.cool : this.colours.span;
    this.clipPlot();
    c.globalAlpha = after ? 0.75 : 1;
    for (let k = 0; k < t.n; k++) {
      const s = start[k], e = end[k];
      if (!(e >= lo || s >= lo) || s > hi) continue;
      const x1 = this.x(s), x2 = Math.max(x1 + 1.5, this.x(e) || 0), key = band[k] * laneMost + lane[k], pixel = Math.floor(x1);
      if (x2 - x1 < 2 && last[key] === pixel) continue;
      last[key] = pixel;
      const y = this.bandY(top, k);
      c.fillStyle = t.flags[k] & flag.error ? this.colours.bad : colour;
      c.fillRect(x1, y, x2 - x1, laneHeight - 2);
      this.targets.push([x1, y, x2, y + laneHeight - 2, k, after]);
    }
    c.restore();
  }

  /* Lines from span to span with a dot at the receiver: plain ones first, offending ones above them. */
  drawMessages(top, after) {
    const t = this.trace, { pairs } = t, c = this.context, many = pairs.n > 400, seen = new Seen(), left = after ? pairFlag.left : pairFlag.violated;
    const start = after ? t.start2 : t.start, end = after ? t.end2 : t.end, [lo, hi] = this.view, { band } = this.layout;
    const plain = { line: new Path2D(), dot: new Path2D(), radius: 1.6 }, bad = { line: new Path2D(), dot: new Path2D(), radius: 2.6 };
    this.lines = after ? this.lines : [];
    for (let k = 0; k < pairs.n; k++) {
      const from = pairs.from[k], to = pairs.to[k], flags = pairs.flags[k], violated = (flags & left) !== 0;
      if (!violated && t.clock[from] === t.clock[to]) continue;
      const s = (flags & pairFlag.fromEnd ? end : start)[from], r = (flags & pairFlag.toEnd ? end : start)[to];
      if (!(Math.max(s, r) >= lo && Math.min(s, r) <= hi)) continue;
      const x1 = this.x(s), x2 = this.x(r);
      if (many && seen.has(x1, x2, band[from] * 256 + band[to] * 2 + (violated ? 1 : 0))) continue;
      const y1 = this.bandY(top, from) + 3.5, y2 = this.bandY(top, to) + 3.5, set = violated ? bad : plain;
      set.line.moveTo(x1, y1);
      set.line.lineTo(x2, y2);
      set.dot.moveTo(x2 + set.radius, y2);
      set.dot.arc(x2, y2, set.radius, 0, 7);
      this.lines.push([x1, y1, x2, y2, k, after]);
    }
    this.clipPlot();
    for (const [set, colour, width, alpha] of [[plain, this.colours.faint, 0.8, many ? 0.45 : 0.7], [bad, this.colours.bad, 1.4, 1]]) {
      c.strokeStyle = c.fillStyle = colour;
      c.lineWidth = width;
      c.globalAlpha = alpha;
      c.stroke(set.line);
      c.globalAlpha = 1;
      c.fill(set.dot);
    }
    if (this.focused >= 0) this.drawFocused(top, after);
    c.restore();
  }

  drawFocused(top, after) {
    const { pairs } = this.trace, c = this.context, [s, r] = this.stamps(this.focused, after);
    const x2 = this.x(r), y2 = this.bandY(top, pairs.to[this.focused]) + 3.5;
    c.strokeStyle = c.fillStyle = this.colours.ink;
    c.lineWidth = 2;
    this.segment(this.x(s), this.bandY(top, pairs.from[this.focused]) + 3.5, x2, y2);
    c.beginPath();
    c.arc(x2, y2, 2.6, 0, 7);
    c.fill();
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
    for (const pair of t.offending) {
      const r1 = row[t.pairs.from[pair]], r2 = row[t.pairs.to[pair]];
      if (Math.max(r1, r2) < first || Math.min(r1, r2) > end) continue;
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
    c.fillText(this.gutter < 100 ? "whole" : "whole trace", 8, y + 12);
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
    const { to, flags } = t.pairs;
    for (const pair of t.offending) {
      const x = Math.floor(at((flags[pair] & pairFlag.toEnd ? t.end : t.start)[to[pair]]) - left);
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
    const { pairs } = this.trace;
    let near = null, best = 6;
    for (const [x1, y1, x2, y2, pair, after] of this.lines) {
      const l2 = (x2 - x1) ** 2 + (y2 - y1) ** 2 || 1, u = Math.max(0, Math.min(1, ((x - x1) * (x2 - x1) + (y - y1) * (y2 - y1)) / l2));
      const d = Math.hypot(x - x1 - u * (x2 - x1), y - y1 - u * (y2 - y1)) + (pairs.violated(pair) ? 0 : 2);
      if (d < best) [near, best] = [{ pair, after }, d];
    }
    if (near && pairs.violated(near.pair)) return near;
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
