/* The page as a whole: sections, the choice of a run, colours, printing. */

const sections = [];

function section(id, title, nodes) {
  const place = el("section", { id, "aria-label": title }, nodes);
  sections.push([id, title]);
  return place;
}

/* The run that shows most: the one with the most violations. */
function firstAudit() {
  return page.audits.reduce((best, audit) => (audit.check.violations.total > best.check.violations.total ? audit : best), page.audits[0]);
}

function picker(current, onPick) {
  if (page.audits.length < 2) return null;
  return el("fieldset", { class: "picker" }, el("legend", null, "Look into"), page.audits.map((audit, k) => el("label", { class: "chip" },
    el("input", { type: "radio", name: "audit", value: String(k), checked: audit === current, onchange: () => onPick(audit) }),
    el("span", null, audit.runRow && page.labs.length < 2 ? `${page.labs[0].summary.runs.some((r) => r.transport !== audit.runRow.transport) ? audit.runRow.transport + " " : ""}${runName(audit.runRow)}` : clip(audit.name, 40),
      audit.check.violations.total ? el("span", { class: "count" }, ` ${count(audit.check.violations.total)}`) : null))));
}

function subtitle() {
  const parts = [];
  for (const lab of page.labs) {
    const summary = lab.summary, spec = /^name: "(.*)"$/m.exec(summary.spec), stage = /stage: "([^"]*)"/.exec(summary.spec);
    const many = page.labs.length > 1 && spec ? `${spec[1]}, ` : "";
    parts.push(`${many}${lab.name}: ${plural(summary.runs.length, "run")}${stage ? `, skew on the stamps of ${stage[1]}` : ""}. Nodes: ${summary.nodes_note}.`);
    for (const left of summary.left_out || []) parts.push(`Left out: ${left.transport} (${left.why}).`);
    if ((summary.gaps || []).length) parts.push(`${plural(summary.gaps.length, "block")} failed and ${summary.gaps.length === 1 ? "was" : "were"} repeated.`);
    if (summary.partial) parts.push("Partial: the run was interrupted.");
  }
  if (!page.labs.length && page.audits.length) {
    const input = page.audits[0].check.input;
    parts.push(`${plural(input.files, "file")}, ${plural(input.spans, "span")}, ${plural(input.traces, "trace")}, ${plural(input.clocks, "clock")}, ${plural(input.hops, "hop")} between them.`);
  }
  return parts.join(" ");
}

function adviceDetails(audit) {
  return audit.advice.length ? behind("What check says of it", el("ul", { class: "note" }, audit.advice.map((line) => el("li", null, named(line))))) : null;
}

/* Everything about one input or one run of a sweep. */
function auditParts(audit, place) {
  const waterfall = new Waterfall(audit);
  const toEdge = (edge) => {
    waterfall.list.filterEdge(edge);
    byId("traces").scrollIntoView();
    document.querySelectorAll(".edge").forEach((g) => g.classList.toggle("chosen", g.dataset.from === edge.from && g.dataset.to === edge.to));
  };
  place.replaceChildren(
    tilesOf(audit),
    el("div", { class: "lead" }, el("p", null, named([...violationWords(audit), ...clockWords(audit), ...fixWords(audit)].join(" ")))), adviceDetails(audit) || "",
    section("clocks", "Clocks", clocksSection(audit)),
    section("graph", "Graph", graphSection(audit, toEdge)),
    section("traces", "Traces", waterfallSection(audit, waterfall)),
    section("health", "Health", healthSection(audit)));
  return waterfall;
}

function navigation() {
  const seen = new Set();
  byId("nav").replaceChildren(...sections.filter(([id]) => !seen.has(id) && seen.add(id)).map(([id, title]) => el("a", { href: `#${id}` }, title)));
}

function build() {
  const main = byId("main"), place = el("div", { id: "audit" });
  let shown = page.audits.length ? firstAudit() : null, waterfall = null;
  const pick = (audit) => {
    shown = audit;
    waterfall = auditParts(audit, place);
    document.querySelectorAll('input[name="audit"]').forEach((input) => { input.checked = page.audits[Number(input.value)] === audit; });
  };
  const lone = page.labs.length === 1 && page.title === page.labs[0].name ? /^name: "(.*)"$/m.exec(page.labs[0].summary.spec) : null;
  byId("title").append(named(lone ? lone[1][0].toUpperCase() + lone[1].slice(1) : page.title));
  main.append(el("p", { class: "note" }, named(subtitle())));
  if (page.labs.length) {
    const words = [...sweepWords(), ...throughputWords()];
    main.append(el("div", { class: "lead", id: "story" }, words.map((sentence) => el("p", null, sentence))));
    main.append(section("sweep", "Sweep", sweepSection((run) => {
      const audit = page.audits.find((a) => a.lab === run.lab && a.runRow && a.runRow.folder === run.folder);
      if (audit) {
        pick(audit);
        byId("run").scrollIntoView();
      }
    })));
    main.append(section("throughput", "Throughput", throughputSection()));
  }
  if (shown) {
    const several = page.audits.length > 1;
    main.append(several ? section("run", "One run", [el("h2", null, "One run, closely"), picker(shown, pick)]) : el("div", { id: "run" }), place);
    pick(shown);
  }
  for (const lab of page.labs) main.append(el("section", null, behind("The spec of the run", el("pre", null, el("code", null, lab.summary.spec)))));
  navigation();
  byId("foot").append(`Made by truespan ${page.truespan}. Nothing in this file is loaded from elsewhere. Figures are those of check --json, clocks --json and fix --json` + (page.labs.length ? " and of summary.json." : "."));
  followHash(() => waterfall);
  return { redraw: () => waterfall && waterfall.sheet.draw() };
}

/* #trace=ID opens that trace. */
function followHash(current) {
  const follow = () => {
    const match = /^#trace=([0-9a-fA-F]+)$/.exec(location.hash), waterfall = current();
    if (!match || !waterfall) return;
    waterfall.list.search.value = match[1].toLowerCase();
    waterfall.list.fill();
    byId("traces").scrollIntoView();
  };
  window.addEventListener("hashchange", follow);
  setTimeout(follow, 1);
}

/* Colours follow the system until the button says otherwise. */
function themes(redraw) {
  const order = ["auto", "light", "dark"], dark = matchMedia("(prefers-color-scheme: dark)"), button = byId("theme");
  let choice = "auto", printing = false;
  const apply = () => {
    document.documentElement.dataset.theme = printing ? "light" : choice === "auto" ? (dark.matches ? "dark" : "light") : choice;
    button.textContent = { auto: "Auto", light: "Light", dark: "Dark" }[choice];
    button.setAttribute("aria-label", `Colours: ${choice === "auto" ? "as the system has them" : choice}`);
    redraw();
  };
  button.addEventListener("click", () => {
    choice = order[(order.indexOf(choice) + 1) % 3];
    apply();
  });
  dark.addEventListener("change", apply);
  window.addEventListener("beforeprint", () => {
    printing = true;
    apply();
  });
  window.addEventListener("afterprint", () => {
    printing = false;
    apply();
  });
  apply();
}

let redraw = () => {};
themes(() => redraw());
redraw = build().redraw;
document.documentElement.dataset.ready = "1";
window.addEventListener("keydown", (event) => { if (event.key === "Escape") tip.hide(); });
