/* The pictures of docs/: pictures.mjs TRUESPAN ROOT. Each is a part of a page that truespan wrote about a real trace or
 * a run in virtual time, as Chromium shows it. */
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { deflateSync, inflateSync } from "node:zlib";
import { home, join, launch, open, run } from "./browser.mjs";

const root = process.argv[3], out = join(root, "docs/img"), browser = await launch();
mkdirSync(out, { recursive: true });

/* The same PNG, its pixels packed again as well as zlib can. */
function repack(png) {
  const kept = [png.subarray(0, 8)], data = [];
  for (let at = 8; at < png.length;) {
    const length = png.readUInt32BE(at), kind = png.toString("latin1", at + 4, at + 8), chunk = png.subarray(at, at + 12 + length);
    if (kind === "IDAT") data.push(chunk.subarray(8, 8 + length));
    else if (kind === "IEND") {
      const body = deflateSync(inflateSync(Buffer.concat(data)), { level: 9, memLevel: 9 }), whole = Buffer.alloc(12 + body.length);
      whole.writeUInt32BE(body.length, 0);
      whole.write("IDAT", 4, "latin1");
      body.copy(whole, 8);
      whole.writeInt32BE(crc(whole.subarray(4, 8 + body.length)), 8 + body.length);
      kept.push(whole, chunk);
    } else kept.push(chunk);
    at += 12 + length;
  }
  return Buffer.concat(kept);
}
function crc(bytes) {
  let value = -1;
  for (const byte of bytes) {
    value ^= byte;
    for (let k = 0; k < 8; k++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  }
  return ~value;
}

async function shoot(page, css, name) {
  const png = repack(await page.locator(css).first().screenshot());
  writeFileSync(join(out, name), png);
  console.log(`docs/img/${name}: ${Math.round(png.length / 1024)} KiB`);
}

const hotel = join(root, "tests/data/traces/hotel-12.jaeger.json");
if (!existsSync(hotel)) throw new Error(`no ${hotel}`);
run("report", hotel, "--clock-key", "ip/24", "-o", join(home, "hotel.html"), "--title", "hotel.json");
const trace = await open(browser, join(home, "hotel.html"), { width: 1000 });
await shoot(trace, "#traces .drawing", "tutorial-trace.png");
await shoot(trace, "#clocks .clocks", "tutorial-clocks.png");
await shoot(trace, "#graph figure .plot", "tutorial-graph.png");

run("sim", "--sweep", "0ms,1ms,2ms,3ms,4ms,5ms,6ms,8ms", "--duration", "20s", "--seed", "1", "-o", join(home, "run"));
const sweep = await open(browser, join(home, "run/report.html"), { width: 1000 });
await shoot(sweep, "#sweep figure", "report-sweep.png");
await shoot(sweep, "#traces .drawing", "report-trace.png");

/* A clock that drifts and steps; long enough for both to be seen. */
run("sim", "--sweep", "6ms", "--drift", "-15", "--step", "9ms@200s", "--duration", "5m", "--rate", "4", "--quick", "--seed", "1", "-o", join(home, "long"));
const long = await open(browser, join(home, "long/report.html"), { width: 1000 });
await long.evaluate(() => document.querySelectorAll("#clocks .clocks > :nth-child(n + 5):not(.axis-row)").forEach((row) => row.remove()));
await shoot(long, "#clocks .clocks", "report-clocks.png");
await shoot(long, "#time figure", "report-time.png");
await browser.close();
