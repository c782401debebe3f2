// The panel beside the rows: all of the selected one.
import { copyFrom } from "./copying.js";
import { closeIcon, copyIcon, element } from "./elements.js";
import { wholeValue } from "./whole.js";

const SHOWN_WAYS = 8;

/** Shows the details of a row, and ways from it to its parent, children and lines. */
export class Panel {
  constructor(panel, rows, details) {
    this.panel = panel;
    this.rows = rows;
    this.details = details;
    this.overview = panel.querySelector(".overview");
    this.place = panel.querySelector(".details");
  }

  show(index) {
    const chosen = index !== -1;
    this.panel.classList.toggle("open", chosen);
    this.overview.hidden = chosen;
    this.place.hidden = !chosen;
    this.place.replaceChildren(...(chosen ? this.#parts(index) : []));
    this.place.parentElement.scrollTop = 0;
  }

  #parts(index) {
    const row = this.rows.all[index];
    const { rows, resources } = this.details();
    const detail = rows[row.dataset.row ?? index];
    return [
      this.#top(row, detail),
      detail.message && element("div", { class: "message" }, this.#long("", detail.message, detail, (found) => found.status_message)),
      detail.body && element("div", { class: detail.failed ? "body error" : "body" }, this.#long("", detail.body.slice(2), detail, (found) => found.body)),
      detail.stack && this.#stack(detail.stack, detail, (found) => found.attributes),
      ...(detail.events ?? []).map((event) => this.#happening(event, detail)),
      this.#pairs("Attributes", detail.attributes, detail, (found) => found.attributes),
      this.#facts(detail.facts),
      this.#links(detail.links),
      this.#ways(index),
      this.#resource(resources[detail.resource], detail),
    ].filter(Boolean);
  }

  #top(row, detail) {
    const link = new URL(`#${encodeURIComponent(row.id)}`, location.href).href;
    return element(
      "div",
      { class: "top" },
      element("div", {}, element("h2", {}, detail.title || "(no name)"), element("p", { class: "dim" }, detail.subtitle)),
      element(
        "div",
        { class: "buttons" },
        element("button", { type: "button", class: "plain copy", "data-copy": link, title: "Copy a link to this row" }, "link"),
        element("button", { type: "button", class: "plain", "aria-label": "Close", onclick: () => this.rows.deselect() }, closeIcon()),
      ),
    );
  }

  #happening(event, detail) {
    const attributes = (found) => found.events[event.number].attributes;
    return element(
      "section",
      {},
      element("h3", {}, event.failed ? "Exception" : "Event", element("span", {}, event.offset)),
      element("div", { class: event.failed ? "body error" : "body" }, event.title),
      event.stack && this.#stack(event.stack, detail, attributes),
      this.#pairs("", event.attributes, detail, attributes),
    );
  }

  #pairs(title, attributes, detail, holder) {
    if (!attributes.length) return null;
    const pairs = attributes.map((attribute) => this.#pair(attribute, detail, holder));
    return element("section", {}, title && element("h3", {}, title), element("dl", { class: "pairs" }, pairs));
  }

  #pair([key, type, text, length], detail, holder) {
    const failed = /status_code$/.test(key) ? Number(text) >= 500 : key === "error.type";
    const taken = () => (length ? wholeValue(detail, (found) => holder(found)[key]) : Promise.resolve(text));
    const take = element("button", { type: "button", class: "take", "aria-label": `Copy ${key}`, title: "Copy the value", onclick: async () => copyFrom(take, await taken()) }, copyIcon());
    return element(
      "div",
      { class: "pair" },
      element("dt", {}, breakable(key)),
      element("dd", { class: failed && "error", title: type }, this.#long(key, [text, length], detail, (found) => holder(found)[key]), type !== "string" && element("span", { class: "type" }, type)),
      type === "more" ? "" : take,
    );
  }

  // A value that was cut has a button that gets the rest.
  #long(key, [text, length], detail, find) {
    if (!length) return text;
    const holder = element("span", {}, element("span", { class: "cut" }, text));
    const all = element("button", { type: "button", class: "all", onclick: showAll }, `… show all ${length.toLocaleString("en")} characters`);
    holder.append(all);
    return holder;

    async function showAll() {
      all.disabled = true;
      try {
        holder.textContent = await wholeValue(detail, find);
      } catch (error) {
        all.disabled = false;
        all.textContent = `${error.message}; try again`;
      }
    }
  }

  #stack([key, , text, length], detail, holder) {
    const whole = length ? this.#long(key, [text, length], detail, (found) => holder(found)[key]) : withErrorMarked(text);
    return element("pre", { class: "stack", tabindex: "0", "aria-label": "Stack trace" }, whole);
  }

  #facts(facts) {
    const pairs = facts.map(([name, text, title]) => {
      const take = element("button", { type: "button", class: "take", "aria-label": `Copy ${name}`, title: "Copy", onclick: () => copyFrom(take, title ?? text) }, copyIcon());
      return element("div", { class: "pair" }, element("dt", {}, name), element("dd", { title }, text), take);
    });
    return element("section", {}, element("h3", {}, "Record"), element("dl", { class: "pairs" }, pairs));
  }

  #links(links) {
    if (!links?.length) return null;
    const ways = links.map((link) => {
      const here = document.getElementById(`span-${link.span_id}`);
      const href = here ? `#span-${link.span_id}` : `/requests/${encodeURIComponent(link.trace_id)}#span-${link.span_id}`;
      return element("li", {}, element("a", { href }, element("span", { class: "mono" }, `${link.trace_id.slice(0, 8)}… / ${link.span_id}`)));
    });
    return element("section", {}, element("h3", {}, "Links to other spans"), element("ul", { class: "ways" }, ways));
  }

  #ways(index) {
    const parent = this.rows.parents[index];
    const children = this.rows.children(index);
    const lines = children.filter((child) => this.rows.all[child].classList.contains("line"));
    const spans = children.filter((child) => !this.rows.all[child].classList.contains("line"));
    const isLine = this.rows.all[index].classList.contains("line");
    const ways = [
      parent !== -1 && this.#way(parent, isLine ? "span" : "parent"),
      ...this.#some(spans, "child"),
      ...this.#some(lines, "line"),
      this.rows.all[index].dataset.row && this.#toTimeline(this.rows.all[index]),
    ].filter(Boolean);
    return ways.length ? element("section", {}, element("h3", {}, "Around it"), element("ul", { class: "ways" }, ways)) : null;
  }

  #some(indexes, role) {
    const ways = indexes.slice(0, SHOWN_WAYS).map((index) => this.#way(index, role));
    const left = indexes.length - ways.length;
    return left > 0 ? [...ways, element("li", { class: "dim" }, `and ${left.toLocaleString("en")} more`)] : ways;
  }

  #way(index, role) {
    const row = this.rows.all[index];
    const square = row.querySelector(".sq")?.cloneNode();
    const name = row.querySelector(".label b")?.textContent;
    const text = row.querySelector(".text").textContent;
    const go = (event) => {
      event.preventDefault();
      this.rows.select(index);
    };
    const shown = element("span", {}, name ? `${name} ` : "", text);
    return element("li", {}, element("a", { href: `#${encodeURIComponent(row.id)}`, class: this.rows.isError(index) && "error", onclick: go }, element("i", { class: "role" }, role), square, shown));
  }

  #toTimeline(row) {
    const href = `?tab=timeline#${encodeURIComponent(row.id)}`;
    return element("li", {}, element("a", { href }, element("i", { class: "role" }, "place"), element("span", {}, "in the timeline")));
  }

  #resource(attributes, detail) {
    if (!attributes?.length) return null;
    const count = `Resource (${attributes.length})`;
    return element("details", {}, element("summary", {}, count), this.#pairs("", attributes, { ...detail, at: detail.at.slice(0, 2) }, (found) => found.resource));
  }
}

// A name may break after its dots and underscores.
function breakable(name) {
  return name.split(/(?<=[._])/).flatMap((part) => [part, element("wbr")]);
}

// Python says what was raised in the last line of a trace, most others in the first.
function withErrorMarked(stack) {
  const lines = stack.trimEnd().split("\n");
  const told = lines[0].startsWith("Traceback") ? lines.length - 1 : 0;
  const before = lines.slice(0, told).map((line) => `${line}\n`);
  const after = lines.slice(told + 1).map((line) => `\n${line}`);
  return [before.join(""), element("b", {}, lines[told]), after.join("")];
}
