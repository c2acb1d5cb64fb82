/* The data of the page: see README.md for its shape. */

performance.mark("start");
const page = JSON.parse(byId("data").textContent);

for (const audit of page.audits) {
  audit.lab = audit.lab === null ? null : page.labs[audit.lab];
  audit.runRow = audit.lab === null ? null : audit.lab.summary.runs[audit.run];
  audit.healthRows = audit.runRow ? audit.runRow.causality_health : audit.health;
  audit.clockRows = audit.clocks.clocks.map((clock, row) => ({ ...clock, ...audit.notes.clocks[row], row }));
  for (const clock of audit.clockRows) clock.label = clock.reference && clock.verdict === "ok" ? "reference" : clock.verdict;
  audit.truthOf = new Map((audit.truth || []).map((row) => [row.clock, row.points]));
}

const runName = (run) => `${skewName(run.skew_ns)}${run.true_clock ? ", true clocks" : ""}${run.null_run ? ", saturated" : ""}`;
const transportNames = { zmq: "ZeroMQ", kafka: "Kafka", aeron: "Aeron", virtual: "virtual time" };
const transportName = (transport) => transportNames[transport] || transport;
const edgeName = (edge) => `${edge.from} \u2192 ${edge.to}`;
