// The list of requests: live while it is looked at, walked with j and k.
import { isTyping, plainKey } from "./keys.js";
import { keepLive } from "./live.js";
import { localizeTimes } from "./times.js";

const REFRESH_MS = 2000;
const POINTING_MS = 1500;

const list = document.getElementById("list");
const filters = document.getElementById("filters");
let pointedAt = 0;

if (document.getElementById("live")) renewList();
keepAddressShort();
document.addEventListener("keydown", walk);

function renewList() {
  // Lines must not move under a pointer that is about to click one.
  keepLive(list, { everyMs: REFRESH_MS, isBusy: () => list.matches(":hover") && Date.now() - pointedAt < POINTING_MS });
  list.addEventListener("mousemove", () => (pointedAt = Date.now()));
  let focused = null;
  list.addEventListener("htmx:beforeSwap", () => (focused = document.activeElement?.closest(".line")?.dataset.id));
  list.addEventListener("htmx:afterSwap", () => {
    localizeTimes(list);
    offerNewServices();
    const line = focused && [...lines()].find((candidate) => candidate.dataset.id === focused);
    line?.querySelector("a").focus({ preventScroll: true });
  });
}

// The filters stay as they are when the list is renewed; a service seen for the first time is added to them.
function offerNewServices() {
  const select = filters.elements.service;
  const offered = new Set([...select.options].map((option) => option.text));
  for (const { value } of document.getElementById("known-services").options) {
    if (!offered.has(value)) select.add(new Option(value));
  }
}

// Fields left empty stay out of the address, and a choice filters at once.
function keepAddressShort() {
  filters.addEventListener("submit", () => {
    for (const field of filters.elements) field.disabled ||= field.name && field.value === "";
    setTimeout(() => [...filters.elements].forEach((field) => (field.disabled = false)));
  });
  filters.addEventListener("change", (event) => {
    if (event.target.matches("select, [type=checkbox]")) filters.requestSubmit();
  });
}

function walk(event) {
  if (!plainKey(event) || isTyping(event.target) || (event.key !== "j" && event.key !== "k")) return;
  const all = [...lines()];
  const at = all.indexOf(document.activeElement?.closest(".line"));
  const next = at === -1 ? 0 : at + (event.key === "j" ? 1 : -1);
  const link = all[Math.min(all.length - 1, Math.max(0, next))]?.querySelector("a");
  link?.focus({ focusVisible: true });
  link?.scrollIntoView({ block: "nearest" });
}

function lines() {
  return list ? list.querySelectorAll(".line[data-id]") : [];
}
