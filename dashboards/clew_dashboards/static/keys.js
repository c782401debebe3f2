// When a key stroke is meant as a command.

/** Whether the stroke goes into a field. */
export function isTyping(target) {
  return target.closest("input:not([type=checkbox]), select, textarea, [contenteditable]") !== null;
}

/** A key alone or with Shift: strokes with other modifiers belong to the browser. */
export function plainKey(event) {
  return !event.ctrlKey && !event.metaKey && !event.altKey && !event.isComposing;
}
