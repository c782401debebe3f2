// The width of the names beside the bars: dragged, or moved with the arrow keys; a double click resets it.

const KEY = "names-width";
const STEP_PX = 24;
const LEAST_PX = 140;

/** Let `edge` set the width of its column in `grid`. */
export function resizable(grid, edge) {
  const kept = Number(localStorage.getItem(KEY));
  if (kept) setWidth(kept);
  edge.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    edge.setPointerCapture(event.pointerId);
  });
  edge.addEventListener("pointermove", (event) => {
    if (edge.hasPointerCapture(event.pointerId)) keep(event.clientX - grid.getBoundingClientRect().left);
  });
  edge.addEventListener("dblclick", () => {
    localStorage.removeItem(KEY);
    grid.style.removeProperty("--names");
  });
  edge.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -STEP_PX, ArrowRight: STEP_PX }[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    keep(edge.getBoundingClientRect().width + step);
  });

  function keep(width) {
    const fitting = Math.round(Math.max(LEAST_PX, Math.min(width, grid.clientWidth - LEAST_PX)));
    setWidth(fitting);
    localStorage.setItem(KEY, String(fitting));
  }

  // Never so wide that a smaller window has no room for bars.
  function setWidth(width) {
    grid.style.setProperty("--names", `min(${width}px, 75%)`);
  }
}
