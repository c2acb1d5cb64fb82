/* What was found, in plain words made from the data. Each function returns sentences. */

const list = (words) => (words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} and ${words[words.length - 1]}`);

/* The share of negative spans along the sweep: from where to where nothing shows, and what shows then. */
function sweepWords() {
  const words = [];
  for (const transport of [...new Set(sweepRuns().map((r) => r.transport))]) {
    const runs = sweepRuns().filter((r) => r.transport === transport && !r.null_run && r.skew_ns >= 0).sort((a, b) => a.skew_ns - b.skew_ns);
    if (!runs.length) continue;
    const clean = runs.filter((r, k) => runs.slice(0, k + 1).every((q) => q.negative_spans === 0)), dirty = runs.filter((r) => r.negative_spans > 0);
    const over = `Over ${transport}, `;
    if (!dirty.length) words.push(`${over}no span turned negative at any skew up to ${skewName(runs[runs.length - 1].skew_ns)}: ${plural(runs.reduce((n, r) => n + r.hops, 0), "hop")} were measured.`);
    else {
      const worst = dirty[dirty.length - 1];
      words.push(`${over}${clean.length ? `no span is negative up to a skew of ${skewName(clean[clean.length - 1].skew_ns)}; ` : ""}` +
        `at ${skewName(worst.skew_ns)} ${percent(worst.negative_rate)} of all hops (95\u00a0%: ${interval(worst.negative_rate_lo, worst.negative_rate_hi)}) are received before they were sent` +
        (worst.predicted_rate === null ? "." : `; the hop delays of the run without skew predict ${percent(worst.predicted_rate)} (${interval(worst.predicted_rate_lo, worst.predicted_rate_hi)}).`));
    }
  }
  return words;
}

function throughputWords() {
  const words = [];
  for (const lab of page.labs) {
    const all = lab.summary.throughput_all_skews, compared = lab.summary.runs.filter((r) => r.outputs_match !== null);
    if (all) {
      const same = all.ratio_lo <= 1 && all.ratio_hi >= 1;
      words.push(`Throughput with the skew on is ${ratio(all.ratio)} of that without (95\u00a0%: ${ratio(all.ratio_lo)}\u2013${ratio(all.ratio_hi)})${same ? ": no difference shows" : ""}` +
        (compared.length ? (compared.every((r) => r.outputs_match) ? ", and every output is the same." : ", but outputs differ.") : "."));
    } else if (compared.length) words.push(compared.every((r) => r.outputs_match) ? "Every output is the same, with and without skew." : "Outputs differ between runs.");
  }
  return words;
}

function violationWords(audit) {
  const v = audit.check.violations, input = audit.check.input;
  const head = `${plural(input.spans, "span")} in ${plural(input.traces, "trace")}, stamped by ${plural(input.clocks, "clock")},`;
  if (!v.total) return [`${head} contradict causality nowhere: ${plural(input.hops, "hop")} between clocks were compared.`];
  const kinds = [[v.hard, "message received before it was sent", "messages received before they were sent"], [v.soft, "answer that ends after its call", "answers that end after their calls"],
    [v.same_clock, "contradiction on one clock", "contradictions on one clock"], [v.negative_duration, "span that ends before it starts", "spans that end before they start"],
    [v.token_order, "token out of order", "tokens out of order"]].filter(([n]) => n);
  return [`${head} contradict causality ${v.total === 1 ? "once" : v.total === 2 ? "twice" : `${count(v.total)} times`}: ${list(kinds.map(([n, one, many]) => plural(n, one, many)))}.`];
}

function clockWords(audit) {
  const wrong = audit.clockRows.filter((c) => c.verdict === "proven" || c.verdict === "suspected").sort((a, b) => Math.abs(b.at_least_ns) - Math.abs(a.at_least_ns));
  if (audit.notes.contradictory) return ["The stamps contradict each other: no clocks within the drift limit explain them, so nothing is proven."];
  if (!wrong.length) return audit.check.input.hops ? ["No clock is known to be wrong."] : [];
  const words = wrong.slice(0, 3).map((c) => {
    const size = c.offset_ns === null ? `at least ${duration(Math.abs(c.at_least_ns))}` : `about ${duration(Math.abs(c.offset_ns))}`;
    const side = (c.offset_ns === null ? c.at_least_ns : c.offset_ns) > 0 ? "ahead" : "behind";
    return `${clip(c.clock, 40)} runs ${size} ${side}` + (c.verdict === "proven" ? `: the hops prove at least ${duration(Math.abs(c.at_least_ns))}` : ", though no error at all is possible, too") +
      (c.steps.length ? `; it stepped ${c.steps.length === 1 ? "once" : `${count(c.steps.length)} times`}` : "") + ".";
  });
  if (wrong.length > 3) words.push(`${plural(wrong.length - 3, "other clock is", "other clocks are")} off as well.`);
  return words;
}

function fixWords(audit) {
  const { before, left, clocks_moved, spans_moved: spans, largest_move_ns: largest } = audit.fix, clocks = clocks_moved.length;
  if (!before.total) return [];
  if (!clocks) return [`No correction of clocks would change that: ${left.total === before.total ? "all of it stays" : `${count(left.total)} stay`}.`];
  return [`Taking the error out of ${plural(clocks, "clock")} moves ${plural(spans, "span")}, by ${duration(Math.abs(largest))} at the most, and leaves ${left.total ? plural(left.total, "violation") : "no violation"}.`];
}

function tilesOf(audit) {
  const v = audit.check.violations, fix = audit.fix, wrong = audit.clockRows.filter((c) => c.verdict === "proven"), worst = Math.max(0, ...audit.check.edges.map((e) => e.worst_ns));
  const unhealthy = audit.healthRows.filter((p) => !p.healthy).length;
  const tile = (what, value, more, css) => el("div", { class: "tile" }, el("div", { class: "what" }, what), el("div", { class: `value ${css || ""}` }, value), el("div", { class: "more" }, more));
  return el("div", { class: "tiles" },
    tile("violations as stamped", count(v.total), `${count(v.hard)} received before sent`, v.total ? "bad" : "good"),
    tile("violations once corrected", count(fix.left.total), fix.clocks_moved.length ? `${plural(fix.clocks_moved.length, "clock")} and ${plural(fix.spans_moved, "span")} moved` : "nothing moved", fix.left.total ? "bad" : "good"),
    tile("clocks proven wrong", `${count(wrong.length)} of ${count(audit.clockRows.length)}`, wrong.length ? clip(wrong.map((c) => c.clock).join(", "), 48) : "none", wrong.length ? "bad" : "good"),
    tile("worst hop", worst ? duration(worst) : "\u2013", worst ? "received before it was sent" : "no hop is negative", worst ? "bad" : ""),
    tile("causality_health", audit.healthRows.length ? (unhealthy ? "unhealthy" : "healthy") : "\u2013", audit.healthRows.length ? (unhealthy ? `in ${count(unhealthy)} of ${plural(audit.healthRows.length, "window")}` : `in all of ${plural(audit.healthRows.length, "window")}`) : "no hops", unhealthy ? "bad" : "good"));
}
