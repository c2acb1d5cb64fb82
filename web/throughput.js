/* Throughput with the skew on against off: pairs of blocks, so that what the machine does meanwhile cancels out. */

function throughputRows() {
  return page.labs.flatMap((lab) => [
    ...lab.summary.throughput.map((row) => ({ ...row, label: `${transportName(row.transport)}, ${skewName(row.skew_ns)}` })),
    ...(lab.summary.throughput_all_skews ? [{ ...lab.summary.throughput_all_skews, label: "all skews pooled", pooled: true, requests_per_s: [], skew_ns: null, pairs: null }] : []),
  ]);
}

const throughputStep = (rows) => (rows.length > 12 ? 22 : 34);

function drawThroughput(svg, width, rows, transports) {
  const narrow = width < 560, left = narrow ? 100 : 140, right = narrow ? 12 : 24, top = 14, step = throughputStep(rows), height = top + rows.length * step + 54;
  const all = rows.flatMap((r) => [r.ratio_lo, r.ratio_hi, ...r.requests_per_s.map((p) => p.on / p.off)]).filter((v) => v > 0 && Number.isFinite(v));
  const reach = Math.max(0.05, ...all.map((v) => Math.abs(Math.log(v)))) * 1.05;
  const x = d3.scaleLog([Math.exp(-reach), Math.exp(reach)], [left, width - right]);
  const ticks = d3.ticks(Math.exp(-reach), Math.exp(reach), width < 560 ? 4 : 7).filter((v) => v > 0);

  svg.append("g").attr("class", "axis axis-x").attr("transform", `translate(0,${height - 48})`)
    .call(d3.axisBottom(x).tickValues(ticks).tickFormat((v) => `${tick(v)}\u00d7`).tickSizeOuter(0).tickPadding(6));
  axisTitle(svg, "requests per second with skew over without", narrow ? width / 2 : (left + width - right) / 2, height - 4);
  svg.append("line").attr("class", "zero").attr("x1", x(1)).attr("x2", x(1)).attr("y1", top - 6).attr("y2", height - 48);
  rows.forEach((row, k) => {
    const colour = row.pooled ? "var(--ink)" : transportColour(transports, row.transport);
    const y = top + (k + 0.5) * step, g = svg.append("g").attr("tabindex", 0).attr("role", "img")
      .attr("aria-label", `${row.label}: ${ratio(row.ratio)}, 95 % ${ratio(row.ratio_lo)} to ${ratio(row.ratio_hi)}`);
    g.append("rect").attr("x", 0).attr("y", y - step / 2).attr("width", width).attr("height", step).style("fill", "transparent");
    g.append("text").attr("x", left - 12).attr("y", y + 4).attr("text-anchor", "end").attr("class", row.pooled ? "strong" : null).text(row.pooled && narrow ? "all skews" : row.label);
    for (const pair of row.requests_per_s)
      g.append("line").attr("x1", x(pair.on / pair.off)).attr("x2", x(pair.on / pair.off)).attr("y1", y - 7).attr("y2", y + 7)
        .style("stroke", "var(--faint)").style("stroke-width", 1);
    g.append("line").attr("x1", x(row.ratio_lo)).attr("x2", x(row.ratio_hi)).attr("y1", y).attr("y2", y)
      .style("stroke", colour).style("stroke-width", row.pooled ? 4 : 2).style("stroke-linecap", "round");
    g.append("circle").attr("cx", x(row.ratio)).attr("cy", y).attr("r", row.pooled ? 6 : 4.5).style("fill", colour).style("stroke", "var(--paper)").style("stroke-width", 1.5);
    attachTip(g.node(), () => `${row.label}: ${ratio(row.ratio)} (${ratio(row.ratio_lo)}\u2013${ratio(row.ratio_hi)})${row.pairs ? `\n${row.pairs} pairs of blocks` : ""}`);
  });
  return height;
}

function serviceTable(runs) {
  return makeTable({
    caption: "What the service did in each run.",
    rows: runs,
    columns: [
      { label: "transport", text: true, value: (r) => r.transport, show: (r) => transportName(r.transport) },
      { label: "skew", value: (r) => r.skew_ns, show: runName },
      { label: "requests/s", value: (r) => r.requests_per_s, show: (r) => number1(r.requests_per_s) },
      { label: "tokens/s", value: (r) => r.tokens_per_s, show: (r) => number1(r.tokens_per_s) },
      { label: "latency p50", value: (r) => r.latency_p50_ns, show: (r) => duration(r.latency_p50_ns) },
      { label: "p99", value: (r) => r.latency_p99_ns, show: (r) => duration(r.latency_p99_ns) },
      { label: "first token p50", value: (r) => r.ttft_p50_ns, show: (r) => duration(r.ttft_p50_ns) },
      { label: "outputs", value: (r) => (r.outputs_match === null ? null : r.outputs_match ? 1 : 0),
        show: (r) => (r.outputs_match === null ? "not compared" : r.outputs_match ? "identical" : "different"), bad: (r) => r.outputs_match === false },
    ],
  });
}

function throughputSection() {
  const rows = throughputRows(), runs = sweepRuns();
  const table = () => makeTable({
    caption: "Throughput with skew over without, 95 % intervals that hold together.",
    rows,
    columns: [
      { label: "skew", text: true, value: (r) => r.label },
      { label: "pairs", value: (r) => r.pairs },
      { label: "ratio", value: (r) => r.ratio, show: (r) => ratio(r.ratio) },
      { label: "from", value: (r) => r.ratio_lo, show: (r) => ratio(r.ratio_lo) },
      { label: "to", value: (r) => r.ratio_hi, show: (r) => ratio(r.ratio_hi) },
    ],
  });
  const legend = rows.length && haveD3 && legendOf([
    [(svg) => { legendLine("line", "var(--soft)")(svg); svg.append("circle").attr("cx", 14).attr("cy", 6).attr("r", 4).style("fill", "var(--soft)"); }, "mean ratio, 95\u00a0% interval"],
    [(svg) => svg.append("path").attr("d", "M14 0V12").style("stroke", "var(--faint)"), "one pair of blocks"],
  ]);
  return [
    el("h2", null, "What the service noticed"),
    el("p", { class: "note" }, rows.length ? "Skew touches the stamps only. Pairs of blocks with the skew on and off, in shuffled order, say whether throughput changed."
      : "Skew touches the stamps only. Throughput with and without it was not compared in this run."),
    rows.length ? makeFigure({ label: "Throughput with skew over without, for every skew", legend, draw: (svg, width) => drawThroughput(svg, width, rows, transportsOf(runs)), table,
      room: rows.length * throughputStep(rows) + 68 }) : null,
    behind("Throughput, latency and outputs of every run", () => serviceTable(runs)),
  ];
}
