// Charts by mouse and keyboard: one stop for all columns, arrows between them, and a brush over several of them.
import { announce } from "./dom.js";
import { zoomedInto } from "./links.js";
import { go } from "./pages.js";

// A press that moves no further than this is a click.
const CLICK = 5;
let brush = null;

/** Of all columns of a chart, or cells of a cross table, one is a stop of the Tab key. */
export function enhanceCharts() {
  for (const chart of document.querySelectorAll("[data-chart]")) {
    columnsOf(chart).forEach((column, place) => column.setAttribute("tabindex", place ? "-1" : "0"));
  }
  for (const table of document.querySelectorAll(".cross")) {
    table.querySelectorAll("td a").forEach((link, place) => link.setAttribute("tabindex", place ? "-1" : "0"));
  }
}

export function startCharts() {
  document.addEventListener("pointerdown", began);
  document.addEventListener("pointermove", moved);
  document.addEventListener("pointerup", ended);
  document.addEventListener("pointercancel", () => stop());
  document.addEventListener("keydown", pressed);
  // A link or its picture would be dragged away instead.
  document.addEventListener("dragstart", (event) => event.target.closest?.("[data-chart]") && event.preventDefault());
}

function columnsOf(chart) {
  return [...chart.querySelectorAll(".column")];
}

function began(event) {
  const chart = event.target.closest?.("[data-chart]");
  if (!chart || event.button || event.shiftKey || event.ctrlKey || event.metaKey) return;
  const columns = columnsOf(chart);
  if (columns.some((column) => column.dataset.zoom)) brush = { chart, columns, from: event.clientX, moved: false };
}

function moved(event) {
  if (!brush || (!brush.moved && Math.abs(event.clientX - brush.from) < CLICK)) return;
  brush.moved = true;
  brush.chart.classList.add("brushing");
  const [left, right] = [brush.from, event.clientX].sort((one, other) => one - other);
  pick(brush.columns.filter((column) => {
    const box = column.querySelector(".hit").getBoundingClientRect();
    return box.right > left && box.left < right;
  }), brush.columns);
}

function ended() {
  if (!brush) return;
  const { chart, columns } = brush;
  const picked = brush.moved ? columns.filter((column) => column.classList.contains("picked")) : [];
  if (brush.moved) {
    // The click that follows is the end of the drag.
    const swallow = (event) => {
      event.preventDefault();
      event.stopPropagation();
    };
    addEventListener("click", swallow, { capture: true, once: true });
    setTimeout(() => removeEventListener("click", swallow, { capture: true }), 0);
  }
  stop();
  if (picked.length) zoom(picked);
  else pick([], columnsOf(chart));
}

function stop() {
  brush?.chart.classList.remove("brushing");
  brush = null;
}

function pick(picked, columns) {
  for (const column of columns) column.classList.toggle("picked", picked.includes(column));
}

function zoom(columns) {
  const [begin] = columns[0].dataset.zoom.split("/");
  const [, end] = columns.at(-1).dataset.zoom.split("/");
  go(zoomedInto(location.pathname, begin, end));
}

function pressed(event) {
  const column = document.activeElement?.closest?.("[data-chart] .column");
  if (!column) return;
  const columns = columnsOf(column.closest("[data-chart]"));
  const at = columns.indexOf(column);
  const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: columns.length - 1 }[event.key];
  if (to !== undefined) {
    event.preventDefault();
    const next = columns[Math.max(0, Math.min(to, columns.length - 1))];
    const anchor = event.shiftKey ? columns.find((one) => one.dataset.anchor) ?? column : null;
    for (const one of columns) delete one.dataset.anchor;
    if (anchor) {
      anchor.dataset.anchor = "1";
      const [first, last] = [columns.indexOf(anchor), columns.indexOf(next)].sort((one, other) => one - other);
      pick(columns.slice(first, last + 1), columns);
      announce(`${last - first + 1} chosen; Enter zooms into them`);
    } else pick([], columns);
    column.setAttribute("tabindex", "-1");
    next.setAttribute("tabindex", "0");
    next.focus();
  } else if (event.key === "Enter") {
    const picked = columns.filter((one) => one.classList.contains("picked"));
    if (picked.length < 2 || !picked[0].dataset.zoom) return;
    event.preventDefault();
    zoom(picked);
  } else if (event.key === "Escape") pick([], columns);
}
