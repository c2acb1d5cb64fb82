/* Clocks: each one's offset over time, inside what the hops prove. */

const verdictOrder = { proven: 0, suspected: 1, unknown: 2, ok: 3, reference: 4 };

const nothingKnown = (clock) => !clock.reference && clock.knots.every((knot) => knot.offset_ns === null && knot.lo_ns === null && knot.hi_ns === null);

/* No verdict stands on what no hop bounds. */
const unbounded = (clock) => !clock.reference && clock.knots.every((knot) => knot.lo_ns === null && knot.hi_ns === null);

/* What is wrong first; what is bounded by nothing last. */
function sortedClocks(audit) {
  return audit.clockRows.slice().sort((a, b) => unbounded(a) - unbounded(b) || verdictOrder[a.label] - verdictOrder[b.label] ||
    Math.abs(b.offset_ns || 0) - Math.abs(a.offset_ns || 0) || a.row - b.row);
}

function clockFacts(clock) {
  if (clock.reference) return clock.verdict === "unknown" ? "no hop leads to another clock: there is nothing to compare it with" : "its time counts as true";
  const where = between(clock.lo_ns, clock.hi_ns), moves = clock.drift_ppb !== null && Math.abs(clock.drift_ppb) >= 5 ? `, drifting ${drift(clock.drift_ppb)}` : "";
  const outside = clock.lo_ns > 0 || (clock.hi_ns !== null && clock.hi_ns < 0);
  const before = clock.verdict === "proven" && !outside ? `; before that proven off by ${duration(Math.abs(clock.at_least_ns))} at least` : "";
  return (clock.offset_ns === null ? (clock.lo_ns === null && clock.hi_ns === null ? where : `offset unknown, ${where}`) : `${signedDuration(clock.offset_ns)}, ${where}${moves}`) + before;
}

/* Knots as numbers; where many fall on one pixel, the mean offset and the widest bounds of them. */
function trackPoints(clock, origin, perPixelNs) {
  const points = [];
  for (const knot of clock.knots) {
    const at = since(knot.at, origin), last = points[points.length - 1];
    const point = { at, offset: knot.offset_ns, lo: knot.lo_ns, hi: knot.hi_ns, n: 1 };
    if (last && at - last.at < perPixelNs && last.offset !== null && point.offset !== null && Math.abs(last.offset - point.offset) < 1e3) {
      last.lo = last.lo === null || point.lo === null ? null : Math.min(last.lo, point.lo);
      last.hi = last.hi === null || point.hi === null ? null : Math.max(last.hi, point.hi);
    } else points.push(point);
  }
  return points;
}

/* Pieces without a pause: nothing is known of a clock where there was no traffic. */
function pieces(points) {
  const out = [];
  points.forEach((point, k) => {
    if (!k || point.at - points[k - 1].at > 2.5e9) out.push([]);
    out[out.length - 1].push(point);
  });
  return out;
}

function clockScale(clock, points, truth) {
  const values = [0, ...points.flatMap((p) => [p.offset, p.lo, p.hi]), ...truth.map((p) => p.offset)].filter((v) => v !== null);
  let lo = Math.min(...values), hi = Math.max(...values);
  const pad = Math.max((hi - lo) * 0.08, 2e3);
  return [lo - pad, hi + pad];
}

/* A reference is flat by definition: it gets less room. */
const truthMoves = (audit, clock) => (audit.truthOf.get(clock.clock) || []).some(([, offset]) => offset !== 0);

const clockHeight = (audit, clock) => (clock.reference && !truthMoves(audit, clock) ? 44 : 96);

function drawClock(svg, width, clock, audit, time) {
  const height = clockHeight(audit, clock), left = 58, right = 10, top = 6, bottom = 6;
  const { origin, busy } = time, x = timeScale(time, left, width - right);
  const points = trackPoints(clock, origin, busy / width);
  const truth = (audit.truthOf.get(clock.clock) || []).map(([at, offset]) => ({ at: since(at, origin), offset }));
  const range = clockScale(clock, points, truth), [unit, name] = unitFor(range[1] - range[0]);
  const y = d3.scaleLinear([range[0] / unit, range[1] / unit], [height - bottom, top]);
  const py = (ns, end) => y(ns === null ? (end > 0 ? range[1] : range[0]) / unit : ns / unit);

  svg.append("rect").attr("x", left).attr("y", top).attr("width", width - left - right).attr("height", height - top - bottom).style("fill", "var(--panel)").style("opacity", 0.6);
  for (const piece of pieces(points)) {
    const end = piece[piece.length - 1], long = end.at - piece[0].at >= busy / 200, wide = long ? piece : [piece[0], { ...end, at: piece[0].at + busy / 200 }];
    svg.append("path").datum(wide).attr("class", "band").attr("d", d3.area().defined((p) => p.lo !== null || p.hi !== null).x((p) => x(p.at)).y0((p) => py(p.lo, -1)).y1((p) => py(p.hi, 1)));
    svg.append("path").datum(wide.filter((p) => p.offset !== null)).attr("class", "line").attr("d", d3.line().x((p) => x(p.at)).y((p) => y(p.offset / unit)));
  }
  svg.append("line").attr("class", "zero").attr("x1", left).attr("x2", width - right).attr("y1", y(0)).attr("y2", y(0));
  svg.append("g").attr("class", "axis").attr("transform", `translate(${left},0)`)
    .call((height < 90 ? d3.axisLeft(y).tickValues([0]) : d3.axisLeft(y).ticks(3)).tickFormat((v) => `${tick(v)}\u00a0${name}`).tickSize(0).tickPadding(6));
  for (const piece of pieces(truth))
    svg.append("path").datum(piece).attr("class", "truth").attr("d", d3.line().x((p) => x(p.at)).y((p) => y(p.offset / unit)));
  for (const step of clock.steps) {
    const at = x(since(step.at, origin));
    svg.append("line").attr("class", "step").attr("x1", at).attr("x2", at).attr("y1", top).attr("y2", height - bottom);
    svg.append("text").attr("class", "bad-text halo").attr("x", at + (at > width - 110 ? -5 : 5)).attr("y", top + 12)
      .attr("text-anchor", at > width - 110 ? "end" : "start").text(`stepped ${signedDuration(step.size_ns)}`);
  }
  hoverClock(svg, width, height, { x, points, truth, clock, left, right });
  return height;
}

/* What is known at the instant under the pointer. */
function hoverClock(svg, width, height, { x, points, truth, clock, left, right }) {
  const rule = svg.append("line").attr("class", "mark").attr("y1", 0).attr("y2", height).style("display", "none");
  const nearest = (rows, at) => rows.reduce((best, row) => (!best || Math.abs(row.at - at) < Math.abs(best.at - at) ? row : best), null);
  svg.append("rect").attr("x", left).attr("width", Math.max(0, width - left - right)).attr("height", height).style("fill", "transparent")
    .on("pointermove", () => {
      const event = d3.event, at = x.invert(event.clientX - svg.node().getBoundingClientRect().left), point = nearest(points, at);
      if (!point) return;
      const real = nearest(truth, at);
      rule.attr("x1", x(point.at)).attr("x2", x(point.at)).style("display", null);
      tip.show(`${clip(clock.clock, 60)}\n${point.offset === null ? "offset unknown" : signedDuration(point.offset)}, ${between(point.lo, point.hi)}` +
        (real ? `\ntruth ${signedDuration(real.offset)}` : ""), event.clientX, event.clientY);
    })
    .on("pointerleave", () => { rule.style("display", "none"); tip.hide(); });
}

function clockLabel(clock) {
  return el("div", { class: "clock-label", id: `clock-${clock.row}`, tabindex: -1 },
    el("span", { class: "name bidi", title: clip(clock.clock, 300) }, clip(clock.clock, 60)),
    el("span", { class: `verdict ${clock.label}` }, clock.label), " ", el("span", { class: "facts" }, clockFacts(clock)));
}

function clocksTable(audit) {
  return makeTable({
    caption: `Offsets are local minus reference at each clock's last stamp: positive means that it runs ahead.`,
    rows: sortedClocks(audit),
    columns: [
      { label: "clock", text: true, value: (c) => c.clock, show: (c) => clip(c.clock, 80) },
      { label: "verdict", text: true, value: (c) => c.verdict },
      { label: "offset", value: (c) => c.offset_ns, show: (c) => (c.offset_ns === null ? "unknown" : signedDuration(c.offset_ns)) },
      { label: "at least", value: (c) => c.lo_ns, show: (c) => bound(c.lo_ns) },
      { label: "at most", value: (c) => c.hi_ns, show: (c) => bound(c.hi_ns) },
      { label: "drift", value: (c) => c.drift_ppb, show: (c) => drift(c.drift_ppb) },
      { label: "hops in", value: (c) => c.hops_in, show: (c) => count(c.hops_in) },
      { label: "hops out", value: (c) => c.hops_out, show: (c) => count(c.hops_out) },
      { label: "steps", value: (c) => c.steps.length, show: (c) => c.steps.map((s) => signedDuration(s.size_ns)).join(", ") || "\u2013" },
    ],
  });
}

function timeDomain(audit) {
  const ats = audit.clockRows.flatMap((clock) => (clock.knots.length ? [clock.knots[0].at, clock.knots[clock.knots.length - 1].at] : []));
  if (!ats.length) return null;
  const origin = ats.reduce((a, b) => (BigInt(a) < BigInt(b) ? a : b));
  const last = Math.max(...ats.map((at) => since(at, origin)));
  return { origin, ...stretches(audit, origin, last || 1e6) };
}

/* Where there was traffic, over all clocks. Pauses that would take most of the width are cut out. */
function stretches(audit, origin, last) {
  const ranges = audit.clockRows.flatMap((clock) => pieces(clock.knots.map((knot) => ({ at: since(knot.at, origin) }))).map((p) => [p[0].at, p[p.length - 1].at])).sort((a, b) => a[0] - b[0]);
  const merged = [];
  for (const [from, to] of ranges) {
    const top = merged[merged.length - 1];
    if (top && from <= top[1] + 1e9) top[1] = Math.max(top[1], to);
    else merged.push([from, to]);
  }
  const busy = merged.reduce((sum, [from, to]) => sum + to - from, 0);
  return merged.length > 1 && merged.length <= 40 && busy > 0 && busy < 0.6 * last ? { runs: merged, busy } : { runs: [[0, last]], busy: last };
}

/* Time to pixels: straight, or in stretches with a gap between them. */
function timeScale({ runs, busy }, left, right) {
  const gap = 12, width = right - left - gap * (runs.length - 1), domain = [], range = [];
  let at = left;
  for (const [from, to] of runs) {
    const wide = (width * (to - from)) / busy;
    domain.push(from, Math.max(to, from + 1));
    range.push(at, at + wide);
    at += wide + gap;
  }
  return d3.scaleLinear(domain, range).clamp(true);
}

function drawTimeAxis(svg, width, time, text) {
  const x = timeScale(time, 58, width - 10), [unit, name] = unitFor(time.runs[time.runs.length - 1][1]), cut = time.runs.length > 1;
  if (cut) {
    let free = 0;
    for (const [from, to] of time.runs) {
      svg.append("path").attr("d", `M${x(from)} 2H${x(to)}`).style("stroke", "var(--faint)");
      if (x(from) < free) continue;
      const label = svg.append("text").attr("x", x(from)).attr("y", 18).text(`${tick(Math.round((from / unit) * 10) / 10)}\u00a0${name}`);
      free = x(from) + label.text().length * 7 + 12;
    }
  } else axisBottom(svg, d3.scaleLinear([0, time.runs[0][1] / unit], [58, width - 10]), 2, width < 500 ? 4 : 8, (v) => `${tick(v)}\u00a0${name}`);
  axisTitle(svg, text + (cut ? (width < 420 ? "; no pauses" : "; pauses cut out") : ""), (58 + width - 10) / 2, 42);
  return 48;
}

function clocksSection(audit) {
  const clocks = sortedClocks(audit), time = timeDomain(audit), first = 8, grid = el("div", { class: "clocks" });
  const legend = haveD3 && time && legendOf([
    [legendLine("line"), "estimate"], [legendBox("band"), "where the hops prove that it lies"],
    ...(audit.truth ? [[legendLine("truth"), "truth, which no analysis read"]] : []),
  ]);
  const add = (clock) => {
    const plot = el("div", { class: "clock-plot" });
    grid.append(clockLabel(clock), plot);
    if (clock.knots.length && nothingKnown(clock)) plot.append(el("p", { class: "note" }, "Its hops bound it on neither side."));
    else if (time && clock.knots.length)
      plot.append(...makeFigure({ label: `Offset of ${clip(clock.clock, 60)} over time: ${clockFacts(clock)}`,
        draw: (svg, width) => drawClock(svg, width, clock, audit, time), room: clockHeight(audit, clock) }).childNodes);
    else if (!clock.reference) plot.append(el("p", { class: "note" }, "No hops: nothing is known over time."));
  };
  clocks.slice(0, first).forEach(add);
  const axis = el("div", { class: "axis-row" });
  if (time && haveD3)
    axis.append(...makeFigure({ label: "Time axis", draw: (svg, width) => drawTimeAxis(svg, width, time, `after ${moment(time.origin)}`) }).childNodes);
  const more = clocks.length > first ? el("button", { type: "button", onclick: () => {
    axis.remove();
    clocks.slice(first).forEach(add);
    grid.append(axis);
    more.remove();
  } }, `Show all ${count(clocks.length)} clocks`) : null;
  grid.append(axis);
  return [
    el("h2", null, "What the clocks did"),
    el("p", { class: "note" }, `Nothing is received before it is sent, so every hop bounds the difference of two clocks. Proven: at some time the bounds exclude zero. Clocks are told apart by ${[...new Set(audit.clockRows.map((c) => c.key))].slice(0, 4).join(", ") || "nothing"}.`),
    audit.notes.contradictory ? el("p", { class: "note bad" }, "The stamps contradict each other: no clocks within the drift limit explain them. The bands and verdicts below show what a compromise would say; they prove nothing.") : null,
    legend || null, grid, more, behind("All clocks, as a table", () => clocksTable(audit)),
  ];
}
