// One request: rows, panel, finding, and the keys for them.
import { copyFrom } from "./copying.js";
import { Finding } from "./finding.js";
import { isTyping, plainKey } from "./keys.js";
import { Panel } from "./panel.js";
import { resizable } from "./resizing.js";
import { Rows } from "./rows.js";

const grid = document.getElementById("rows");
const rows = new Rows(grid);
const panel = new Panel(document.getElementById("panel"), rows, lazily(readDetails));
const finding = new Finding(rows, document.getElementById("find"), document.getElementById("found"));
const lines = document.getElementById("lines");
const nextError = document.getElementById("next-error");

rows.addEventListener("select", ({ detail }) => panel.show(detail.index));
rows.addEventListener("lines-needed", () => setLines(true));
lines?.addEventListener("change", () => setLines(lines.checked));
nextError.hidden = !rows.all.some((row) => row.classList.contains("error"));
nextError.addEventListener("click", (event) => goToError(event.shiftKey ? -1 : 1));
window.addEventListener("hashchange", goToAddress);
document.addEventListener("keydown", act);
document.querySelectorAll("[data-tab]").forEach((tab) => tab.addEventListener("click", () => (tab.hash = keptHash())));

const edge = grid.querySelector(".edge");
if (edge) resizable(grid, edge);
setLines(localStorage.getItem("lines") !== "off");
goToAddress();

const ACTIONS = {
  j: () => rows.move(1),
  ArrowDown: () => rows.move(1),
  k: () => rows.move(-1),
  ArrowUp: () => rows.move(-1),
  h: () => rows.foldOrLeave(),
  ArrowLeft: () => rows.foldOrLeave(),
  l: () => rows.unfoldOrEnter(),
  ArrowRight: () => rows.unfoldOrEnter(),
  H: () => rows.setAllFolded(true),
  L: () => rows.setAllFolded(false),
  Home: () => rows.select(0),
  End: () => rows.select(rows.all.length - 1),
  e: () => goToError(1),
  E: () => goToError(-1),
  f: () => finding.open(),
  t: () => lines && setLines(!lines.checked),
  c: () => panel.panel.querySelector(".top .copy") && copyLink(panel.panel.querySelector(".top .copy")),
  Escape: () => rows.deselect(),
};

function act(event) {
  if (!plainKey(event) || isTyping(event.target) || document.querySelector("dialog[open]")) return;
  const isArrow = event.key.length > 1 && event.key !== "Escape";
  // Arrows, Home and End scroll the page until a row has the focus.
  if (isArrow && !event.target.closest("#rows")) return;
  const action = ACTIONS[event.key];
  if (!action) return;
  event.preventDefault();
  action();
}

function goToError(step) {
  rows.moveTo(step, (index) => rows.isError(index));
}

function goToAddress() {
  const id = decodeURIComponent(location.hash.slice(1));
  if (id) rows.selectById(id, { scroll: "center", note: false });
}

function setLines(on) {
  if (!lines) return;
  lines.checked = on;
  grid.classList.toggle("without-lines", !on);
  localStorage.setItem("lines", on ? "on" : "off");
}

function copyLink(button) {
  copyFrom(button, button.dataset.copy);
}

// A line has a place in both views; a span only in the timeline.
function keptHash() {
  return rows.selected === -1 ? "" : rows.all[rows.selected].id;
}

function readDetails() {
  return JSON.parse(document.getElementById("details").textContent);
}

function lazily(make) {
  let made;
  return () => (made ??= make());
}
