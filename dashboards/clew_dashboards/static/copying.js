// Copying, with a word that it was done.

/** Copy `text`; `button` shows it for a moment, and it is said to screen readers. */
export async function copyFrom(button, text) {
  const done = await copy(text);
  say(done ? "Copied" : "Copying was refused by the browser");
  if (!done) return;
  button.classList.add("copied");
  setTimeout(() => button.classList.remove("copied"), 1200);
}

/** Say something to those who listen rather than look. */
export function say(text) {
  document.getElementById("said").textContent = text;
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyBySelection(text);
  }
}

// Browsers give no clipboard to a page that came over plain HTTP from another host; a selection they do copy.
function copyBySelection(text) {
  const field = document.createElement("textarea");
  field.value = text;
  field.className = "unseen";
  document.body.append(field);
  field.select();
  try {
    return document.execCommand("copy");
  } finally {
    field.remove();
  }
}
