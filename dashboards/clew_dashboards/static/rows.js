// The rows of the waterfall: which is selected, which are folded, which can be seen.

/** Rows in order, parents before children; a folded row hides the `data-size` rows after it. */
export class Rows extends EventTarget {
  constructor(grid) {
    super();
    this.grid = grid;
    this.all = [...grid.querySelectorAll(".row")];
    this.places = new Map(this.all.map((row, index) => [row, index]));
    this.parents = parentsOf(this.all);
    this.selected = -1;
    if (this.all.length) this.all[0].tabIndex = 0;
    grid.addEventListener("click", (event) => this.#click(event));
    grid.addEventListener("focusin", (event) => this.#focus(event));
  }

  size(index) {
    return Number(this.all[index].dataset.size);
  }

  isFolded(index) {
    return this.all[index].getAttribute("aria-expanded") === "false";
  }

  isSeen(index) {
    const row = this.all[index];
    return !row.hidden && !(this.grid.classList.contains("without-lines") && row.classList.contains("line"));
  }

  isError(index) {
    return this.all[index].classList.contains("error");
  }

  /** Select a row, showing it if it is folded away. */
  select(index, { focus = true, scroll = "nearest", note = true } = {}) {
    if (index < 0 || index >= this.all.length) return;
    this.#unfoldTo(index);
    this.#mark(index);
    const row = this.all[index];
    if (focus) row.focus({ preventScroll: true });
    if (note) history.replaceState(null, "", `#${encodeURIComponent(row.id)}`);
    this.dispatchEvent(new CustomEvent("select", { detail: { index } }));
    // After listeners: on a small screen the panel has just covered a part of the rows.
    row.scrollIntoView({ block: inView(row) ? "nearest" : scroll });
  }

  selectById(id, options) {
    const row = document.getElementById(id);
    const index = row ? this.places.get(row) : undefined;
    if (index !== undefined) this.select(index, options);
    return index !== undefined;
  }

  deselect() {
    if (this.selected === -1) return;
    this.all[this.selected].removeAttribute("aria-selected");
    this.selected = -1;
    history.replaceState(null, "", location.pathname + location.search);
    this.dispatchEvent(new CustomEvent("select", { detail: { index: -1 } }));
  }

  /** Select the next seen row (`step` 1) or the one before (-1). */
  move(step) {
    const start = this.selected === -1 && step < 0 ? this.all.length : this.selected;
    this.select(this.#next(start, step, (index) => this.isSeen(index)));
  }

  /** Select the next row that `wanted` accepts, folded away or not, going round at the ends. */
  moveTo(step, wanted) {
    const count = this.all.length;
    for (let tried = 1; tried <= count; tried++) {
      const index = (((this.selected === -1 && step < 0 ? 0 : this.selected) + step * tried) % count + count) % count;
      if (wanted(index)) return this.select(index, { scroll: "center" });
    }
  }

  /** Fold the row, or go to its parent where there is nothing to fold. */
  foldOrLeave() {
    const at = this.selected;
    if (at === -1) return;
    if (this.size(at) && !this.isFolded(at)) this.setFolded(at, true);
    else if (this.parents[at] !== -1) this.select(this.parents[at]);
  }

  /** Unfold the row, or go to its first child. */
  unfoldOrEnter() {
    const at = this.selected;
    if (at === -1 || !this.size(at)) return;
    if (this.isFolded(at)) this.setFolded(at, false);
    else this.move(1);
  }

  setFolded(index, folded) {
    if (!this.size(index)) return;
    this.all[index].setAttribute("aria-expanded", String(!folded));
    this.#showOrHide();
  }

  setAllFolded(folded) {
    this.all.forEach((row, index) => this.size(index) && row.setAttribute("aria-expanded", String(!folded)));
    this.#showOrHide();
  }

  children(index) {
    const found = [];
    const end = Math.min(this.all.length, index + 1 + this.size(index));
    for (let child = index + 1; child < end; child += 1 + this.size(child)) found.push(child);
    return found;
  }

  #next(from, step, wanted) {
    for (let index = from + step; index >= 0 && index < this.all.length; index += step) if (wanted(index)) return index;
    return this.selected;
  }

  #unfoldTo(index) {
    let changed = false;
    for (let parent = this.parents[index]; parent !== -1; parent = this.parents[parent]) {
      if (!this.isFolded(parent)) continue;
      this.all[parent].setAttribute("aria-expanded", "true");
      changed = true;
    }
    if (changed) this.#showOrHide();
    if (!this.isSeen(index)) this.dispatchEvent(new CustomEvent("lines-needed"));
  }

  #mark(index) {
    if (this.selected !== -1) this.all[this.selected].removeAttribute("aria-selected");
    for (const row of this.grid.querySelectorAll(".row[tabindex='0']")) row.tabIndex = -1;
    this.selected = index;
    this.all[index].setAttribute("aria-selected", "true");
    this.all[index].tabIndex = 0;
  }

  #showOrHide() {
    let shownFrom = 0;
    this.all.forEach((row, index) => {
      const hidden = index < shownFrom;
      if (row.hidden !== hidden) row.hidden = hidden;
      if (!hidden && this.isFolded(index)) shownFrom = index + 1 + this.size(index);
    });
    if (this.selected !== -1 && this.all[this.selected].hidden) this.select(this.#seenAbove(this.selected));
  }

  #seenAbove(index) {
    let at = index;
    while (this.all[at].hidden) at = this.parents[at];
    return at;
  }

  #click(event) {
    const row = event.target.closest(".row");
    if (!row) return;
    const index = this.places.get(row);
    if (!event.target.closest(".fold")) return this.select(index);
    const folded = !this.isFolded(index);
    if (event.shiftKey) this.setAllFolded(folded);
    else this.setFolded(index, folded);
  }

  // A screen reader or Tab may put the focus on a row without a click.
  #focus(event) {
    const index = this.places.get(event.target);
    if (index !== undefined && index !== this.selected && event.target.matches(":focus-visible")) {
      this.select(index, { focus: false });
    }
  }
}

function inView(row) {
  const { top, bottom } = row.getBoundingClientRect();
  return top > 60 && bottom < innerHeight - 40;
}

function parentsOf(rows) {
  const path = [];
  return rows.map((row, index) => {
    const level = Number(row.getAttribute("aria-level") ?? 1);
    path.length = Math.min(path.length, level - 1);
    const parent = path.length ? path[path.length - 1] : -1;
    path[level - 1] = index;
    return parent;
  });
}
