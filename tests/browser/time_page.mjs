/* How soon a page can be used: a cold browser each time, as when a report is opened from a file manager. Prints the
 * least, the median and the 95th percentile in ms of what the wall clock says, from the start of the navigation to the
 * page's first line and until it answers: drawn as far as it is in view. */
import { home, join, launch, run } from "./browser.mjs";
import { writeLarge } from "./large.mjs";
import { rmSync } from "node:fs";

const rounds = Number(process.argv[3]) || 20, sizes = [[5000, 50], [100000, 50], [100000, 100000]], pages = [];
for (const [n, perTrace] of sizes) {
  const name = `${n} spans in traces of ${perTrace}`, source = join(home, "large.json"), page = join(home, `large-${n}-${perTrace}.html`);
  writeLarge(source, n, perTrace);
  run("report", source, "-o", page, "--spans", "0");
  pages.push({ name, page, start: [], interactive: [] });
}
for (let round = 0; round < rounds; round++)
  for (const one of pages) {
    const browser = await launch(), page = await (await browser.newContext({ viewport: { width: 1200, height: 900 } })).newPage();
    await page.goto(`file://${one.page}`);
    await page.waitForFunction(() => performance.getEntriesByName("interactive").length);
    const marks = await page.evaluate(() => Object.fromEntries(performance.getEntriesByType("mark").map((mark) => [mark.name, mark.startTime])));
    one.start.push(marks.start);
    one.interactive.push(marks.interactive);
    await browser.close();
  }
const figures = (times) => [0, 0.5, 0.95].map((part) => Math.round(times.sort((a, b) => a - b)[Math.min(times.length - 1, Math.floor(part * times.length))])).join(" / ");
console.log(`Least / median / 95th percentile of ${rounds} cold browsers, ms:`);
for (const { name, start, interactive } of pages) console.log(`${name}: first line ${figures(start)}, it answers ${figures(interactive)}`);
rmSync(home, { recursive: true, force: true });
