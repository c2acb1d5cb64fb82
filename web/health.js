/* causality_health: whether any hop of the last half minute contradicts causality, and how many do. */

function healthTable(points) {
  return makeTable({
    caption: "causality_health over time.",
    rows: points,
    columns: [
      { label: "at", text: true, value: (p) => p.at, show: (p) => instant(p.at) },
      { label: "health", value: (p) => (p.healthy ? 1 : 0), show: (p) => (p.healthy ? "healthy" : "unhealthy"), bad: (p) => !p.healthy },
      { label: "rate", value: (p) => p.rate, show: (p) => percent(p.rate), bad: (p) => p.rate > 0 },
    ],
  });
}

/* As many points as there are pixels: of those that share one the worst. */
function thin(points, most) {
  if (points.length <= most) return points;
  const out = [], size = points.length / most;
  for (let k = 0; k < most; k++) {
    const part = points.slice(Math.floor(k * size), Math.max(Math.floor(k * size) + 1, Math.floor((k + 1) * size)));
    out.push(part.reduce((worst, p) => (p.rate > worst.rate ? p : worst)));
  }
  return out;
}

function drawHealth(svg, width, rows) {
  const never = rows.every((p) => p.rate === 0), height = never ? 78 : 196, left = 58, right = 10, top = 34, bottom = 50, origin = rows[0].at;
  const points = thin(rows.map((p) => ({ ...p, t: since(p.at, origin) })), Math.max(50, width - left - right));
  const last = points[points.length - 1].t || 1e9, [unit, name] = unitFor(last);
  const x = d3.scaleLinear([0, last], [left, width - right]), most = Math.max(0.02, d3.max(points, (p) => p.rate));
  const y = d3.scaleLinear([0, most * 1.1], [height - bottom, top]);

  if (!never) axisLeft(svg, y, left, 3, (v) => `${tick(100 * v)}\u00a0%`, width - left - right);
  const edge = (k) => (k === 0 ? left : k === points.length ? width - right : x((points[k - 1].t + points[k].t) / 2));
  for (let k = 0; k < points.length;) {
    const first = k, { healthy } = points[k];
    while (k < points.length && points[k].healthy === healthy) k++;
    svg.append("rect").attr("class", "state").attr("x", edge(first)).attr("width", Math.max(1, edge(k) - edge(first))).attr("y", 8).attr("height", 12).style("fill", healthy ? "var(--cool-wash)" : "var(--bad)");
  }
  const line = points.length > 1 ? points : [points[0], { ...points[0], t: last }];
  if (!never) svg.append("path").datum(line).style("fill", "var(--bad-wash)").attr("d", d3.area().curve(d3.curveStepAfter).x((p) => x(p.t)).y0(y(0)).y1((p) => y(p.rate)));
  if (!never) svg.append("path").datum(line).attr("class", "line").style("stroke", "var(--bad)").style("stroke-width", 1.6)
    .attr("d", d3.line().curve(d3.curveStepAfter).x((p) => x(p.t)).y((p) => y(p.rate)));
  const ticks = d3.scaleLinear([0, last / unit], [left, width - right]);
  axisBottom(svg, ticks, height - bottom, width < 500 ? 4 : 8, (v) => `${tick(v)}\u00a0${name}`);
  axisTitle(svg, `after ${moment(origin)}`, (left + width - right) / 2, height - 6);
  const rule = svg.append("line").attr("class", "mark").attr("y1", 4).attr("y2", height - bottom).style("display", "none");
  svg.append("rect").attr("x", left).attr("width", Math.max(0, width - left - right)).attr("height", height - bottom).style("fill", "transparent").on("pointermove", () => {
    const event = d3.event, t = x.invert(event.clientX - svg.node().getBoundingClientRect().left);
    const p = points.reduce((best, q) => (Math.abs(q.t - t) < Math.abs(best.t - t) ? q : best));
    rule.attr("x1", x(p.t)).attr("x2", x(p.t)).style("display", null);
    tip.show(`${instant(p.at)}\n${p.healthy ? "healthy" : "unhealthy"}: ${percent(p.rate)} of the hops in the window violated`, event.clientX, event.clientY);
  }).on("pointerleave", () => { rule.style("display", "none"); tip.hide(); });
  return height;
}

/* Rates over time beside those that the clock's true offset predicts, which a lab knows. */
function drawTimeline(svg, width, rows) {
  const height = 226, left = 58, right = 10, top = 14, bottom = 50, origin = rows[0].at;
  const points = rows.map((p) => ({ ...p, t: since(p.at, origin) })), last = points[points.length - 1].t || 1e9, [unit, name] = unitFor(last);
  const x = d3.scaleLinear([0, last], [left, width - right]), most = Math.max(0.02, d3.max(points, (p) => Math.max(p.negative_rate_hi || 0, p.predicted_rate || 0)));
  const y = d3.scaleLinear([0, Math.min(1, most * 1.06)], [height - bottom, top]), known = points.filter((p) => p.negative_rate !== null);

  axisLeft(svg, y, left, 4, (v) => `${tick(100 * v)}\u00a0%`, width - left - right);
  svg.append("path").datum(known).attr("class", "band").attr("d", d3.area().x((p) => x(p.t)).y0((p) => y(p.negative_rate_lo)).y1((p) => y(p.negative_rate_hi)));
  svg.append("path").datum(known).attr("class", "line").attr("d", d3.line().x((p) => x(p.t)).y((p) => y(p.negative_rate)));
  svg.append("path").datum(points.filter((p) => p.predicted_rate !== null)).attr("class", "truth").attr("d", d3.line().x((p) => x(p.t)).y((p) => y(p.predicted_rate)));
  axisBottom(svg, d3.scaleLinear([0, last / unit], [left, width - right]), height - bottom, width < 500 ? 4 : 8, (v) => `${tick(v)}\u00a0${name}`);
  axisTitle(svg, `after ${moment(origin)}`, (left + width - right) / 2, height - 6);
  return height;
}

function timelineTable(rows) {
  return makeTable({
    caption: "Figures over time, and what the clock's true offset predicts.",
    rows,
    columns: [
      { label: "at", text: true, value: (p) => p.at, show: (p) => instant(p.at) },
      { label: "hops", value: (p) => p.hops, show: (p) => count(p.hops) },
      { label: "negative", value: (p) => p.negative_spans, show: (p) => count(p.negative_spans), bad: (p) => p.negative_spans > 0 },
      { label: "rate", value: (p) => p.negative_rate, show: (p) => percent(p.negative_rate) },
      { label: "95 %", value: (p) => p.negative_rate_lo, show: (p) => interval(p.negative_rate_lo, p.negative_rate_hi) },
      { label: "predicted", value: (p) => p.predicted_rate, show: (p) => percent(p.predicted_rate) },
      { label: "true offset", value: (p) => p.true_offset_ns, show: (p) => signedDuration(p.true_offset_ns) },
      { label: "median delay", value: (p) => p.hop_p50_ns, show: (p) => duration(p.hop_p50_ns) },
    ],
  });
}

/* The rate over time, where a lab looked at it in stretches: nothing else says so plainly what a long run does. */
function overTime(run) {
  const rows = (run && run.timeline) || [];
  if (rows.length < 2) return [];
  return [laterSection("time", "Over time", 400, () => [
    el("h2", null, "Negative spans over time"),
    el("p", { class: "note" }, "Measured in stretches of the run, beside what the clock's true offset and the hop delays predict. A rate that falls by itself says where the clock is, not that it is right."),
    makeFigure({ label: "Rate of negative spans over time, measured and predicted", draw: (svg, width) => drawTimeline(svg, width, rows), table: () => timelineTable(rows), room: 220,
      legend: haveD3 && legendOf([[legendLine("line"), "negative spans, measured"], [legendBox("band"), "95\u00a0% interval"], [legendLine("truth"), "predicted from the clock's true offset"]]) }),
  ])];
}

function healthSection(audit) {
  const rows = audit.healthRows, never = rows.every((p) => p.rate === 0), box = (colour) => (svg) => svg.append("rect").attr("x", 1).attr("y", 2).attr("width", 26).attr("height", 8).style("fill", colour);
  const legend = haveD3 && legendOf([
    [box("var(--cool-wash)"), "healthy: no violation in the window"],
    ...(never ? [] : [[box("var(--bad)"), "unhealthy"], [legendLine("line", "var(--bad)"), "share of hops violated"]]),
  ]);
  return [
    el("h2", null, "Health over time"),
    el("p", { class: "note" }, "causality_health over a rolling window, of the stamps as they are. It falls back to healthy when a clock drifts back inside what the hops hide: that does not mean that the clock is right."),
    makeFigure({ label: "causality_health over time", legend, draw: (svg, width) => drawHealth(svg, width, rows), table: () => healthTable(rows), room: never ? 78 : 196 }),
  ];
}
