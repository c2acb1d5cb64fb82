/* The sweep: how many spans turn negative as the skew grows, measured and predicted. */

function sweepRuns() {
  return page.labs.flatMap((lab) => lab.summary.runs.map((run) => ({ ...run, lab })));
}

function sweepTable(runs, onPick) {
  const health = (run) => run.causality_health.every((point) => point.healthy);
  return makeTable({
    caption: "What the traces of each run say. Rates with their 95 % intervals.",
    rows: runs,
    onRow: onPick,
    describeRow: (run) => `Show ${run.transport}, ${runName(run)}`,
    columns: [
      { label: "transport", text: true, value: (r) => r.transport, show: (r) => transportName(r.transport) },
      { label: "skew", value: (r) => r.skew_ns, show: runName },
      { label: "hops", value: (r) => r.hops, show: (r) => count(r.hops) },
      { label: "negative", value: (r) => r.negative_spans, show: (r) => count(r.negative_spans), bad: (r) => r.negative_spans > 0 },
      { label: "rate", value: (r) => r.negative_rate, show: (r) => percent(r.negative_rate), bad: (r) => r.negative_spans > 0 },
      { label: "95 %", value: (r) => r.negative_rate_lo, show: (r) => interval(r.negative_rate_lo, r.negative_rate_hi) },
      { label: "predicted", value: (r) => r.predicted_rate, show: (r) => percent(r.predicted_rate) },
      { label: "95 %", value: (r) => r.predicted_rate_lo, show: (r) => interval(r.predicted_rate_lo, r.predicted_rate_hi) },
      { label: "tokens out of order", value: (r) => r.token_order_anomalies, show: (r) => count(r.token_order_anomalies), bad: (r) => r.token_order_anomalies > 0 },
      { label: "causality_health", value: (r) => (health(r) ? 1 : 0), show: (r) => (health(r) ? "healthy" : "unhealthy"), bad: (r) => !health(r) },
    ],
  });
}

const transportColour = (transports, name) => `var(--t${transports.indexOf(name) % 4})`;

/* The paper's two figures, as dashed lines with words where they have room. */
function drawPaper(svg, x, low, high, left, right, top, bottom) {
  for (const [ms, text, anchor] of [[3, "paper: none up to 3\u00a0ms", "end"], [5, "paper: clear at 5\u00a0ms", "start"]]) {
    if (ms < low || ms > high) continue;
    svg.append("line").attr("class", "mark").attr("x1", x(ms)).attr("x2", x(ms)).attr("y1", top - 8).attr("y2", bottom);
    const fits = anchor === "end" ? x(ms) - left > 130 : right - x(ms) > 130, roomy = right - left > 420;
    svg.append("text").attr("class", "halo").attr("x", x(ms) + (anchor === "end" ? 3 : -3)).attr("y", top - 13)
      .attr("text-anchor", fits || !roomy ? anchor : anchor === "end" ? "start" : "end").text(roomy ? text : `paper: ${ms}\u00a0ms`);
  }
}

function drawCurve(svg, curve, x, y, colour) {
  const px = (p) => x(p.skew_ns / 1e6);
  svg.append("path").datum(curve.points).style("fill", colour).style("opacity", 0.14)
    .attr("d", d3.area().x(px).y0((p) => y(p.lo)).y1((p) => y(p.hi)));
  svg.append("path").datum(curve.points).attr("class", "line predicted").style("stroke", colour).style("stroke-width", 1.5)
    .attr("d", d3.line().x(px).y((p) => y(p.rate)));
}

function drawPoint(svg, run, px, y, symbol, colour) {
  const g = svg.append("g").attr("class", "point").attr("tabindex", 0).attr("role", "img")
    .attr("aria-label", `${transportName(run.transport)}, ${runName(run)}: ${percent(run.negative_rate)} negative`);
  g.append("line").attr("x1", px).attr("x2", px).attr("y1", y(run.negative_rate_lo)).attr("y2", y(run.negative_rate_hi))
    .style("stroke", colour).style("stroke-width", 2);
  for (const end of [run.negative_rate_lo, run.negative_rate_hi])
    g.append("line").attr("x1", px - 4).attr("x2", px + 4).attr("y1", y(end)).attr("y2", y(end)).style("stroke", colour).style("stroke-width", 2);
  g.append("path").attr("transform", `translate(${px},${y(run.negative_rate)})`).attr("d", symbolPath(symbol, 80))
    .style("fill", colour).style("stroke", "var(--paper)").style("stroke-width", 1.5);
  g.append("circle").attr("cx", px).attr("cy", y(run.negative_rate)).attr("r", 14).style("fill", "transparent");
  attachTip(g.node(), () => `${transportName(run.transport)}, skew ${runName(run)}\n${count(run.negative_spans)} of ${count(run.hops)} hops negative: ` +
    `${percent(run.negative_rate)} (${interval(run.negative_rate_lo, run.negative_rate_hi)})\npredicted ${percent(run.predicted_rate)}`);
}

function drawSweep(svg, width, runs, curves, transports) {
  const height = width < 560 ? 310 : 390, left = 56, right = 22, top = 58, bottom = 50;
  const skews = runs.map((r) => r.skew_ns / 1e6);
  const low = Math.min(0, ...skews), high = Math.max(1, ...skews), pad = (high - low) * 0.03;
  const most = Math.max(0.05, ...runs.map((r) => r.negative_rate_hi || 0), ...curves.flatMap((c) => c.points.map((p) => p.hi)));
  const x = d3.scaleLinear([low - pad, high + pad], [left, width - right]);
  const y = d3.scaleLinear([0, Math.min(1, most * 1.06)], [height - bottom, top]);

  axisLeft(svg, y, left, 5, (v) => `${tick(100 * v)}\u00a0%`, width - left - right);
  axisBottom(svg, x, height - bottom, width < 560 ? 5 : 10, (v) => `${tick(v)}\u00a0ms`);
  axisTitle(svg, "clock skew of the stage", (left + width - right) / 2, height - 4);
  axisTitle(svg, "share of hops received before they were sent", 0, 16, "start").attr("class", "strong");
  drawPaper(svg, x, low, high, left, width - right, top, height - bottom);
  for (const curve of curves) drawCurve(svg, curve, x, y, transportColour(transports, curve.transport));
  for (const run of runs.filter((r) => !r.null_run)) {
    const t = transports.indexOf(run.transport), shift = (t - (transports.length - 1) / 2) * (transports.length > 1 ? 7 : 0);
    drawPoint(svg, run, x(run.skew_ns / 1e6) + shift, y, t, transportColour(transports, run.transport));
  }
  return height;
}

function sweepLegend(transports, curves) {
  return haveD3 && legendOf([
    ...transports.map((name, t) => [(svg) => svg.append("path").attr("transform", "translate(14,6)").attr("d", symbolPath(t, 70))
      .style("fill", transportColour(transports, name)), `${transportName(name)}, measured, 95\u00a0% interval`]),
    ...(curves.length ? [[legendLine("line", transports.length > 1 ? "var(--soft)" : transportColour(transports, transports[0])), "predicted by the hop delays of the run without skew"]] : []),
  ]);
}

/* A chart needs a range of skews; one skew alone is said in words, and stands in the table. */
function sweepSection(onPick) {
  const runs = sweepRuns(), curves = page.labs.flatMap((lab) => lab.prediction.filter((c) => c.points.length));
  const transports = transportsOf(runs), table = () => sweepTable(runs, onPick), drawn = curves.length > 0 || new Set(runs.map((r) => r.skew_ns)).size > 2;
  return [
    el("h2", null, drawn ? "Negative spans against skew" : "The runs"),
    drawn ? [
      el("p", { class: "note" }, "The line is the distribution of the hop delay, measured without skew: a hop turns negative when it is faster than the skew. That is why nothing shows until the skew reaches the fastest hops."),
      makeFigure({ label: "Share of negative spans against clock skew, measured and predicted", legend: sweepLegend(transports, curves),
        draw: (svg, width) => drawSweep(svg, width, runs, curves, transports), table, tableLabel: "Every run, as a table", room: 390 }),
    ] : table(),
  ];
}
