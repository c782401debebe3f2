// The health page: live while it is looked at. A reader of screens is told when things turn bad or well, not each number.
import { keepLive } from "./live.js";

const REFRESH_MS = 5000;

const region = document.getElementById("health");
let tone = sentence().dataset.tone;

keepLive(region, { everyMs: REFRESH_MS, isBusy: isSelecting });
region.addEventListener("htmx:afterSwap", () => {
  if (sentence().dataset.tone === tone) return;
  tone = sentence().dataset.tone;
  document.getElementById("said").textContent = sentence().textContent;
});

function sentence() {
  return region.querySelector(".sentence");
}

// What somebody is about to copy must not go from under them.
function isSelecting() {
  const selection = document.getSelection();
  return !selection.isCollapsed && region.contains(selection.anchorNode);
}
