/* The causal graph: who sends to whom, how much skew each edge takes, and where it took more. */

const graphMost = 40; /* nodes: more than that is a hairball, and the table has them all */

function graphOf(audit) {
  const weight = new Map();
  const note = (name, n) => weight.set(name, (weight.get(name) || 0) + n);
  for (const edge of audit.check.edges) {
    note(edge.from, edge.hops + 1e9 * (edge.violations > 0));
    note(edge.to, edge.hops + 1e9 * (edge.violations > 0));
  }
  const kept = new Set([...weight].sort((a, b) => b[1] - a[1]).slice(0, graphMost).map(([name]) => name));
  const rows = new Map(audit.clockRows.map((clock) => [clock.clock, clock]));
  const nodes = [...kept].map((name) => ({ name, clock: rows.get(name) })).filter((node) => node.clock);
  nodes.sort((a, b) => a.clock.row - b.clock.row);
  const at = new Map(nodes.map((node, k) => [node.name, k]));
  const edges = audit.check.edges.filter((e) => at.has(e.from) && at.has(e.to)).map((e) => ({ ...e, source: at.get(e.from), target: at.get(e.to) }));
  return { nodes, edges, left: weight.size - nodes.length };
}

/* Round a ring in the order in which messages flow: each next node is the one most sent to. */
function ringOrder(nodes, edges) {
  const order = [], seen = new Set();
  const starts = nodes.map((_, k) => k).sort((a, b) => nodes[a].clock.row - nodes[b].clock.row);
  for (const start of starts) {
    for (let at = start; at !== undefined && !seen.has(at);) {
      seen.add(at);
      order.push(at);
      at = edges.filter((e) => e.source === at && !seen.has(e.target)).sort((a, b) => b.hops - a.hops).map((e) => e.target)[0];
    }
  }
  return order;
}

function placeNodes(nodes, edges, width, height) {
  const marginX = width < 560 ? 62 : 130, marginY = 54, n = nodes.length;
  ringOrder(nodes, edges).forEach((k, place) => {
    const angle = -Math.PI + (2 * Math.PI * place) / n;
    nodes[k].x = width / 2 + (width / 2 - marginX) * Math.cos(angle);
    nodes[k].y = height / 2 + (height / 2 - marginY) * Math.sin(angle);
  });
  if (n <= 12) return;
  const links = edges.filter((e) => e.source !== e.target).map((e) => ({ source: e.source, target: e.target }));
  const force = d3.forceSimulation(nodes).stop().force("charge", d3.forceManyBody().strength(-900))
    .force("link", d3.forceLink(links).distance(110).strength(0.25)).force("x", d3.forceX(width / 2).strength(0.05))
    .force("y", d3.forceY(height / 2).strength(0.14)).force("room", d3.forceCollide(44));
  for (let k = 0; k < 260; k++) force.tick();
  const [x0, x1] = d3.extent(nodes, (v) => v.x), [y0, y1] = d3.extent(nodes, (v) => v.y);
  for (const node of nodes) {
    node.x = marginX + ((node.x - x0) / (x1 - x0 || 1)) * (width - 2 * marginX);
    node.y = marginY + ((node.y - y0) / (y1 - y0 || 1)) * (height - 2 * marginY);
  }
}

/* From rim to rim, bent to its right so that the way back does not lie on it. */
function edgePath(a, b, both) {
  const dx = b.x - a.x, dy = b.y - a.y, length = Math.hypot(dx, dy) || 1, bend = both ? 26 : Math.min(14, length / 12);
  const cx = (a.x + b.x) / 2 - (dy / length) * bend * 2, cy = (a.y + b.y) / 2 + (dx / length) * bend * 2, r = 15;
  const cut = (from, toX, toY) => {
    const l = Math.hypot(toX - from.x, toY - from.y) || 1;
    return [from.x + ((toX - from.x) / l) * r, from.y + ((toY - from.y) / l) * r];
  };
  const [x1, y1] = cut(a, cx, cy), [x2, y2] = cut(b, cx, cy), angle = Math.atan2(y2 - cy, x2 - cx);
  const head = [[0, 0], [-9, 4.5], [-9, -4.5]].map(([u, v]) => [x2 + u * Math.cos(angle) - v * Math.sin(angle), y2 + u * Math.sin(angle) + v * Math.cos(angle)]);
  return { d: `M${x1} ${y1}Q${cx} ${cy} ${x2 - 7 * Math.cos(angle)} ${y2 - 7 * Math.sin(angle)}`, head: head.map((p) => p.join(" ")).join("L"),
    mid: [(x1 + 2 * cx + x2) / 4, (y1 + 2 * cy + y2) / 4], side: [-dy / length, dx / length] };
}

function edgeText(edge) {
  return `${clip(edge.from, 60)} \u2192 ${clip(edge.to, 60)}\n${count(edge.violations)} of ${count(edge.hops)} hops violated` +
    (edge.violations ? `, the worst by ${duration(edge.worst_ns)}` : "") +
    `\nmedian delay as stamped ${signedDuration(edge.slack_p50_ns)}\n` +
    (edge.margin_ns < 0 ? `${duration(-edge.margin_ns)} beyond its margin` : `margin ${duration(edge.margin_ns)}: so much more skew until the first violation`);
}

function drawGraph(svg, width, audit, graph, onEdge) {
  const { nodes, edges } = graph, many = nodes.length > 12, height = many ? Math.min(760, Math.max(460, width * 0.62)) : nodes.length < 3 ? 190 : width < 560 ? 340 : 380;
  placeNodes(nodes, edges, width, height);
  const hops = d3.scaleSqrt([0, d3.max(edges, (e) => e.hops) || 1], [1.2, 5]);
  const pairs = new Set(edges.map((e) => `${e.source} ${e.target}`)), labels = [];
  for (const edge of edges.slice().sort((a, b) => a.violations - b.violations)) {
    if (edge.source === edge.target) continue;
    const path = edgePath(nodes[edge.source], nodes[edge.target], pairs.has(`${edge.target} ${edge.source}`));
    const g = svg.append("g").attr("class", `edge${edge.violations ? " violated" : edges.length > 12 ? " quiet" : ""}`).attr("tabindex", 0).attr("role", "button")
      .attr("aria-label", edgeText(edge).replace(/\n/g, ". ") + ". Show examples.").attr("data-from", edge.from).attr("data-to", edge.to);
    g.append("path").attr("class", "shaft").attr("d", path.d).style("stroke-width", hops(edge.hops));
    g.append("path").attr("class", "head").attr("d", `M${path.head}Z`);
    g.append("path").attr("class", "hit").attr("d", path.d);
    g.on("click", () => onEdge(edge)).on("keydown", () => {
      if (d3.event.key === "Enter" || d3.event.key === " ") { d3.event.preventDefault(); onEdge(edge); }
    });
    attachTip(g.node(), () => edgeText(edge) + (edge.violations ? "\nClick: its traces" : ""));
    if (edge.violations || edges.length <= 10) labels.push({ edge, path });
  }
  for (const node of nodes) drawNode(svg, node, width, height, many);
  /* What is violated speaks first; a label without room is left out, hovering says the same. */
  const taken = nodes.map((node) => [node.x - 58, node.y - (node.y < height / 2 ? 42 : 12), node.x + 58, node.y + (node.y < height / 2 ? 12 : 50)]);
  for (const { edge, path } of labels.slice(-12).reverse()) drawEdgeLabel(svg, edge, path, width, taken);
  return height;
}

/* Room for a label; false where one is already. */
function claim(taken, box) {
  if (taken.some((other) => box[0] < other[2] && other[0] < box[2] && box[1] < other[3] && other[1] < box[3])) return false;
  taken.push(box);
  return true;
}

function drawEdgeLabel(svg, edge, path, width, taken) {
  if (width < 560 && !edge.violations) return;
  const lines = edge.violations ? [`${count(edge.violations)} of ${count(edge.hops)}`, `worst ${duration(edge.worst_ns)}`] : [plural(edge.hops, "hop"), `margin ${duration(edge.margin_ns)}`];
  /* Beside the line, on the side to which it bends. */
  const [u, v] = path.side, x = path.mid[0] + u * 11, y = path.mid[1] + v * 18 + (Math.abs(u) > 0.5 ? -3 : v > 0 ? 0 : -10);
  const wide = Math.max(...lines.map((line) => line.length)) * 7, from = u > 0.5 ? x : u < -0.5 ? x - wide : x - wide / 2;
  if (!claim(taken, [from - 2, y - 12, from + wide + 2, y + 18])) return;
  const text = svg.append("text").attr("class", edge.violations ? "bad-text halo" : "halo").style("pointer-events", "none")
    .attr("text-anchor", u > 0.5 ? "start" : u < -0.5 ? "end" : "middle");
  lines.forEach((line, k) => text.append("tspan").attr("x", x).attr("y", y + 14 * k).text(line));
}

function drawNode(svg, node, width, height, many) {
  const g = svg.append("g").attr("class", `node ${node.clock.label}`).attr("transform", `translate(${node.x},${node.y})`);
  g.append("circle").attr("r", many ? 7 : 9);
  const above = node.y < height / 2, y = above ? -16 : 26, most = width < 560 ? 15 : many ? 18 : 26;
  const text = g.append("text").attr("text-anchor", "middle").attr("class", "halo strong").attr("y", above && !many ? y - 14 : y);
  text.text(isolate(clip(node.name, most)));
  if (!many) g.append("text").attr("text-anchor", "middle").attr("class", node.clock.verdict === "proven" ? "bad-text halo" : "halo").attr("y", above ? y : y + 14)
    .text(node.clock.reference ? "reference" : node.clock.offset_ns === null ? "offset unknown" : signedDuration(node.clock.offset_ns));
  attachTip(g.node(), () => `${clip(node.name, 120)}\n${node.clock.label}: ${clockFacts(node.clock)}`);
}

function edgesTable(audit, onEdge) {
  return makeTable({
    caption: "Edges, the worst first. Margin: how much more skew the edge takes before its first violation; negative: how far it is beyond. To 1 %: until one hop in a hundred is violated.",
    rows: audit.check.edges, onRow: onEdge, describeRow: (e) => `Show traces of ${edgeName(e)}`,
    columns: [
      { label: "from", text: true, value: (e) => e.from, show: (e) => clip(e.from, 80) },
      { label: "to", text: true, value: (e) => e.to, show: (e) => clip(e.to, 80) },
      { label: "hops", value: (e) => e.hops, show: (e) => count(e.hops) },
      { label: "violations", value: (e) => e.violations, show: (e) => count(e.violations), bad: (e) => e.violations > 0 },
      { label: "worst", value: (e) => e.worst_ns, show: (e) => (e.worst_ns ? duration(e.worst_ns) : "\u2013"), bad: (e) => e.worst_ns > 0 },
      { label: "median", value: (e) => e.slack_p50_ns, show: (e) => duration(e.slack_p50_ns) },
      { label: "margin", value: (e) => e.margin_ns, show: (e) => duration(e.margin_ns), bad: (e) => e.margin_ns < 0 },
      { label: "to 1 %", value: (e) => e.margin_1pct_ns, show: (e) => duration(e.margin_1pct_ns), bad: (e) => e.margin_1pct_ns < 0 },
    ],
  });
}

function graphSection(audit, onEdge) {
  const graph = graphOf(audit);
  const legend = haveD3 && legendOf([
    [(svg) => svg.append("path").attr("d", "M1 6H27").style("stroke", "var(--bad)").style("stroke-width", 3), "with violations"],
    [(svg) => svg.append("path").attr("d", "M1 6H27").style("stroke", "var(--faint)").style("stroke-width", 3), "without; width: number of hops"],
    [(svg) => svg.append("circle").attr("cx", 14).attr("cy", 6).attr("r", 5).style("fill", "var(--bad)"), "clock proven wrong"],
    [(svg) => svg.append("circle").attr("cx", 14).attr("cy", 6).attr("r", 4.5).style("fill", "none").style("stroke", "var(--cool)").style("stroke-width", 2), "reference"],
  ]);
  return [
    el("h2", null, "Who sends to whom"),
    el("p", { class: "note" }, "Clocks and the hops between them. An edge shows its violations, or how much skew it would still hide." + (graph.left > 0 ? ` The ${graph.nodes.length} clocks that matter most; ${plural(graph.left, "other is", "others are")} in the table.` : "")),
    audit.check.edges.length ? makeFigure({ label: "Causal graph of clocks and hops", legend, draw: (svg, width) => drawGraph(svg, width, audit, graph, onEdge),
      table: () => edgesTable(audit, onEdge), room: 340, tableLabel: "All edges, as a table" }) : el("p", { class: "note" }, "There are no hops between clocks."),
  ];
}
