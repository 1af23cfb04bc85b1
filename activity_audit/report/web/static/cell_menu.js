// What the right mouse button, Shift+F10 and the Menu key offer on a cell, a header or a group.
import { copy } from "./dom.js";
import { encoded, excluding, filteredTo, groupedBy, sortedBy } from "./links.js";
import { hasColumnFilter, openColumnFilter } from "./column_filter.js";
import { columnItems, titleOf } from "./columns.js";
import { openMenu } from "./menu.js";
import { go } from "./pages.js";
import { FIELDS, textOf } from "./table.js";

const GROUPABLE = ["application", "entity", "activity", "outcome", "triggered_by", "instance", "comments"];
const DEEPER = { application: "entity", entity: "activity", activity: "triggered_by", outcome: "activity", triggered_by: "activity", instance: "activity" };

export function startCellMenus() {
  document.addEventListener("contextmenu", (event) => {
    const place = event.target.closest("#events td[data-field], #events th[data-field], #groups th[data-field]");
    if (!place || event.shiftKey) return;
    event.preventDefault();
    show(place, event.clientX, event.clientY);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "ContextMenu" && !(event.key === "F10" && event.shiftKey)) return;
    const place = document.activeElement.closest("#events td, #events th, #groups th[data-field]");
    if (!place) return;
    event.preventDefault();
    const box = place.getBoundingClientRect();
    show(place, box.left + 12, box.bottom - 4);
  });
}

/** Open the menu of a cell or header at a point. */
export function show(place, x, y) {
  const table = place.closest("#events");
  if (place.matches("th") && table) {
    openMenu(headerItems(place.dataset.field, x, y), x, y, `Column ${titleOf(place.dataset.field)}`);
    return;
  }
  if (!table) {
    openMenu(groupItems(place), x, y, "Group");
    return;
  }
  const about = table.owner.about(place);
  if (!about) return;
  place.focus({ preventScroll: true });
  openMenu(cellItems(table.owner, about, x, y), x, y, `${titleOf(about.field)}: ${about.shown ?? "no value"}`);
}

function headerItems(field, x, y) {
  const help = { text: "What this column means", run: () => location.assign(`/help#${field}`) };
  return [filterItem(field, x, y), ...sortItems(field), groupItem(field), null, ...columnItems(field), null, help].filter((item) => item !== undefined);
}

/** Whether the reader sees one word in the field, by which nothing can be asked. */
function isMasked(field) {
  return (document.getElementById("main").dataset.masked ?? "").split(" ").includes(field);
}

function filterItem(field, x, y) {
  return hasColumnFilter(field) ? { text: "Filter…", run: () => openColumnFilter(field, titleOf(field), x, y) } : undefined;
}

function cellItems(owner, { field, value, shown, code, row }, x, y) {
  const isTime = field === "event_time_utc";
  const named = value === null ? "(no value)" : isTime ? value.slice(0, 10) : shortened(shown);
  const items = [
    { text: "Open this event", run: () => owner.shown.get(owner.active.row)?.querySelector("a")?.click() },
    deeper(field, value, shown, code),
    null,
    isMasked(field) || (field === "comments" && !value) ? undefined : { text: `Filter to ${isTime ? "the day " : ""}${named}`, run: () => go(filteredTo(field, value, code)) },
    isMasked(field) || isTime ? undefined : { text: `Exclude ${named}`, run: () => go(excluding(field, value, code)) },
    filterItem(field, x, y),
    null,
    ...sortItems(field),
    groupItem(field),
    null,
    { text: isCut(code) ? "Copy the beginning of the cell" : "Copy the cell", run: () => copy(value ?? "") },
    owner.selection.anchor ? { text: "Copy the selected cells", run: () => owner.selection.copy() } : undefined,
    { text: "Copy the row", run: () => copy(owner.fields.map((name) => row[FIELDS.indexOf(name)] ?? "").join("\t")) },
    null,
    ...columnItems(field),
  ];
  return items.filter((item) => item !== undefined);
}

function groupItems(place) {
  const link = place.querySelector("a");
  return [
    { text: `Open ${shortened(link.textContent)}`, run: () => link.click() },
    { text: `Copy ${shortened(link.textContent)}`, run: () => copy(textOf(place, link)) },
  ];
}

function deeper(field, value, shown, code) {
  const next = DEEPER[field];
  if (!next || isMasked(field) || isMasked(next)) return undefined;
  const named = value === null ? "(no value)" : shortened(shown);
  const narrow = (to) => to.set(field, code ?? encoded(value));
  return { text: `Drill down: ${named} by ${titleOf(next)}`, run: () => go(groupedBy([next], narrow)) };
}

function sortItems(field) {
  if (isMasked(field)) return [];
  const [up, down] = field === "event_time_utc" ? ["oldest first", "newest first"] : ["A to Z", "Z to A"];
  return [
    { text: `Sort ${up}`, run: () => go(sortedBy(field, false)) },
    { text: `Sort ${down}`, run: () => go(sortedBy(field, true)) },
  ];
}

function groupItem(field) {
  if (!GROUPABLE.includes(field) || isMasked(field)) return undefined;
  return { text: `Group by ${titleOf(field)}`, run: () => go(groupedBy([field])) };
}

/** Whether there may be more of a value than is in the page; the event's own page has all of it. */
function isCut(code) {
  return Boolean(code?.startsWith("~sha256:"));
}

function shortened(text) {
  return text.length > 40 ? `“${text.slice(0, 39)}…”` : `“${text}”`;
}
