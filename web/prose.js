/* What was found, in plain words made from the data. Each function returns sentences. */

const list = (words) => (words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} and ${words[words.length - 1]}`);

const smallNumbers = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"];
const inWords = (n) => smallNumbers[n] || count(n);

/* What a run was, of its spec: the name that somebody gave it, else its stages and what stands around them. */
function runTitle({ spec }) {
  const name = /^name: "(.*)"$/m.exec(spec), around = /^topology:\n((?: .*\n?)+)/m.exec(spec), stages = /^stages:\n((?:[ -].*\n?)+)/m.exec(spec);
  const title = name ? name[1] : "run";
  if (title !== "five-node pipeline" || !stages) return title;
  const key = (word) => { const found = around && new RegExp(`^ +${word}: (\\S+)`, "m").exec(around[1]); return found ? found[1] : null; };
  const nodes = [...stages[1].matchAll(/^ +workers: (\d+)/gm)].reduce((sum, [, n]) => sum + Number(n), 0), width = Number(key("width"));
  const tree = Array.from({ length: Number(key("depth")) || 0 }, (_, k) => width ** (k + 1)).reduce((sum, n) => sum + n, 0);
  const more = { tree: ` around a tree of ${inWords(tree)} services`, mesh: ` around a mesh of ${inWords(width)} services`, hub: ` around a hub with ${inWords(width)} spokes`, batch: `, in batches of up to ${inWords(width)}` };
  return `${inWords(nodes)}-node pipeline${more[key("shape")] || ""}`;
}

/* Runs of a transport, the smallest skew first, and up to where none of them has a negative span: skews ahead, or, where
 * there are none, those behind. */
function sweepOf(runs, transport) {
  const own = runs.filter((r) => r.transport === transport && !r.null_run && !r.true_clock), side = own.some((r) => r.skew_ns > 0) ? 1 : -1;
  const rows = own.filter((r) => side * r.skew_ns >= 0).sort((a, b) => side * (a.skew_ns - b.skew_ns));
  const first = rows.findIndex((r) => r.negative_spans > 0);
  return { rows, clean: first < 0 ? rows[rows.length - 1] : rows[first - 1], worst: first < 0 ? null : rows.filter((r) => r.negative_spans).pop() };
}

const transportsOf = (runs) => [...new Set(runs.map((r) => r.transport))];
const shareWords = (run) => `${percent(run.negative_rate)} of all hops (95\u00a0%: ${interval(run.negative_rate_lo, run.negative_rate_hi)})`;

/* The share of negative spans along the sweep: from where to where nothing shows, and what shows then. */
function sweepWords() {
  const words = [];
  for (const transport of transportsOf(sweepRuns())) {
    const { rows, clean, worst } = sweepOf(sweepRuns(), transport), over = transport === "virtual" ? "In virtual time" : `Over ${transportName(transport)}`;
    if (!rows.length) continue;
    if (!worst) words.push(`${over} no span turned negative at any skew up to ${skewName(clean.skew_ns)}: ${plural(rows.reduce((n, r) => n + r.hops, 0), "hop")} were measured.`);
    else words.push(`${over}${clean && clean.skew_ns !== 0 ? ` no span is negative up to a skew of ${skewName(clean.skew_ns)}. At` : ", at"} ${skewName(worst.skew_ns)}, ` +
      `${shareWords(worst)} are received before they were sent` +
      (worst.predicted_rate === null ? "." : `; the hop delays of the run without skew predict ${percent(worst.predicted_rate)} (${interval(worst.predicted_rate_lo, worst.predicted_rate_hi)}).`));
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
  const verb = input.spans === 1 ? "contradicts" : "contradict";
  if (!v.total && !input.hops) return [`${head} ${verb} causality nowhere. No hop leads from one clock to another, so nothing can be said of clocks.`];
  if (!v.total) return [`${head} ${verb} causality nowhere: ${plural(input.hops, "hop between clocks was", "hops between clocks were")} compared.`];
  const kinds = [[v.hard, "message received before it was sent", "messages received before they were sent"], [v.soft, "answer that ends after its call", "answers that end after their calls"],
    [v.same_clock, "contradiction on one clock", "contradictions on one clock"], [v.negative_duration, "span that ends before it starts", "spans that end before they start"],
    [v.token_order, "token out of order", "tokens out of order"]].filter(([n]) => n);
  const times = kinds.length === 1 ? "" : v.total === 2 ? " twice" : ` ${count(v.total)} times`;
  return [`${head} ${verb} causality${times}: ${list(kinds.map(([n, one, many]) => plural(n, one, many)))}.`];
}

/* Where a track begins and ends. */
function trackEnds(clock) {
  const known = clock.knots.filter((knot) => knot.offset_ns !== null);
  return known.length ? [known[0].offset_ns, known[known.length - 1].offset_ns] : null;
}

/* What moved although its verdict, which is about its last stamp, is a mild one. */
function movedWords(audit) {
  const moved = audit.fix.clocks_moved.map((row) => audit.clockRows.find((c) => c.clock === row.clock)).filter((c) => c && c.verdict !== "proven" && c.verdict !== "suspected");
  return moved.slice(0, 2).map((c) => {
    const ends = trackEnds(c), far = ends && Math.abs(ends[0] - ends[1]) > 0.2 * Math.max(Math.abs(ends[0]), Math.abs(ends[1]));
    return `What contradicts causality fits ${clip(c.clock, 40)}` + (far ? `, whose offset went from about ${signedDuration(ends[0])} to ${signedDuration(ends[1])}` : ends ? ` being off by about ${signedDuration(ends[1])}` : "") +
      "; at its last stamp the hops allow that it is right.";
  });
}

function steppedWords(c) {
  return c.steps.length ? `; it stepped ${c.steps.length === 1 ? "once" : `${count(c.steps.length)} times`}` : "";
}

function clockWords(audit) {
  const wrong = audit.clockRows.filter((c) => c.verdict === "proven" || c.verdict === "suspected").sort((a, b) => Math.abs(b.at_least_ns) - Math.abs(a.at_least_ns));
  if (audit.notes.contradictory) return ["The stamps contradict each other: no clocks within the drift limit explain them, so nothing is proven."];
  if (!wrong.length && audit.fix.clocks_moved.length) return movedWords(audit);
  if (!wrong.length) return audit.check.input.hops ? ["No clock is known to be wrong."] : [];
  const words = wrong.slice(0, 3).map((c) => {
    const size = c.offset_ns === null ? `at least ${duration(Math.abs(c.at_least_ns))}` : `about ${duration(Math.abs(c.offset_ns))}`;
    if (c.verdict === "proven" && c.offset_ns !== null && (Math.abs(c.at_least_ns) > Math.abs(c.offset_ns) || c.at_least_ns > 0 !== c.offset_ns > 0))
      return `${clip(c.clock, 40)} ran ${c.at_least_ns > 0 ? "ahead" : "behind"} by at least ${duration(Math.abs(c.at_least_ns))}, which the hops prove; at its last stamp it is ${size} ${c.offset_ns > 0 ? "ahead" : "behind"}${steppedWords(c)}.`;
    const side = (c.offset_ns === null ? c.at_least_ns : c.offset_ns) > 0 ? "ahead" : "behind";
    return `${clip(c.clock, 40)} runs ${size} ${side}` + (c.verdict === "proven" ? `: the hops prove at least ${duration(Math.abs(c.at_least_ns))}` : ", though no error at all is possible, too") +
      `${steppedWords(c)}.`;
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

const tile = (what, value, more, css) => el("div", { class: "tile" }, el("div", { class: "what" }, what), el("div", { class: `value ${css || ""}` }, value), el("div", { class: "more" }, more));

/* The worst pair between clocks, in words of its kind. */
function worstTile(audit) {
  const worst = audit.check.edges.reduce((a, e) => (a && a.worst_ns >= e.worst_ns ? a : e), null), v = audit.check.violations;
  if (!worst || !worst.worst_ns) return tile("worst hop", "\u2013", "no hop is negative");
  return tile("worst hop", duration(worst.worst_ns), v.hard ? "received before it was sent" : "its answer ends after the call", "bad");
}

function tilesOf(audit) {
  const v = audit.check.violations, fix = audit.fix, wrong = audit.clockRows.filter((c) => c.verdict === "proven");
  const unhealthy = audit.healthRows.filter((p) => !p.healthy).length, windows = plural(audit.healthRows.length, "window");
  return el("div", { class: "tiles" },
    tile("violations as stamped", count(v.total), v.total && !v.hard ? "none received before sent" : `${count(v.hard)} received before sent`, v.total ? "bad" : "good"),
    tile("violations once corrected", count(fix.left.total), fix.clocks_moved.length ? `${plural(fix.clocks_moved.length, "clock")}, ${plural(fix.spans_moved, "span")} moved` : "nothing moved", fix.left.total ? "bad" : "good"),
    tile("clocks proven wrong", `${count(wrong.length)} of ${count(audit.clockRows.length)}`, wrong.length ? clip(wrong.map((c) => c.clock).join(", "), 48) : "none", wrong.length ? "bad" : ""),
    worstTile(audit),
    tile("causality_health", audit.healthRows.length ? (unhealthy ? "unhealthy" : "healthy") : "\u2013", audit.healthRows.length ? (unhealthy ? `in ${count(unhealthy)} of ${windows}` : `in all of ${windows}`) : "no hops", !audit.healthRows.length ? "" : unhealthy ? "bad" : "good"));
}

/* One figure a transport, the first large; the others beside their names. */
function perTransport(runs, figure) {
  const rows = transportsOf(runs).map((transport) => [transport, figure(sweepOf(runs, transport))]).filter(([, text]) => text !== null);
  return rows.length ? { value: rows[0][1], more: rows.length > 1 ? rows.map(([transport, text]) => `${transportName(transport)}\u00a0${text}`).join(" \u00b7 ") : null } : null;
}

/* Measured and predicted rates whose 95 % intervals meet. */
function agreement(runs) {
  const rows = runs.filter((r) => r.skew_ns !== 0 && r.predicted_rate !== null);
  return { of: rows.length, n: rows.filter((r) => r.negative_rate_lo <= r.predicted_rate_hi && r.predicted_rate_lo <= r.negative_rate_hi).length };
}

function sweepTiles() {
  const runs = sweepRuns(), all = page.labs.length === 1 ? page.labs[0].summary.throughput_all_skews : null, compared = runs.filter((r) => r.outputs_match !== null);
  const skews = new Set(runs.map((r) => r.skew_ns)), same = compared.filter((r) => r.outputs_match).length, agreed = agreement(runs), tiles = [];
  const clean = perTransport(runs, (s) => (s.clean ? skewName(s.clean.skew_ns) : null));
  if (skews.size > 2 && clean) tiles.push(tile("no negative span up to", clean.value, clean.more || "of skew"));
  const paper = perTransport(runs, (s) => { const run = s.rows.find((r) => r.skew_ns === 5e6); return run ? percent(run.negative_rate) : null; });
  if (skews.size > 2 && paper) tiles.push(tile("negative at 5\u00a0ms", paper.value, paper.more || "of all hops", paper.value === percent(0) ? "" : "bad"));
  if (agreed.of) tiles.push(tile("predicted by hop delays", `${count(agreed.n)} of ${count(agreed.of)}`, "skews: 95\u00a0% intervals meet", agreed.n === agreed.of ? "good" : ""));
  if (all) tiles.push(tile("throughput, skew on / off", ratio(all.ratio), `95\u00a0%: ${ratio(all.ratio_lo)}\u2013${ratio(all.ratio_hi)}`));
  if (compared.length) tiles.push(tile("outputs", same === compared.length ? "identical" : "different", `in ${same === compared.length ? "all of " : `${count(compared.length - same)} of `}${plural(compared.length, "run")}`, same === compared.length ? "good" : "bad"));
  return tiles.length > 1 ? el("div", { class: "tiles" }, tiles) : null;
}
