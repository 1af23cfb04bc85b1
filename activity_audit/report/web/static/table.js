// The table of events: of a million rows only those in sight are in the page.
import { debounced, element } from "./dom.js";
import { moveBy, startKeys } from "./table_keys.js";
import { Rows } from "./rows.js";
import { Selection } from "./selection.js";
import { Window } from "./window.js";

export const FIELDS = [
  "event_time_utc", "event_id", "triggered_by", "entity", "instance", "activity", "outcome", "application", "comments",
];
let observer = null;

/** The text of an element with a cell's attributes, and not what is shown of it in `shown`. */
export function textOf(place, shown) {
  return "text" in place.dataset ? JSON.parse(place.dataset.text) : shown.textContent;
}

/** The table of this page, if it has one. */
export function enhanceTable() {
  observer?.disconnect();
  const table = document.getElementById("events");
  if (table) new EventTable(table);
}

/** What does not fit into a cell is there while the pointer is over it. */
function showWhole(event) {
  const cell = event.target.closest("td");
  if (!cell) return;
  if (cell.scrollWidth > cell.clientWidth) cell.title = cell.textContent;
  else cell.removeAttribute("title");
}

class EventTable {
  constructor(table) {
    this.table = table;
    table.owner = this;
    this.scroller = document.getElementById("scroller");
    this.fields = [...table.querySelectorAll("th")].map((header) => header.dataset.field);
    this.body = table.tBodies[0];
    this.shown = new Map();
    this.isWhole = table.dataset.whole === "true";
    const lines = [...this.body.rows];
    const total = this.isWhole ? Number(table.dataset.total) : lines.length;
    this.rows = new Rows({
      url: table.dataset.query, snapshot: table.dataset.snapshot, total,
      first: table.dataset.first, last: table.dataset.last, rows: lines.map((line) => this.read(line)),
    });
    this.active = { row: 0, column: 0 };
    this.frame();
    if (this.isWhole) for (const link of document.querySelectorAll("[data-tools] a")) link.hidden = true;
    this.before = element("tr", { class: "space", "aria-hidden": "true" }, element("td", { colspan: this.fields.length }));
    this.after = this.before.cloneNode(true);
    this.body.replaceChildren(this.before, this.after);
    this.window = new Window(this.scroller, table.tHead.offsetHeight);
    this.leave = debounced(() => { this.place.hidden = true; }, 900);
    this.settle = debounced(() => this.window.settle() && this.draw(), 200);
    this.scroller.addEventListener("scroll", () => {
      this.window.scrolled();
      this.draw();
      this.settle();
      this.sayPlace();
    }, { passive: true });
    observer = new ResizeObserver(() => this.draw());
    observer.observe(this.scroller);
    this.selection = new Selection(this);
    this.body.addEventListener("pointerover", showWhole);
    startKeys(this);
    this.draw();
  }

  /** The values of a line that the server wrote. Hidden columns are not in it, and are asked for with the event. */
  read(line) {
    const link = line.querySelector("a")?.href;
    const found = new Array(FIELDS.length).fill(null);
    Object.assign(found, { shown: {}, codes: {} });
    for (const cell of line.cells) {
      const place = FIELDS.indexOf(cell.dataset.field);
      if (cell.classList.contains("null")) continue;
      found[place] = textOf(cell, cell);
      if ("text" in cell.dataset) found.shown[place] = cell.textContent;
      if ("code" in cell.dataset) found.codes[place] = cell.dataset.code;
    }
    const parameters = link ? new URL(link).searchParams : new URLSearchParams();
    found[0] ??= parameters.get("at");
    found[1] ??= parameters.get("id");
    if (parameters.has("sha256")) found.codes[1] = `~sha256:${parameters.get("sha256")}`;
    return found;
  }

  frame() {
    this.table.setAttribute("role", "grid");
    this.table.setAttribute("aria-label", "Events");
    this.table.setAttribute("aria-rowcount", this.rows.total + 1);
    this.table.setAttribute("aria-colcount", this.fields.length);
    for (const attribute of ["tabindex", "role", "aria-label"]) this.scroller.removeAttribute(attribute);
    for (const part of [this.table.tHead, this.body]) part.setAttribute("role", "rowgroup");
    const heads = this.table.tHead.rows[0];
    heads.setAttribute("role", "row");
    heads.setAttribute("aria-rowindex", 1);
    for (const [index, header] of [...heads.cells].entries()) {
      header.setAttribute("role", "columnheader");
      header.setAttribute("aria-colindex", index + 1);
      header.tabIndex = -1;
      // By what is masked nobody sorts.
      const link = header.querySelector("a");
      if (link) link.tabIndex = -1;
    }
  }

  draw() {
    if (!this.table.isConnected) return;
    const height = parseFloat(getComputedStyle(document.documentElement).getPropertyValue("--row")) || 30;
    this.window.head = this.table.tHead.offsetHeight;
    this.window.resize(this.rows.length, height);
    const { first, end, before, after } = this.window.rows();
    const hadFocus = this.body.contains(document.activeElement);
    for (const [index, line] of this.shown) {
      if (index >= first && index < end) continue;
      line.remove();
      this.shown.delete(index);
    }
    let previous = this.before;
    for (let index = first; index < end; index += 1) {
      const row = this.rows.get(index);
      let line = this.shown.get(index);
      if (!line || (line.isWaiting && row)) {
        const made = this.line(index, row);
        line?.replaceWith(made);
        line = made;
        this.shown.set(index, line);
      }
      if (previous.nextSibling !== line) previous.after(line);
      previous = line;
    }
    for (const [space, pixels] of [[this.before, before], [this.after, after]]) {
      space.style.height = `${pixels}px`;
      space.firstChild.style.height = `${pixels}px`;
    }
    this.selection?.draw();
    this.mark(hadFocus);
    this.load(first, end);
  }

  /** Beside the scrollbar, while it moves: which row of how many is the first in sight. */
  sayPlace() {
    if (this.rows.length <= 3 * this.window.rowsInSight) return;
    this.place ??= element("div", { class: "place", "aria-hidden": "true" });
    if (!this.place.isConnected) this.scroller.after(this.place);
    const box = this.scroller.getBoundingClientRect();
    const share = this.scroller.scrollTop / Math.max(1, this.scroller.scrollHeight - this.scroller.clientHeight);
    const count = (number) => number.toLocaleString("en");
    this.place.textContent = `Row ${count(this.window.firstInSight + 1)} of ${count(this.rows.total)}`;
    this.place.style.top = `${box.top + this.window.head + share * (box.height - this.window.head - 36)}px`;
    this.place.style.right = `${innerWidth - box.right + 24}px`;
    this.place.hidden = false;
    this.leave();
  }

  async load(first, end) {
    try {
      if (await this.rows.want(first, end)) this.draw();
    } catch (error) {
      this.fail(error);
    }
  }

  fail(error) {
    if (document.getElementById("rows-failed")) return;
    const again = element("button", { type: "button", onclick: () => {
      document.getElementById("rows-failed").remove();
      this.draw();
    } }, "Try again");
    const text = `The rows here cannot be loaded. ${error instanceof TypeError ? "The report cannot be reached." : error.message} `;
    this.scroller.before(element("div", { class: "note bad row", id: "rows-failed", role: "alert" }, text, again));
  }

  line(index, row) {
    const line = element("tr", { class: "event", role: "row", "aria-rowindex": index + 2 });
    line.isWaiting = !row;
    for (const [column, field] of this.fields.entries()) {
      const value = row?.[FIELDS.indexOf(field)];
      const cell = element("td", {
        class: field, role: "gridcell", "aria-colindex": column + 1, tabindex: "-1", "data-field": field,
      });
      if (!row) cell.classList.add("waiting");
      else if (value === null || value === undefined) cell.classList.add("null");
      if (field === "outcome" && value) cell.classList.add(value);
      const text = row ? (row.shown?.[FIELDS.indexOf(field)] ?? value ?? "—") : column ? "" : "…";
      cell.append(row && column === 0 ? element("a", { href: this.eventUrl(row), tabindex: "-1" }, text) : text);
      line.append(cell);
    }
    line.index = index;
    return line;
  }

  eventUrl(row) {
    const url = new URL(this.table.dataset.event, location.href);
    const sha256 = row.codes?.[1]?.match(/^~sha256:(.*)/)?.[1];
    if (sha256) url.searchParams.set("sha256", sha256);
    else url.searchParams.set("id", row[1]);
    url.searchParams.set("at", row[0].replace(" ", "T"));
    return url.pathname + url.search;
  }

  /** One cell takes part in the order of the Tab key: the active one, or the nearest in sight. */
  mark(focus) {
    for (const cell of this.table.querySelectorAll('[tabindex="0"]')) cell.tabIndex = -1;
    const cell = this.cell() ?? this.table.querySelector("tr.event td");
    if (!cell) return;
    cell.tabIndex = 0;
    if (focus && this.cell()) cell.focus({ preventScroll: true });
  }

  /** The active cell, null while it is out of sight. */
  cell() {
    const line = this.active.row < 0 ? this.table.tHead.rows[0] : this.shown.get(this.active.row);
    return line?.cells[this.active.column] ?? null;
  }

  /** Focus what is like the header or cell of a table that was here before: the header, or the first row's cell. */
  focusLike(cell) {
    this.active = { row: cell.tagName === "TH" ? -1 : 0, column: Math.max(0, this.fields.indexOf(cell.dataset.field)) };
    this.mark(true);
  }

  activate(row, column) {
    this.active = { row: Math.max(-1, Math.min(row, this.rows.length - 1)), column: moveBy(column, 0, this.fields.length) };
    if (row >= 0) {
      this.window.reveal(this.active.row);
      this.draw();
    }
    this.mark(false);
    const cell = this.cell();
    cell?.focus({ preventScroll: row >= 0 });
    cell?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  /** What a cell is about: its field, its value as the warehouse has it, and the whole row. */
  about(cell) {
    const row = this.rows.get(cell.closest("tr").index);
    const place = FIELDS.indexOf(cell.dataset.field);
    const value = row?.[place] ?? null;
    return row && { field: cell.dataset.field, value, shown: row.shown?.[place] ?? value, code: row.codes?.[place], row };
  }
}
