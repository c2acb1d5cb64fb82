/* The tracks of `truespan report --perfetto` in what they are made for: Perfetto's own page with its trace processor, and
 * the trace viewer behind chrome://tracing. Both must import all of it, complain of nothing, and count what was written. */
import { createServer } from "node:http";
import { existsSync, readFileSync } from "node:fs";
import { extname } from "node:path";
import { assert, done, home, join, launch, look, run, test } from "./browser.mjs";

const root = process.env.PERFETTO, kinds = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".wasm": "application/wasm", ".json": "application/json" };
if (!existsSync(join(root, "stamp"))) {
  console.log("1..0 # SKIP no Perfetto: tools/parts/perfetto.sh fetches it");
  process.exit(0);
}

const server = createServer((request, response) => {
  const path = join(root, new URL(request.url, "http://localhost").pathname.replace(/\/$/, "/index.html"));
  const found = path.startsWith(root) && existsSync(path);
  response.writeHead(found ? 200 : 404, { "content-type": kinds[extname(path)] || "application/octet-stream" });
  response.end(found ? readFileSync(path) : "");
});
await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
const address = `http://127.0.0.1:${server.address().port}`, browser = await launch();

/* A point of a run with skew, and a real trace: what was written of each, counted by the file's own words. */
run("sim", "--sweep", "5ms", "--duration", "2s", "--quick", "-o", join(home, "run"));
const inputs = [[join(home, "run/virtual-5ms"), []], [process.argv[3], ["--clock-key", "ip/24"]]];
const files = inputs.map(([input, options], k) => {
  const file = join(home, `tracks-${k}.json`);
  run("report", input, ...options, "--perfetto", file);
  return { file, ...countTracks(JSON.parse(readFileSync(file, "utf8"))) };
});

function countTracks({ traceEvents }) {
  const of = (phase) => traceEvents.filter((e) => e.ph === phase), names = new Map(), slices = {}, violations = { 1: 0, 2: 0 };
  for (const e of of("M")) names.set(`${e.name} ${e.pid} ${e.name === "process_name" ? "" : e.tid}`, e.args.name);
  for (const e of of("X")) {
    const key = `${names.get(`process_name ${e.pid} `)} / ${names.get(`thread_name ${e.pid} ${e.tid}`)}`;
    slices[key] = (slices[key] || 0) + 1;
  }
  for (const e of of("s")) violations[e.pid] += e.cat === "violation";
  return { slices, total: of("X").length, flows: of("s").length, violations, length: of("X").reduce((sum, e) => sum + Math.round(e.dur * 1000), 0) };
}

/* Rows of an answer of the trace processor, inside Perfetto's page. */
const ask = (page, sql) => page.evaluate(async (query) => {
  const answer = await window.app.trace.engine.query(query), columns = answer.columns(), rows = [];
  for (const it = answer.iter({}); it.valid(); it.next())
    rows.push(columns.map((name) => (typeof it.get(name) === "bigint" ? Number(it.get(name)) : it.get(name))));
  return rows;
}, sql);

async function openPerfetto(file) {
  const page = await (await browser.newContext({ viewport: { width: 1400, height: 900 }, serviceWorkers: "block" })).newPage();
  await page.goto(`${address}/`);
  const input = page.locator("input[type=file]").first();
  await input.waitFor({ state: "attached" });
  await input.setInputFiles(file);
  await page.waitForFunction(() => window.app && window.app.trace && window.app.trace.engine, null, { timeout: 90000 });
  return page;
}

for (const want of files) {
  await test(`Perfetto's trace processor finds all ${want.total} spans and ${want.flows} hops`, async () => {
    const page = await openPerfetto(want.file);
    assert.deepEqual(await ask(page, "select name, value from stats where severity != 'info' and value > 0"), []);
    const tracks = await ask(page, `select p.name || ' / ' || t.name, count(*) from slice s join thread_track tt on s.track_id = tt.id
      join thread t using (utid) join process p using (upid) group by 1`);
    assert.deepEqual(Object.fromEntries(tracks), want.slices);
    assert.deepEqual(await ask(page, "select sum(dur) from slice"), [[want.length]]);
    assert.deepEqual(await ask(page, "select count(*) from thread t join process p using (upid) where t.tid = p.pid and p.pid > 0 and t.name is not null"), [[0]]);
    const arrows = await ask(page, `select p.name, count(*) from flow f join slice s on f.slice_out = s.id join slice r on f.slice_in = r.id
      join thread_track tt on s.track_id = tt.id join thread using (utid) join process p using (upid) where s.track_id != r.track_id group by 1 order by 1`);
    assert.equal(arrows.reduce((sum, [, n]) => sum + n, 0), want.flows, JSON.stringify(arrows));
    await page.context().close();
  });

  await test("the viewer of chrome://tracing imports the same without a warning", async () => {
    const page = await (await browser.newContext({ viewport: { width: 1400, height: 900 } })).newPage();
    await page.goto(`${address}/assets/catapult_trace_viewer.html`);
    await page.waitForFunction(() => typeof tr === "object" && tr.Model && tr.importer);
    const got = await page.evaluate((text) => {
      const model = new tr.Model(), slices = {};
      new tr.importer.Import(model).importTraces([text]);
      for (const process of Object.values(model.processes))
        for (const thread of Object.values(process.threads)) slices[`${process.name} / ${thread.name}`] = thread.sliceGroup.length;
      const backward = model.flowEvents.filter((flow) => !flow.startSlice || !flow.endSlice || flow.duration < 0).length;
      return { slices, flows: model.flowEvents.length, backward, warnings: model.importWarnings.map((w) => w.message) };
    }, readFileSync(want.file, "utf8"));
    assert.deepEqual(got, { slices: want.slices, flows: want.flows, backward: 0, warnings: [] });
    await page.context().close();
  });
}

await test("a violated hop is an arrow of its kind as stamped, and none once corrected", async () => {
  for (const want of files) assert.ok(want.violations[1] > 0 && want.violations[2] === 0, JSON.stringify(want.violations));
});

await test("Perfetto draws the tracks", async () => {
  const page = await openPerfetto(files[0].file);
  await page.keyboard.press("Escape");
  const seen = await look(browser, page.locator("main, .pf-viewer-page, body").first());
  assert.ok(seen.colours > 50, JSON.stringify(seen));
});

server.close();
await done(browser);
