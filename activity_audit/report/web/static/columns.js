// Columns: wider and narrower (kept in this browser), in another order or hidden (kept in the URL).
import { element } from "./dom.js";
import { withColumns } from "./links.js";
import { openMenu } from "./menu.js";
import { go } from "./pages.js";
import { FIELDS } from "./table.js";

const KEPT = "activity-audit.column-widths";
const NARROWEST = 70;
const STEP = 40;
const WIDEST = 700;
// What a cell, and a title with its button, have beside their text.
const CELL_EDGES = 20;
const TITLE_EDGES = 44;
const TITLES = {
  event_time_utc: "Event Time (UTC)", event_id: "Event ID", triggered_by: "Triggered By", entity: "Entity",
  instance: "Instance", activity: "Activity", outcome: "Outcome", application: "Application", comments: "Comments",
};

export function titleOf(field) {
  return TITLES[field];
}

export function startColumns() {
  document.addEventListener("pointerdown", grab);
  document.addEventListener("dblclick", (event) => {
    const header = event.target.closest?.(".grip")?.closest("th");
    if (header) fitWidth(header.dataset.field);
  });
  document.addEventListener("dragstart", (event) => {
    const header = event.target.closest?.("#events th");
    if (!header) return;
    event.dataTransfer.setData("text/plain", header.dataset.field);
    event.dataTransfer.effectAllowed = "move";
    header.classList.add("dragged");
  });
  document.addEventListener("dragover", (event) => {
    const header = event.target.closest?.("#events th");
    for (const other of document.querySelectorAll("#events th.target")) other.classList.remove("target");
    if (!header || !document.querySelector("#events th.dragged")) return;
    event.preventDefault();
    header.classList.add("target");
  });
  document.addEventListener("dragend", () => {
    for (const header of document.querySelectorAll("#events th")) header.classList.remove("dragged", "target");
  });
  document.addEventListener("drop", (event) => {
    const header = event.target.closest?.("#events th");
    const dragged = document.querySelector("#events th.dragged");
    if (!header || !dragged || header === dragged) return;
    event.preventDefault();
    move(dragged.dataset.field, shown().indexOf(header.dataset.field));
  });
}

/** Handles, buttons and kept widths for the table of this page. */
export function enhanceColumns() {
  const table = document.getElementById("events");
  if (!table) return;
  for (const header of table.querySelectorAll("th")) {
    header.draggable = true;
    const title = TITLES[header.dataset.field];
    const more = element("button", { type: "button", class: "more", tabindex: "-1", "aria-haspopup": "menu", "aria-label": `More about ${title}` }, "⋮");
    more.addEventListener("click", async () => {
      const box = more.getBoundingClientRect();
      (await import("./cell_menu.js")).show(header, box.left, box.bottom);
    });
    header.querySelector(".in").append(more);
    header.append(element("span", { class: "grip", "aria-hidden": "true" }));
  }
  // Where an event is a card there are no titles to sort by, and no columns to choose.
  document.querySelector("[data-tools]")?.append(tool("sort", "Sort", orderItems), tool("columns", "Columns", chooserItems));
  applyWidths(table, kept());
}

function tool(id, text, items) {
  const button = element("button", { type: "button", id, "aria-haspopup": "menu" }, text);
  button.addEventListener("click", () => {
    const box = button.getBoundingClientRect();
    openMenu(items(), box.left, box.bottom + 2, text);
  });
  return button;
}

function orderItems() {
  return [...document.querySelectorAll("#events th:has(a)")].map((header) => {
    const link = header.querySelector("a");
    return { text: titleOf(header.dataset.field), checked: header.hasAttribute("aria-sort"), run: () => link.click() };
  });
}

/** What a menu offers for one column. */
export function columnItems(field) {
  const now = shown();
  const at = now.indexOf(field);
  return [
    at > 0 ? { text: "Move left", run: () => move(field, at - 1) } : undefined,
    at < now.length - 1 ? { text: "Move right", run: () => move(field, at + 1) } : undefined,
    { text: "Fit to its content", run: () => fitWidth(field) },
    { text: "Wider", run: () => widen(field, STEP) },
    { text: "Narrower", run: () => widen(field, -STEP) },
    now.length > 1 ? { text: `Hide ${TITLES[field]}`, run: () => go(withColumns(now.filter((other) => other !== field))) } : undefined,
    now.length < FIELDS.length ? { text: "Show all columns", run: () => go(withColumns(FIELDS)) } : undefined,
  ].filter((item) => item !== undefined);
}

function chooserItems() {
  const now = shown();
  const boxes = FIELDS.map((field) => ({ text: TITLES[field], checked: now.includes(field), run: () => toggle(field) }));
  return [...boxes, null, { text: "The report's own columns and widths", run: () => {
    localStorage.removeItem(KEPT);
    go(withColumns(FIELDS));
  } }];
}

function toggle(field) {
  const now = shown();
  if (!now.includes(field)) go(withColumns([...now, field]));
  else if (now.length > 1) go(withColumns(now.filter((other) => other !== field)));
}

function move(field, to) {
  const rest = shown().filter((other) => other !== field);
  rest.splice(to, 0, field);
  go(withColumns(rest));
}

function shown() {
  return [...document.querySelectorAll("#events th")].map((header) => header.dataset.field);
}

function kept() {
  try {
    return JSON.parse(localStorage.getItem(KEPT)) ?? {};
  } catch {
    return {};
  }
}

function applyWidths(table, widths) {
  // As wide as its columns are, where somebody has chosen them; else as its box.
  table.classList.toggle("chosen", shown().length < FIELDS.length || Object.keys(widths).length > 0);
  for (const column of table.querySelectorAll("col")) column.style.width = widths[column.dataset.field] ? `${widths[column.dataset.field]}px` : "";
  // What gets the focus is not behind the column that stays.
  const first = table.querySelector("th");
  table.parentElement.style.scrollPaddingLeft = first.dataset.field === "event_time_utc" ? `${first.offsetWidth}px` : "";
}

/** As wide as what is in sight of the column. */
function fitWidth(field) {
  const table = document.getElementById("events");
  const range = document.createRange();
  const widths = [...table.querySelectorAll(`td.${field}`)].map((cell) => {
    range.selectNodeContents(cell);
    const cut = cell.scrollWidth > cell.clientWidth ? cell.scrollWidth : 0;
    return Math.max(range.getBoundingClientRect().width, cut) + CELL_EDGES;
  });
  const header = table.querySelector(`th[data-field="${field}"]`);
  range.selectNodeContents(header.querySelector("a") ?? header);
  setWidth(table, field, Math.min(WIDEST, Math.max(range.getBoundingClientRect().width + TITLE_EDGES, ...widths)));
}

function widen(field, by) {
  const table = document.getElementById("events");
  const header = table.querySelector(`th[data-field="${field}"]`);
  setWidth(table, field, header.offsetWidth + by);
}

function setWidth(table, field, width) {
  const widths = { ...kept(), [field]: Math.max(NARROWEST, Math.round(width)) };
  localStorage.setItem(KEPT, JSON.stringify(widths));
  applyWidths(table, widths);
}

function grab(event) {
  const grip = event.target.closest?.(".grip");
  if (!grip) return;
  event.preventDefault();
  const header = grip.closest("th");
  const table = header.closest("table");
  const from = event.clientX;
  const width = header.offsetWidth;
  header.draggable = false;
  grip.setPointerCapture(event.pointerId);
  const moved = (at) => setWidth(table, header.dataset.field, width + at.clientX - from);
  grip.addEventListener("pointermove", moved);
  grip.addEventListener("pointerup", () => {
    grip.removeEventListener("pointermove", moved);
    header.draggable = true;
  }, { once: true });
}
