// What every page does: times in the reader's zone, copying, and the keys "/" and "?".
import { copyFrom } from "./copying.js";
import { isTyping, plainKey } from "./keys.js";
import { localizeTimes } from "./times.js";

localizeTimes(document);

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy]");
  if (button) copyFrom(button, button.dataset.copy);
});

document.addEventListener("keydown", (event) => {
  if (!plainKey(event)) return;
  if (isTyping(event.target)) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  if (event.key === "/") {
    event.preventDefault();
    document.getElementById("search").select();
  } else if (event.key === "?") {
    openHelp();
  }
});

document.getElementById("show-help")?.addEventListener("click", openHelp);

function openHelp() {
  const help = document.getElementById("help");
  if (!help.open) help.showModal();
}
