// A part of a page that renews itself while it is looked at, and the button that pauses it.

/** Renew `region` (htmx, on "clew:refresh") every so often; not while it is hidden, paused, or `isBusy()`. */
export function keepLive(region, { everyMs, isBusy }) {
  const button = document.getElementById("live");

  function set(on) {
    button.setAttribute("aria-pressed", String(on));
    sessionStorage.setItem("live", on ? "on" : "off");
    button.querySelector("span").textContent = on ? "Live" : "Paused";
    button.classList.remove("troubled");
    if (on) refreshIfWatched();
  }

  function refreshIfWatched() {
    if (isOn() && !document.hidden && !isBusy()) region.dispatchEvent(new CustomEvent("clew:refresh"));
  }

  function isOn() {
    return button.getAttribute("aria-pressed") === "true";
  }

  function showTrouble(troubled) {
    button.classList.toggle("troubled", troubled);
    button.querySelector("span").textContent = troubled ? "No answer, trying again" : "Live";
  }

  set(sessionStorage.getItem("live") !== "off");
  button.addEventListener("click", () => set(!isOn()));
  setInterval(refreshIfWatched, everyMs);
  document.addEventListener("visibilitychange", refreshIfWatched);
  // Somebody may have become busy while the answer was on its way.
  region.addEventListener("htmx:beforeSwap", (event) => {
    if (isBusy()) event.detail.shouldSwap = false;
  });
  region.addEventListener("htmx:afterRequest", (event) => {
    if (isOn()) showTrouble(!event.detail.successful);
  });
}
