/* What the tests of pages share: TAP, a browser that reports all it should not do, looking at pixels. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const { chromium } = await import(process.env.PLAYWRIGHT);

export const truespan = resolve(process.argv[2]);
export const home = mkdtempSync(join(tmpdir(), "browser-test-"));

/* Run truespan; 0 and 1 are answers, 2 is a failure. */
export function run(...args) {
  try {
    return execFileSync(truespan, args, { cwd: home, maxBuffer: 1 << 30, stdio: ["ignore", "pipe", "pipe"] }).toString();
  } catch (problem) {
    if (problem.status === 1) return problem.stdout.toString();
    throw new Error(`truespan ${args.join(" ")}: ${problem.stderr || problem.message}`);
  }
}
export const answer = (...args) => JSON.parse(run(...args));

let count = 0, failed = 0;
export async function test(name, body) {
  if (process.env.ONLY && !name.includes(process.env.ONLY)) return;
  count++;
  try {
    const skip = await body();
    console.log(`ok ${count} - ${name}${skip ? ` # SKIP ${skip}` : ""}`);
  } catch (problem) {
    failed++;
    for (const line of String(problem.stack).slice(0, 3000).split("\n")) console.log(`# ${line}`);
    console.log(`not ok ${count} - ${name}`);
  }
}
export async function done(browser) {
  await browser.close();
  rmSync(home, { recursive: true, force: true });
  console.log(`1..${count}`);
  process.exitCode = failed ? 1 : 0;
}

export const launch = () => chromium.launch({ executablePath: process.env.CHROMIUM, args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"] });

/* Open a page as a file; problems collects console errors, exceptions, dialogs, and requests that leave it. */
export async function open(browser, file, options = {}) {
  const context = await browser.newContext({ viewport: { width: options.width || 1200, height: 900 }, colorScheme: options.scheme || "light" });
  const page = await context.newPage();
  page.problems = [];
  page.on("console", (message) => { if (["error", "warning"].includes(message.type())) page.problems.push(`console: ${message.text()}`); });
  page.on("pageerror", (problem) => page.problems.push(`exception: ${problem.stack}`));
  page.on("dialog", (dialog) => { page.problems.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
  page.on("request", (request) => { if (request.url() !== `file://${file}${options.hash || ""}` && request.url() !== `file://${file}` && !request.url().startsWith("data:")) page.problems.push(`request: ${request.url()}`); });
  await page.goto(`file://${file}${options.hash || ""}`);
  await settled(page);
  return page;
}

/* All that waits until the page answers has been done. */
export const settled = (page) => page.waitForFunction(() => document.documentElement.dataset.complete === "1");

/* What the page's own thread took until it could be used, in ms of the processor, which a busy machine does not stretch
 * as it stretches the clock on the wall; that, too; and the longest task from then on. */
export async function timeToUse(browser, file) {
  const context = await browser.newContext({ viewport: { width: 1200, height: 900 } }), page = await context.newPage();
  await browser.startTracing(page, { categories: ["toplevel", "blink.user_timing"] });
  await page.goto(`file://${file}`);
  await settled(page);
  const { traceEvents } = JSON.parse(await browser.stopTracing());
  await context.close();
  const mark = traceEvents.find((e) => e.name === "interactive" && e.cat.includes("blink.user_timing"));
  const begun = traceEvents.filter((e) => e.name === "navigationStart" && e.pid === mark.pid).pop();
  const tasks = traceEvents.filter((e) => e.name === "ThreadControllerImpl::RunTask" && e.pid === mark.pid && e.tid === mark.tid && e.ts >= begun.ts);
  const before = tasks.filter((e) => e.ts <= mark.ts), after = tasks.filter((e) => e.ts > mark.ts), cpu = (e) => (e.tdur || 0) / 1000;
  return { cpu: before.reduce((sum, e) => sum + cpu(e), 0), wall: (mark.ts - begun.ts) / 1000, longest: Math.max(0, ...after.map(cpu)) };
}

/* Colours that a screenshot of a place shows, and how many of its pixels are not of the commonest: decoded by the
 * browser itself, on a page of its own. */
export async function look(browser, locator) {
  const png = (await locator.screenshot()).toString("base64");
  const context = await browser.newContext(), page = await context.newPage();
  const seen = await page.evaluate(async (base64) => {
    const image = new Image();
    image.src = "data:image/png;base64," + base64;
    await image.decode();
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [image.width, image.height];
    const c = canvas.getContext("2d");
    c.drawImage(image, 0, 0);
    const pixels = new Uint32Array(c.getImageData(0, 0, image.width, image.height).data.buffer), counts = new Map();
    for (const pixel of pixels) counts.set(pixel, (counts.get(pixel) || 0) + 1);
    const most = Math.max(...counts.values());
    return { colours: counts.size, drawn: 1 - most / pixels.length, width: image.width, height: image.height };
  }, png);
  await context.close();
  return seen;
}

export { assert, join };
