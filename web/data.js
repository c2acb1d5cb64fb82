/* The data of the page: see README.md for its shape. */

performance.mark("start");
const page = JSON.parse(byId("data-0").textContent);

page.audits.forEach((audit, number) => {
  audit.number = number;
  audit.lab = audit.lab === null ? null : page.labs[audit.lab];
  audit.runRow = audit.lab === null ? null : audit.lab.summary.runs[audit.run];
});

/* Read an audit, once; false: its element has not come yet. */
function readAudit(audit) {
  const place = byId(`audit-${audit.number}`);
  if (audit.check) return true;
  if (!place) return false;
  const { check, advice, clocks, notes, truth, health, fix, traces } = JSON.parse(place.textContent);
  Object.assign(audit, { check, advice, clocks, notes, truth, health, fix, traces });
  audit.healthRows = audit.runRow ? audit.runRow.causality_health : audit.health;
  audit.clockRows = audit.clocks.clocks.map((clock, row) => ({ ...clock, ...audit.notes.clocks[row], row }));
  for (const clock of audit.clockRows) clock.label = clock.reference && clock.verdict === "ok" ? "reference" : clock.verdict;
  audit.truthOf = new Map((audit.truth || []).map((row) => [row.clock, row.points]));
  return true;
}

/* Base64 of its traces; null: it has not come yet. */
function tracesText(audit) {
  const place = byId(`traces-${audit.number}`);
  return place && document.readyState !== "loading" ? place.textContent : null;
}

const runName = (run) => `${skewName(run.skew_ns)}${run.true_clock ? ", true clocks" : ""}${run.null_run ? ", saturated" : ""}`;
const transportNames = { zmq: "ZeroMQ", kafka: "Kafka", aeron: "Aeron", virtual: "virtual time" };
const transportName = (transport) => transportNames[transport] || transport;
const edgeName = (edge) => `${edge.from} \u2192 ${edge.to}`;
