// Moments in the reader's own zone. The page carries them in UTC, which stays in the title.

/** Rewrite each time in `root`: the clock alone for today, with the date for other days. */
export function localizeTimes(root) {
  const today = new Date().toDateString();
  for (const element of root.querySelectorAll("time[data-utc]")) {
    // The nanoseconds of the title are more than a Date holds.
    const moment = new Date(`${element.dataset.utc.slice(0, 23)}Z`);
    if (Number.isNaN(moment.getTime())) continue;
    const clock = `${two(moment.getHours())}:${two(moment.getMinutes())}:${two(moment.getSeconds())}.${String(moment.getMilliseconds()).padStart(3, "0")}`;
    element.textContent = moment.toDateString() === today ? clock : `${dateText(moment)} ${clock}`;
  }
}

function dateText(moment) {
  return `${moment.getFullYear()}-${two(moment.getMonth() + 1)}-${two(moment.getDate())}`;
}

function two(number) {
  return String(number).padStart(2, "0");
}
