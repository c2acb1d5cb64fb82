/* A trace file of any size for tests and times of the page. */
import { writeFileSync } from "node:fs";

/* n spans in traces of perTrace, two clocks, one 2 ms ahead. */
export function writeLarge(path, n, perTrace) {
  const hosts = [[], []];
  for (let k = 0; k < n; k++) {
    const trace = Math.floor(k / perTrace), at = BigInt(trace) * 2000000n + BigInt((k % perTrace) * 30000), host = k % 2;
    hosts[host].push({ traceId: (trace + 1).toString(16).padStart(32, "0"), spanId: (k + 1).toString(16).padStart(16, "0"), parentSpanId: k % perTrace ? k.toString(16).padStart(16, "0") : "", name: `op ${k % 13}`, kind: host ? 2 : 3,
      startTimeUnixNano: String(1700000000000000000n + at + (host ? 2000000n : 0n)), endTimeUnixNano: String(1700000000000000000n + at + 25000n + (host ? 2000000n : 0n)) });
  }
  writeFileSync(path, JSON.stringify({ resourceSpans: hosts.map((spans, k) => ({ resource: { attributes: [{ key: "host.name", value: { stringValue: `h${k}` } }] }, scopeSpans: [{ spans }] })) }));
}
