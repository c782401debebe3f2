// Building elements. Text from the wire goes in as text only: nothing here parses markup.

/** An element with these properties (`class`, `on…` listeners, attributes) and children; empty ones are left out. */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

const COPY_ICON = "M4.5 4.5V2.2c0-.4.3-.7.7-.7h4.6c.4 0 .7.3.7.7v4.6c0 .4-.3.7-.7.7H7.5M2.2 4.5h4.6c.4 0 .7.3.7.7v4.6c0 .4-.3.7-.7.7H2.2c-.4 0-.7-.3-.7-.7V5.2c0-.4.3-.7.7-.7z";
const CLOSE_ICON = "M2 2l8 8M10 2l-8 8";

export const copyIcon = () => icon(COPY_ICON);
export const closeIcon = () => icon(CLOSE_ICON);

function icon(path) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const drawn = document.createElementNS("http://www.w3.org/2000/svg", "path");
  for (const [name, value] of Object.entries({ width: 12, height: 12, viewBox: "0 0 12 12", fill: "none", stroke: "currentColor", "aria-hidden": "true" })) svg.setAttribute(name, value);
  drawn.setAttribute("d", path);
  svg.append(drawn);
  return svg;
}
