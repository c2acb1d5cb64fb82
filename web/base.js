/* What every part of the page uses: elements made without markup, and one tooltip. */

const byId = (id) => document.getElementById(id);

/* An element with attributes, listeners (onX) and children. Text stays text: nothing is ever parsed as HTML. */
function el(name, attributes, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key === "class") node.className = value;
    else node.setAttribute(key, value === true ? "" : value);
  }
  for (const child of children.flat(Infinity))
    if (child !== null && child !== undefined && child !== false) node.append(child);
  return node;
}

/* Text of the input as it is shown: what is no character but would turn the direction of others, or control something, is
 * seen as such. */
const shown = (text) => text.replace(/[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, "\ufffd");

/* A name from the input: its writing direction must not turn round what stands beside it. */
const named = (text) => el("span", { class: "bidi", title: text.length > 40 ? shown(text) : null }, shown(text));

const clip = (text, length) => shown([...text].length > length ? [...text].slice(0, length - 1).join("") + "…" : text);

/* For SVG and canvas: the same isolation by characters (FSI ... PDI). */
const isolate = (text) => "\u2068" + text + "\u2069";

/* Work that waits until the page answers: a task each, in order, or before all others. What it is for may be gone by
 * then. */
const waiting = { tasks: [], open: false, busy: false };
function later(task, next) {
  if (next) waiting.tasks.unshift(task);
  else waiting.tasks.push(task);
  delete document.documentElement.dataset.complete;
  if (waiting.open && !waiting.busy) workOff();
}
function workOff() {
  waiting.busy = true;
  setTimeout(() => {
    const task = waiting.tasks.shift();
    if (task) task();
    waiting.busy = false;
    if (waiting.tasks.length) workOff();
    else if (document.readyState !== "loading") document.documentElement.dataset.complete = "1";
  }, 0);
}
function startLater() {
  performance.mark("interactive");
  waiting.open = true;
  workOff();
  onceRead(() => later(() => {}));
}
const finishNow = () => { while (waiting.tasks.length) waiting.tasks.shift()(); };

/* Once what is in view has been drawn; a page that nobody sees has no frames. */
function afterFrame(act) {
  let done = false;
  const once = () => {
    if (!done) act();
    done = true;
  };
  requestAnimationFrame(() => setTimeout(once, 0));
  setTimeout(once, 300);
}

/* Once the whole file is there. */
function onceRead(act) {
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", () => act(), { once: true });
  else act();
}

/* d3 lies in the file as text: it is made a script when the first chart is drawn. */
const haveD3 = byId("library").textContent.trim() !== "";
function needD3() {
  if (!haveD3 || typeof d3 !== "undefined") return;
  const script = document.createElement("script");
  script.textContent = byId("library").textContent;
  document.head.append(script);
}

const tip = {
  show(text, x, y) {
    const box = byId("tip");
    box.textContent = text;
    box.hidden = false;
    const width = box.offsetWidth, height = box.offsetHeight;
    const left = Math.min(Math.max(8, x + 14), document.documentElement.clientWidth - width - 8);
    const above = y - height - 12 > 0;
    box.style.left = left + window.scrollX + "px";
    box.style.top = (above ? y - height - 12 : y + 18) + window.scrollY + "px";
  },
  hide() { byId("tip").hidden = true; },
};

/* Show text on hover and on focus. */
function attachTip(node, text) {
  const say = () => (typeof text === "function" ? text() : text);
  node.addEventListener("pointermove", (event) => tip.show(say(), event.clientX, event.clientY));
  node.addEventListener("pointerleave", tip.hide);
  node.addEventListener("focus", () => {
    const box = node.getBoundingClientRect();
    tip.show(say(), box.left + box.width / 2, box.top);
  });
  node.addEventListener("blur", tip.hide);
}

/* Colours of the theme, for what is drawn on a canvas. */
function themeColours() {
  const style = getComputedStyle(document.documentElement);
  const get = (name) => style.getPropertyValue("--" + name).trim();
  const colours = {};
  for (const name of ["paper", "panel", "ink", "soft", "faint", "line", "hair", "bad", "cool", "cool-wash", "good", "span"])
    colours[name] = get(name);
  return colours;
}
