/* The page of `truespan report`, in a real browser: every chart is drawn, every number is that of --json, it can be
 * searched, clicked and driven by keyboard, it says nothing on the console, and nothing leaves it. */
import { existsSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { answer, assert, done, home, join, launch, look, open, run, settled, test, timeToUse } from "./browser.mjs";
import { writeLarge } from "./large.mjs";

const browser = await launch();
const folder = join(home, "run");
run("sim", "--sweep", "0ms,3ms,5ms", "--duration", "3s", "-o", folder);
const file = join(folder, "report.html"), summary = JSON.parse(readFileSync(join(folder, "summary.json"), "utf8"));
const worst = summary.runs.reduce((a, b) => (b.negative_spans > a.negative_spans ? b : a));
const otlp = join(folder, worst.folder, "otlp");
const check = answer("check", "--json", otlp), clocks = answer("clocks", "--json", otlp);
const page = await open(browser, file);

/* data-value of a table's cells, by its caption: an object a row. */
async function readTable(place, caption) {
  await settled(place.page());
  return place.evaluate((document, words) => {
    const table = [...document.querySelectorAll("table")].find((t) => t.caption && t.caption.textContent.includes(words));
    if (!table) throw new Error(`no table about ${words}`);
    const more = table.closest(".table").querySelector(":scope > button");
    if (more && !more.hidden) more.click();
    return [...table.tBodies[0].rows].map((row) => [...row.cells].map((cell) => cell.dataset.value));
  }, caption);
}
const body = () => page.locator("body");
const text = (value) => (value === null || value === undefined ? "null" : String(value));

await test("every chart is drawn", async () => {
  await page.evaluate(() => document.querySelectorAll("details").forEach((d) => { d.open = false; }));
  const charts = page.locator(".plot svg, .clock-plot svg, .axis-row svg, .sheet canvas");
  const n = await charts.count();
  assert.ok(n >= 10, `${n} charts`);
  for (let k = 0; k < n; k++) {
    const seen = await look(browser, charts.nth(k));
    assert.ok(seen.colours > 3 && seen.drawn > 0.002, `chart ${k}: ${JSON.stringify(seen)}`);
  }
  for (const [css, least] of [["#sweep .point", 3], ["#sweep path.predicted", 1], ["#clocks path.band", 3], ["#clocks path.truth", 3], ["#graph .edge", 5], ["#graph .edge.violated", 1], ["#graph .node", 5], ["#health .state", 1]])
    assert.ok((await page.locator(css).count()) >= least, css);
});

await test("every number of a table is that of --json", async () => {
  const sweep = await readTable(body(), "What the traces of each run say");
  assert.deepEqual(sweep, summary.runs.map((r) => [r.transport, r.skew_ns, r.hops, r.negative_spans, r.negative_rate, r.negative_rate_lo, r.predicted_rate, r.predicted_rate_lo,
    r.token_order_anomalies, Number(r.causality_health.every((p) => p.healthy))].map(text)));
  const service = await readTable(body(), "What the service did");
  assert.deepEqual(service.map((row) => row.slice(0, 7)), summary.runs.map((r) => [r.transport, r.skew_ns, r.requests_per_s, r.tokens_per_s, r.latency_p50_ns, r.latency_p99_ns, r.ttft_p50_ns].map(text)));
  const edges = await readTable(body(), "Edges, the worst first");
  assert.deepEqual(edges, check.edges.map((e) => [e.from, e.to, e.hops, e.violations, e.worst_ns, e.slack_p50_ns, e.margin_ns, e.margin_1pct_ns].map(text)));
  const rows = await readTable(body(), "Offsets are local minus reference");
  assert.deepEqual(rows.map((r) => r.join()).sort(), clocks.clocks.map((c) => [c.clock, c.verdict, c.offset_ns, c.lo_ns, c.hi_ns, c.drift_ppb, c.hops_in, c.hops_out, c.steps.length].map(text).join()).sort());
  const health = await readTable(body(), "causality_health over time");
  assert.deepEqual(health, worst.causality_health.map((p) => [p.at, Number(p.healthy), p.rate].map(text)));
});

await test("the words and the large figures are those of --json", async () => {
  const tiles = await page.locator("#audit .tile").allInnerTexts(), commas = (n) => n.toLocaleString("en-GB");
  assert.ok(tiles[0].includes(commas(check.violations.total)), tiles[0]);
  assert.ok(tiles[1].includes(commas(0)), tiles[1]);
  assert.ok(tiles[2].includes(`${clocks.clocks.filter((c) => c.verdict === "proven").length} of ${clocks.clocks.length}`), tiles[2]);
  const story = await page.locator(".lead").allInnerTexts(), all = story.join(" ");
  for (const part of [commas(check.input.spans), commas(check.input.traces), commas(check.violations.hard), (100 * worst.negative_rate).toFixed(1), clocks.clocks.find((c) => c.verdict === "proven").clock])
    assert.ok(all.includes(part), `${part} in: ${all}`);
  for (const hole of ["NaN", "undefined", "null", "Infinity"]) assert.ok(!(await page.locator("main").innerText()).includes(hole), hole);
});

/* What people read, back to what it says: [number, how far off rounding may have put it], of "−1.57 ms", "14.2 %", "1,234". */
function readFigure(words) {
  const found = /^([+\u2212]?)([\d,]+(?:\.\d+)?)(?:\u00a0(%|ns|\u00b5s|ms|s|min|h|ppm))?/.exec(words);
  if (!found) return null;
  const scale = { "%": 0.01, ns: 1, "\u00b5s": 1e3, ms: 1e6, s: 1e9, min: 60e9, h: 3600e9, ppm: 1e3 }[found[3]] || 1, digits = found[2].replaceAll(",", "");
  const half = digits === "0" && !found[3] ? 0 : 0.5 * 10 ** -(digits.split(".")[1] || "").length;
  return [(found[1] === "\u2212" ? -1 : 1) * Number(digits) * scale, half * scale * 1.001];
}
function sameFigure(words, value, where) {
  const figure = readFigure(words);
  assert.ok(figure && Math.abs(figure[0] - value) <= figure[1], `${where}: "${words}" is shown for ${value}`);
}

await test("what a cell shows is its value, rounded: in every table", async () => {
  const cells = await page.evaluate(() => [...document.querySelectorAll("table")].flatMap((table) => [...table.tBodies[0].rows].flatMap((row) => [...row.cells].map((cell, k) =>
    [`${table.caption.textContent.slice(0, 30)} ${table.tHead.rows[0].cells[k].textContent}`, cell.textContent, cell.dataset.value, cell.classList.contains("text")]))));
  let compared = 0;
  for (const [where, words, value, plain] of cells) {
    if (plain || /health$|outputs$|steps$/.test(where)) continue;
    if (words === "\u2013") assert.ok(["null", "0"].includes(value), `${where}: ${value}`);
    else if (words === "unbounded" || words === "unknown") assert.equal(value, "null", where);
    else {
      sameFigure(words.replace(/\u2013.*?(\u00a0%)$/, "$1"), Number(value), where); /* of an interval its lower end */
      compared++;
    }
  }
  assert.ok(compared > 150, `${compared} cells`);
});

await test("what charts say of their parts is what --json says", async () => {
  const labels = (css) => page.locator(css).evaluateAll((nodes) => nodes.map((n) => n.getAttribute("aria-label"))), between = (words, from, to) => words.split(from)[1].split(to)[0];
  const points = await labels("#sweep .point"), drawn = summary.runs.filter((r) => !r.null_run);
  assert.equal(points.length, drawn.length);
  drawn.forEach((run, k) => sameFigure(between(points[k], ": ", " negative"), run.negative_rate, points[k]));
  const pairs = await labels('#throughput g[role="img"]'), ratios = [...summary.throughput, summary.throughput_all_skews];
  assert.equal(pairs.length, ratios.length);
  ratios.forEach((row, k) => [[row.ratio, ": ", ","], [row.ratio_lo, "95 % ", " to"], [row.ratio_hi, " to ", "\0"]].forEach(([value, from, to]) => sameFigure(between(pairs[k], from, to), value, pairs[k])));
  const edges = await labels("#graph .edge");
  assert.equal(edges.length, check.edges.length);
  for (const e of check.edges) {
    const words = edges.find((label) => label.startsWith(`${e.from} \u2192 ${e.to}`));
    sameFigure(between(words, `${e.to}. `, " of"), e.violations, words);
    sameFigure(between(words, " of ", " hops"), e.hops, words);
    sameFigure(between(words, "as stamped ", ". "), e.slack_p50_ns, words);
    sameFigure(/margin ([\d.,]+\u00a0[a-z\u00b5]+)|([\d.,]+\u00a0[a-z\u00b5]+) beyond/.exec(words).slice(1).find(Boolean), Math.abs(e.margin_ns), words);
    if (e.violations) sameFigure(between(words, "worst by ", ". "), e.worst_ns, words);
  }
  const facts = await page.locator(".clock-label").evaluateAll((nodes) => nodes.map((n) => [n.querySelector(".name").textContent, n.querySelector(".verdict").textContent, n.querySelector(".facts").textContent]));
  for (const [name, verdict, words] of facts) {
    const clock = clocks.clocks.find((c) => c.clock === name);
    assert.equal(verdict, name === clocks.reference && clock.verdict === "ok" ? "reference" : clock.verdict);
    if (name === clocks.reference) continue;
    sameFigure(words, clock.offset_ns, words);
    if (clock.lo_ns !== null) sameFigure(/(?:between|at least) ([+\u2212\d.,]+(?:\u00a0[a-z\u00b5]+)?)/.exec(words)[1], clock.lo_ns, words);
    if (clock.hi_ns !== null) sameFigure(/(?:and|at most) ([+\u2212\d.,]+(?:\u00a0[a-z\u00b5]+)?)/.exec(words)[1], clock.hi_ns, words);
  }
  const states = await page.locator("#health .state").count(), changes = worst.causality_health.filter((p, k, all) => !k || p.healthy !== all[k - 1].healthy).length;
  assert.equal(states, changes);
  assert.equal(await page.locator("#clocks .clock-label").count(), clocks.clocks.length);
});

await test("a trace's heading counts what check finds in it, and its examples are its pairs", async () => {
  const heading = await page.locator("#traces .tracer .note").first().innerText(), id = /^Trace ([0-9a-f]+)/.exec(heading)[1];
  const mine = readdirSync(otlp).flatMap((name) => readFileSync(join(otlp, name), "utf8").split("\n").filter(Boolean).map((line) => JSON.parse(line)));
  for (const request of mine) for (const resource of request.resourceSpans) for (const scope of resource.scopeSpans) scope.spans = scope.spans.filter((span) => span.traceId === id);
  writeFileSync(join(home, "one.jsonl"), mine.map((request) => JSON.stringify(request)).join("\n"));
  const alone = answer("check", "--json", join(home, "one.jsonl"));
  assert.deepEqual(heading.match(/[\d,]+(?= (?:span|violation))/g).map(Number), [alone.input.spans, alone.violations.total], heading);
  const rows = await readTable(body(), "Offending pairs of this trace");
  assert.equal(rows.length, alone.violations.total);
  for (const example of alone.examples) assert.ok(rows.some((row) => row[8] === example.span_id && row[3] === String(example.by_ns)), JSON.stringify(example));
});

await test("hovering an edge, a clock and the trace says what they are", async () => {
  const tip = page.locator("#tip"), bad = check.edges[0];
  await page.locator(`.edge[data-from="${bad.from}"][data-to="${bad.to}"] .hit`).dispatchEvent("pointermove", { clientX: 300, clientY: 300 });
  assert.ok((await tip.innerText()).includes(`${bad.violations.toLocaleString("en-GB")} of ${bad.hops.toLocaleString("en-GB")}`));
  await page.locator(".clock-plot svg").first().hover({ position: { x: 250, y: 40 } });
  assert.match(await tip.innerText(), /between .* and /);
  const canvas = page.locator(".sheet canvas");
  await canvas.scrollIntoViewIfNeeded();
  const box = await canvas.boundingBox();
  let found = false;
  for (let y = 40; y < 260 && !found; y += 4)
    for (let x = 160; x < box.width - 10 && !found; x += 5) {
      await canvas.dispatchEvent("pointermove", { clientX: box.x + x, clientY: box.y + y });
      found = (await tip.isVisible()) && /received .* before it/.test(await tip.innerText());
    }
  assert.ok(found, "no offending pair under the pointer");
});

await test("a click on an edge shows its traces, a search finds one", async () => {
  const bad = check.edges[0];
  await page.locator(`.edge[data-from="${bad.from}"][data-to="${bad.to}"] .hit`).dispatchEvent("click");
  await page.locator(".filter button").waitFor();
  assert.ok((await page.locator(".filter").innerText()).includes(bad.to));
  const pairs = await readTable(body(), "Offending pairs of this trace");
  assert.ok(pairs.some((row) => row[0] === bad.from && row[1] === bad.to), JSON.stringify(pairs[0]));
  await page.locator(".filter button").click();
  const example = check.examples[check.examples.length - 1];
  await page.getByLabel("Search by trace id").fill(example.trace_id.slice(0, 14).toUpperCase());
  assert.equal(await page.locator('.list [role="option"]').count(), 1);
  assert.ok((await page.locator("#traces").innerText()).includes(example.trace_id));
  const rows = await readTable(body(), "Offending pairs of this trace");
  const mine = rows.find((row) => row[8] === example.span_id && row[6] === example.parent_span_id);
  assert.ok(mine && mine[3] === String(example.by_ns), `${JSON.stringify(example)} in ${JSON.stringify(rows)}`);
  await page.getByLabel("Search by trace id").fill("zz");
  assert.equal(await page.locator('.list [role="option"]').count(), 0);
  await page.getByLabel("Search by trace id").fill("");
});

await test("the keyboard reaches everything", async () => {
  const list = page.locator(".list");
  await list.focus();
  const chosen = () => page.locator('.list [aria-selected="true"]').getAttribute("id");
  await page.keyboard.press("ArrowDown");
  const first = await chosen();
  await page.keyboard.press("ArrowDown");
  assert.notEqual(await chosen(), first);
  await page.locator(".sheet canvas").focus();
  const before = await look(browser, page.locator(".sheet canvas"));
  await page.keyboard.press("n");
  assert.match(await page.locator(".detail").innerText(), /received .* before it/);
  await page.keyboard.press("+");
  assert.ok(before.width);
  const edge = page.locator(".edge.violated").first();
  await edge.focus();
  assert.ok(await page.locator("#tip").isVisible());
  await page.keyboard.press("Escape");
  assert.ok(!(await page.locator("#tip").isVisible()));
  await page.keyboard.press("Enter");
  await page.locator(".filter button").waitFor();
  await page.locator(".filter button").click();
  const table = page.locator("#graph details");
  await table.locator("summary").focus();
  await page.keyboard.press("Enter");
  const head = table.locator("th", { hasText: "median" });
  await head.locator("button").focus();
  for (const order of ["descending", "ascending"]) {
    await page.keyboard.press("Enter");
    assert.equal(await head.getAttribute("aria-sort"), order);
    const values = (await readTable(body(), "Edges, the worst first")).map((row) => Number(row[5]));
    assert.deepEqual(values, values.slice().sort((a, b) => (order === "ascending" ? a - b : b - a)));
  }
});

await test("Tab goes through every control in order, each of them seen and named", async () => {
  const view = await open(browser, file);
  await view.emulateMedia({ reducedMotion: "reduce" });
  /* Of a group of radio buttons Tab finds the one that is chosen; arrows find the others. */
  const wanted = await view.evaluate(() => [...document.querySelectorAll("a[href], button, input, summary, [tabindex]")].filter((n) => n.tabIndex >= 0 && !n.disabled && !(n.type === "radio" && !n.checked) &&
    n.checkVisibility()).map((n, k) => { n.dataset.place = k; return n.outerHTML.slice(0, 100); }));
  const seen = [];
  for (let k = 0; k < wanted.length + 1; k++) {
    await view.keyboard.press("Tab");
    seen.push(await view.evaluate(() => {
      const at = document.activeElement, shown = at.matches(".chip input") ? at.nextElementSibling : at.matches(".edge") ? at.querySelector(".shaft") : at, style = getComputedStyle(shown), box = shown.getBoundingClientRect();
      const ring = at.matches(".edge") ? style.stroke !== getComputedStyle(document.querySelector(".edge:not(:focus, .violated) .shaft")).stroke : style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1;
      const name = at.getAttribute("aria-label") || at.textContent.trim() || (at.labels && at.labels.length && at.labels[0].textContent.trim()) || (at.localName === "pre" && at.textContent);
      return { place: Number(at.dataset.place), ring, named: Boolean(name), within: box.bottom > 0 && box.top < innerHeight, what: at.outerHTML.slice(0, 100) };
    }));
  }
  const places = seen.slice(0, wanted.length).map(({ place }) => place);
  assert.deepEqual(places, wanted.map((_, k) => k), `Tab does not go through these in order: ${wanted.filter((_, k) => places[k] !== k).slice(0, 3).join(" | ")}`);
  for (const one of seen.slice(0, wanted.length)) assert.ok(one.ring && one.named && one.within, JSON.stringify(one));
  assert.ok(wanted.length > 40, `${wanted.length} controls`);
  await view.context().close();
});

await test("by span, and back, draws the same trace", async () => {
  await page.locator('input[value="spans"]').check();
  const rows = await look(browser, page.locator(".sheet canvas"));
  assert.ok(rows.colours > 8, JSON.stringify(rows));
  await page.locator('input[value="clocks"]').check();
});

await test("another run is shown by its button, and its numbers with it", async () => {
  const other = summary.runs.find((r) => !r.null_run && r.folder !== worst.folder);
  await page.locator(`input[name="audit"][value="${summary.runs.indexOf(other)}"]`).check();
  await settled(page);
  assert.ok((await page.locator("#run h2").innerText()).includes(`${other.skew_ns / 1e6}\u00a0ms`));
  const edges = await readTable(body(), "Edges, the worst first"), want = answer("check", "--json", join(folder, other.folder, "otlp"));
  assert.deepEqual(edges.map((row) => row.join()), want.edges.map((e) => [e.from, e.to, e.hops, e.violations, e.worst_ns, e.slack_p50_ns, e.margin_ns, e.margin_1pct_ns].join()));
});

await test("names for those who do not see it", async () => {
  const bare = await page.evaluate(() => {
    const out = [];
    document.querySelectorAll("svg:not([aria-hidden]), canvas").forEach((n) => { if (!n.getAttribute("aria-label") && !n.closest("[aria-hidden]")) out.push(n.outerHTML.slice(0, 80)); });
    document.querySelectorAll("input, button").forEach((n) => { if (!n.getAttribute("aria-label") && !n.textContent.trim() && !(n.labels && n.labels.length)) out.push(n.outerHTML.slice(0, 80)); });
    document.querySelectorAll("table").forEach((n) => { if (!n.caption || n.querySelectorAll("th[scope=col]").length !== n.rows[0].cells.length) out.push(n.outerHTML.slice(0, 80)); });
    const levels = [...document.querySelectorAll("h1, h2, h3")].map((n) => Number(n.tagName[1]));
    if (levels[0] !== 1 || levels.some((l, k) => k && l > levels[k - 1] + 1)) out.push(`headings ${levels}`);
    const ids = [...document.querySelectorAll("[id]")].map((n) => n.id);
    if (new Set(ids).size !== ids.length) out.push("an id stands twice");
    return out;
  });
  assert.deepEqual(bare, []);
});

await test("axe-core finds nothing to mend", async () => {
  if (!existsSync(process.env.AXE)) return "no axe-core: tools/parts/browser.sh fetches it";
  const source = readFileSync(process.env.AXE, "utf8");
  for (const scheme of ["light", "dark"]) {
    const view = await open(browser, file, { scheme });
    await view.evaluate(() => document.querySelectorAll("details").forEach((d) => { d.open = true; }));
    await view.evaluate(source);
    const found = await view.evaluate(async () => (await window.axe.run(document, { resultTypes: ["violations"] })).violations
      .map((v) => `${v.id} (${v.impact}): ${v.help}: ${v.nodes.slice(0, 4).map((n) => `${n.html.slice(0, 160)} ${n.failureSummary.split("\n")[1]}`).join(" | ")}`));
    assert.deepEqual(found, [], scheme);
    await view.context().close();
  }
});

await test("the figures at the top are those of summary.json", async () => {
  const runs = summary.runs.filter((r) => !r.null_run && r.skew_ns >= 0).sort((a, b) => a.skew_ns - b.skew_ns), percent = (r) => (100 * r).toFixed(1);
  const tiles = Object.fromEntries((await page.locator("main > .tiles .tile").allInnerTexts()).map((text) => { const [what, value, more] = text.split("\n"); return [what, `${value} ${more}`.replaceAll("\u00a0", " ")]; }));
  const first = runs.findIndex((r) => r.negative_spans > 0);
  assert.ok(tiles["no negative span up to"].startsWith(`${runs[first - 1].skew_ns / 1e6} ms`), JSON.stringify(tiles));
  assert.ok(tiles["negative at 5\u00a0ms"].startsWith(`${percent(runs.find((r) => r.skew_ns === 5e6).negative_rate)} %`), JSON.stringify(tiles));
  const predicted = summary.runs.filter((r) => r.skew_ns !== 0 && r.predicted_rate !== null), met = predicted.filter((r) => r.negative_rate_lo <= r.predicted_rate_hi && r.predicted_rate_lo <= r.negative_rate_hi);
  assert.ok(tiles["predicted by hop delays"].startsWith(`${met.length} of ${predicted.length} `), JSON.stringify(tiles));
  const all = summary.throughput_all_skews;
  assert.ok(tiles["throughput, skew on / off"].startsWith(`${all.ratio.toFixed(3)} 95 %: ${all.ratio_lo.toFixed(3)}\u2013${all.ratio_hi.toFixed(3)}`), JSON.stringify(tiles));
  const compared = summary.runs.filter((r) => r.outputs_match !== null);
  assert.ok(tiles.outputs.startsWith(compared.every((r) => r.outputs_match) ? `identical in all of ${compared.length} runs` : "different"), JSON.stringify(tiles));
});

await test("what somebody else sent to the nodes is said", async () => {
  const name = join(folder, "summary.json"), kept = readFileSync(name, "utf8");
  writeFileSync(name, kept.replace(/"foreign_messages": \d+/, '"foreign_messages": 1234'));
  run("report", folder, "-o", join(home, "foreign.html"));
  writeFileSync(name, kept);
  const view = await open(browser, join(home, "foreign.html"));
  assert.ok((await view.locator("main").innerText()).includes("1,234 messages of somebody else's"));
  await view.context().close();
});

/* Words of a chart that lie on others of it. */
const crossingWords = (view) => view.evaluate(() => {
  const out = [];
  for (const svg of document.querySelectorAll(".plot svg, .clock-plot svg, .axis-row svg")) {
    const boxes = [...svg.querySelectorAll("text")].filter((t) => t.textContent).map((t) => [t.getBoundingClientRect(), t.textContent]);
    boxes.forEach(([a, s], i) => boxes.slice(i + 1).forEach(([b, t]) => {
      if (Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1 && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 4) out.push(`${s} | ${t}`);
    }));
  }
  return out;
});

await test("light, dark, narrow, wide and on paper: nothing overflows", async () => {
  for (const width of [360, 800, 1440])
    for (const scheme of ["light", "dark"]) {
      const view = await open(browser, file, { width, scheme });
      const sizes = await view.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth, getComputedStyle(document.body).backgroundColor]);
      assert.ok(sizes[0] <= sizes[1], `${width} ${scheme}: ${sizes}`);
      const dark = sizes[2].match(/\d+/g).map(Number)[0] < 128;
      assert.equal(dark, scheme === "dark");
      const crossing = await crossingWords(view);
      assert.deepEqual(crossing, [], `labels that overlap at ${width}`);
      await view.emulateMedia({ media: "print" });
      assert.ok(!(await view.locator("#nav").isVisible()));
      assert.deepEqual(view.problems, []);
      await view.context().close();
    }
  await page.getByRole("button", { name: /^Colours/ }).click();
  await page.getByRole("button", { name: /^Colours/ }).click();
  assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), "dark");
});

await test("nothing leaves the page, nothing is said on the console", async () => {
  assert.deepEqual(page.problems, []);
  const tried = await page.evaluate(async () => {
    const broken = [];
    document.addEventListener("securitypolicyviolation", (event) => broken.push(event.effectiveDirective));
    await fetch("http://127.0.0.1:9/").catch(() => {});
    const script = document.createElement("script");
    script.textContent = "window.stolen = 1";
    document.body.append(script);
    await new Promise((resolve) => setTimeout(resolve, 50));
    return [broken.sort(), window.stolen];
  });
  assert.equal(tried[1], undefined);
  assert.ok(tried[0].includes("connect-src") && tried[0].some((d) => d.startsWith("script-src")), JSON.stringify(tried));
});

await test("hostile names stay text", async () => {
  const names = ["<script>window.pwned=1</script>", "</script><img src=x onerror='window.pwned=2'>", "\u202egnp.exe", "a\u0000b", "\u2028", "__proto__", "constructor", "${7*7}", "n".repeat(1000000)];
  const span = (k, parent, start, name) => ({ traceId: "ab".repeat(16), spanId: String(k).padStart(16, "0"), parentSpanId: parent ? String(parent).padStart(16, "0") : "", name, kind: k % 2 ? 3 : 2,
    startTimeUnixNano: String(1700000000000000000n + BigInt(start)), endTimeUnixNano: String(1700000000000000000n + BigInt(start + 3000000)), attributes: [{ key: "k", value: { stringValue: "y".repeat(1000000) } }] });
  const resources = names.map((name, k) => ({ resource: { attributes: [{ key: "host.name", value: { stringValue: name.slice(0, 5000) } }] }, scopeSpans: [{ spans: [span(k + 1, k, k % 2 ? -500000 * k : 900000 * k, name)] }] }));
  writeFileSync(join(home, "hostile.json"), JSON.stringify({ resourceSpans: resources }));
  run("report", join(home, "hostile.json"), "-o", join(home, "hostile.html"), "--title", "</title><script>window.pwned=3</script>");
  const view = await open(browser, join(home, "hostile.html"));
  await view.locator('input[value="spans"]').check();
  await view.evaluate(() => document.querySelectorAll("details").forEach((d) => { d.open = true; }));
  assert.equal(await view.evaluate(() => window.pwned), undefined);
  assert.equal(await view.locator("main script, main img").count(), 0);
  assert.ok((await view.locator("main").innerText()).includes(names[0]));
  assert.equal(await view.title(), "</title><script>window.pwned=3</script>");
  assert.ok(await view.evaluate(() => document.documentElement.scrollWidth <= document.documentElement.clientWidth), "a name that breaks the page's width");
  assert.deepEqual(view.problems, []);
});

/* Numbers below n, always the same ones from a seed. */
function randomFrom(seed) {
  let state = seed;
  return (n) => { state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff; return (state >>> 8) % n; };
}

/* What is shown is what the commands answer, whatever the trace: random clocks, calls, errors, missing and hostile stamps. */
await test("every figure of a page is that of --json, over random traces", async () => {
  const seed = Number(process.env.SEED) || Math.floor(Math.random() * 2 ** 31);
  console.log(`# seed ${seed}`);
  const random = randomFrom(seed), view = await browser.newPage({ viewport: { width: 900, height: 900 } });
  for (let round = 0; round < (Number(process.env.ROUNDS) || 5); round++) {
    const source = join(home, `random-${round}.json`), out = join(home, `random-${round}.html`);
    writeFileSync(source, JSON.stringify(randomTrace(random)));
    const wanted = { check: answer("check", "--json", source), clocks: answer("clocks", "--json", source), fix: answer("fix", "--json", source, "-o", join(home, "fixed.json")) };
    run("report", source, "-o", out);
    await view.goto(`file://${out}`);
    await settled(view);
    await compareFigures(view.locator("body"), wanted);
  }
  await view.close();
});

/* Calls between up to seven clocks, each of them off by a little; spans lack stamps, end before they start, have no parent. */
function randomTrace(random) {
  const clocks = 1 + random(7), offsets = Array.from({ length: clocks }, () => (random(3) ? 0 : random(8000000) - 4000000)), hosts = offsets.map(() => []);
  let id = 1;
  for (let trace = 1; trace <= 1 + random(40); trace++) {
    const above = [];
    for (let n = 1 + random(12); n > 0; n--) {
      const clock = random(clocks), parent = above.length && random(8) ? above[random(above.length)] : null;
      const start = (parent ? parent.at + random(3000000) : trace * 50000000) + random(1000), span = { at: start, id: (id++).toString(16).padStart(16, "0") };
      const stamps = { startTimeUnixNano: String(1700000000000000000n + BigInt(start + offsets[clock])), endTimeUnixNano: String(1700000000000000000n + BigInt(start + offsets[clock] + random(9000000) - (random(20) ? 0 : 9000000))) };
      if (!random(25)) delete stamps.endTimeUnixNano;
      above.push(span);
      hosts[clock].push({ traceId: trace.toString(16).padStart(32, "0"), spanId: span.id, parentSpanId: parent ? parent.id : "", name: `op ${random(9)}`, kind: 1 + random(5), ...stamps });
    }
  }
  return { resourceSpans: hosts.map((spans, k) => ({ resource: { attributes: [{ key: "host.name", value: { stringValue: `h${k}` } }] }, scopeSpans: [{ spans }] })) };
}

/* Tables cell by cell, tiles and the lead figure by figure. */
async function compareFigures(place, { check, clocks, fix }) {
  const commas = (n) => n.toLocaleString("en-GB"), rows = await readTable(place, "Offsets are local minus reference");
  assert.deepEqual(rows.map((r) => r.join()).sort(), clocks.clocks.map((c) => [c.clock, c.verdict, c.offset_ns, c.lo_ns, c.hi_ns, c.drift_ppb, c.hops_in, c.hops_out, c.steps.length].map(text).join()).sort());
  if (check.edges.length) {
    const edges = await readTable(place, "Edges, the worst first");
    assert.deepEqual(edges, check.edges.map((e) => [e.from, e.to, e.hops, e.violations, e.worst_ns, e.slack_p50_ns, e.margin_ns, e.margin_1pct_ns].map(text)));
  } else assert.equal(await place.locator("#graph").count(), 0, "a section with nothing in it");
  const tiles = (await place.locator("#audit .tile .value").allInnerTexts());
  assert.deepEqual([tiles[0], tiles[1], tiles[2]], [commas(check.violations.total), commas(fix.left.total), `${commas(clocks.clocks.filter((c) => c.verdict === "proven").length)} of ${commas(clocks.clocks.length)}`]);
  const lead = (await place.locator("#audit .lead").innerText()).replaceAll("\u00a0", " "), v = check.violations;
  const kinds = [v.hard, v.soft, v.same_clock, v.negative_duration, v.token_order].filter((n) => n);
  for (const n of [check.input.spans, check.input.traces, check.input.clocks, ...kinds]) assert.ok(lead.includes(commas(n)), `${n} in: ${lead}`);
  for (const hole of ["NaN", "undefined", "null", "Infinity"]) assert.ok(!(await place.innerText()).includes(hole), hole);
}

await test("many clocks on a phone: every name can be read", async () => {
  writeFileSync(join(home, "mesh.yaml"), "topology: {shape: mesh, width: 25, fan: 3, depth: 2}\n");
  run("sim", join(home, "mesh.yaml"), "--sweep", "5ms", "--duration", "3s", "--seed", "2", "--quick", "-o", join(home, "mesh"));
  for (const width of [375, 768]) {
    const view = await open(browser, join(home, "mesh/report.html"), { width });
    const found = await view.evaluate(() => {
      const svg = document.querySelector("#graph .plot svg"), frame = svg.getBoundingClientRect(), boxes = [...svg.querySelectorAll(".node text")].map((t) => [t.getBoundingClientRect(), t.textContent]);
      const outside = boxes.filter(([box]) => box.right > frame.right + 1 || box.left < frame.left - 1).map(([, words]) => words), crossing = [];
      boxes.forEach(([a, s], i) => boxes.slice(i + 1).forEach(([b, t]) => {
        if (Math.min(a.right, b.right) - Math.max(a.left, b.left) > 2 && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 5) crossing.push(`${s} | ${t}`);
      }));
      return { names: boxes.length, outside, crossing };
    });
    assert.ok(found.names >= 14, JSON.stringify(found));
    assert.deepEqual([found.outside, found.crossing], [[], []], `at ${width}`);
    await view.locator("#graph .edge.violated").first().press("Enter");
    await view.locator(".filter button").waitFor();
    assert.deepEqual(view.problems, []);
    await view.context().close();
  }
});

/* Clocks with names short and long, and a few hops along edges drawn by chance, some of them violated. */
function randomGraph(random, n) {
  const words = ["gw", "search", "frontend", "reservation", "ip-10-0-14-221.eu-central-1.compute.internal", "\u6771\u4eac", "node"];
  const hosts = Array.from({ length: n }, (_, k) => ({ name: `${words[random(words.length)]}-${random(2) ? `${(random(1 << 30)).toString(36)}-${k}` : k}`, ahead: random(2) ? 0 : random(6000000), spans: [] }));
  let id = 1;
  const span = (host, at, parent) => {
    const own = (id++).toString(16).padStart(16, "0"), start = 1700000000000000000n + BigInt(at + hosts[host].ahead);
    hosts[host].spans.push({ traceId: (parent || own).padStart(32, "0"), spanId: own, parentSpanId: parent || "", name: "op", kind: parent ? 2 : 3, startTimeUnixNano: String(start), endTimeUnixNano: String(start + 4000000n) });
    return own;
  };
  for (let edge = n - 1 + random(2 * n); edge >= 0; edge--) {
    const to = edge < n - 1 ? edge + 1 : random(n), from = edge < n - 1 ? random(edge + 1) : random(n);
    for (let hop = 2 + random(8); hop > 0 && from !== to; hop--) span(to, id * 10000000 + 300000 + random(2000000), span(from, id * 10000000, null));
  }
  return { resourceSpans: hosts.map(({ name, spans }) => ({ resource: { attributes: [{ key: "host.name", value: { stringValue: name } }] }, scopeSpans: [{ spans }] })) };
}

await test("words of the causal graph lie on no others, at any width", async () => {
  const seed = Number(process.env.SEED) || Math.floor(Math.random() * 2 ** 31), random = randomFrom(seed);
  console.log(`# seed ${seed}`);
  const view = await browser.newPage({ viewport: { width: 1440, height: 900 } });
  for (let round = 0; round < (Number(process.env.ROUNDS) || 4); round++) {
    const n = round === 0 ? 6 : round === 1 ? 12 : 2 + random(11), source = join(home, "graph.json");
    writeFileSync(source, JSON.stringify(randomGraph(random, n)));
    run("report", source, "-o", join(home, "graph.html"));
    await view.setViewportSize({ width: 1440, height: 900 });
    await view.goto(`file://${join(home, "graph.html")}`);
    await settled(view);
    for (const width of [1440, 768, 390]) {
      await view.setViewportSize({ width, height: 900 });
      await view.waitForFunction(() => { const plot = document.querySelector("#graph .plot"); return Number(plot.firstChild.getAttribute("width")) === Math.floor(plot.clientWidth); });
      const found = await view.evaluate(() => {
        const svg = document.querySelector("#graph .plot svg"), frame = svg.getBoundingClientRect(), problems = [];
        const boxes = [...svg.querySelectorAll(".node circle, .node text, .edge-label text")].map((n) => [n.getBoundingClientRect(), n.textContent || "a clock", n.closest(".node")]);
        boxes.forEach(([a, s, one], i) => {
          if (a.left < frame.left - 1 || a.right > frame.right + 1 || a.top < frame.top - 1 || a.bottom > frame.bottom + 1) problems.push(`${s} is outside`);
          boxes.slice(i + 1).forEach(([b, t, other]) => {
            if (!(one && one === other) && Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1 && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1) problems.push(`${s} on ${t}`);
          });
        });
        return { problems, clocks: svg.querySelectorAll(".node").length, names: svg.querySelectorAll(".node text").length };
      });
      found.problems.push(...await crossingWords(view));
      assert.deepEqual(found.problems, [], `${n} clocks at ${width}, round ${round}`);
      assert.ok(found.clocks >= 1 && found.names >= found.clocks, `${n} clocks at ${width}, round ${round}: ${JSON.stringify(found)}`);
    }
  }
  await view.close();
});

for (const [n, perTrace, most] of [[5000, 50, 200], [100000, 50, 1000], [100000, 100000, 1000]])
  await test(`${n} spans in traces of ${perTrace}: it can be used soon`, async () => {
    writeLarge(join(home, "large.json"), n, perTrace);
    run("report", join(home, "large.json"), "-o", join(home, "large.html"), "--spans", "0");
    const times = [];
    for (let k = 0; k < 2; k++) times.push(await timeToUse(browser, join(home, "large.html")));
    const best = (key) => Math.min(...times.map((t) => t[key]));
    console.log(`# it can be used after ${times.map((t) => Math.round(t.cpu)).join(", ")} ms of its thread (at most ${most}), ${times.map((t) => Math.round(t.wall)).join(", ")} ms on the wall; ` +
      `the longest task from then on takes ${Math.round(best("longest"))} ms`);
    assert.ok(best("cpu") > 1 && best("cpu") <= most, JSON.stringify(times));
    const view = await open(browser, join(home, "large.html"));
    const started = Date.now();
    await view.locator(".sheet canvas").press("+");
    await view.locator(".sheet canvas").press("ArrowRight");
    console.log(`# zoom and move: ${Date.now() - started} ms`);
    assert.deepEqual(view.problems, []);
    await view.context().close();
  });

await done(browser);
