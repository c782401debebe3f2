// Finding text in the rows.
import { plainKey } from "./keys.js";

/** Mark the rows that hold what is typed; Enter and Shift+Enter walk them. */
export class Finding {
  constructor(rows, field, output) {
    this.rows = rows;
    this.field = field;
    this.output = output;
    this.matches = [];
    this.texts = null;
    field.addEventListener("input", () => this.#search());
    field.addEventListener("keydown", (event) => this.#key(event));
  }

  open() {
    this.field.focus();
    this.field.select();
  }

  clear() {
    this.field.value = "";
    this.#search();
  }

  #search() {
    for (const index of this.matches) this.rows.all[index].classList.remove("match");
    this.texts ??= this.rows.all.map((row) => row.textContent.toLowerCase());
    const wanted = this.field.value.trim().toLowerCase();
    this.matches = [];
    if (wanted) this.texts.forEach((text, index) => text.includes(wanted) && this.matches.push(index));
    for (const index of this.matches) this.rows.all[index].classList.add("match");
    this.output.textContent = wanted ? String(this.matches.length) : "";
  }

  #key(event) {
    if (!plainKey(event)) return;
    if (event.key === "Enter" && this.matches.length) {
      event.preventDefault();
      this.#walk(event.shiftKey ? -1 : 1);
    } else if (event.key === "Escape") {
      this.clear();
    }
  }

  #walk(step) {
    const at = this.rows.selected;
    const ahead = step > 0 ? this.matches.find((index) => index > at) : this.matches.findLast((index) => index < at);
    const next = ahead ?? this.matches.at(step > 0 ? 0 : -1);
    this.rows.select(next, { focus: false, scroll: "center" });
    this.output.textContent = `${this.matches.indexOf(next) + 1}/${this.matches.length}`;
  }
}
