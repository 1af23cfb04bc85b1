// Cells that are selected from one corner to the other, by mouse or keyboard, and copied as a spreadsheet takes them.
import { copy, say } from "./dom.js";
import { FIELDS } from "./table.js";

const MOST_ROWS = 10_000;

export class Selection {
  constructor(table) {
    this.table = table;
    this.anchor = null;
    this.end = null;
    const grid = table.table;
    grid.setAttribute("aria-multiselectable", "true");
    grid.addEventListener("pointerdown", (event) => this.pressed(event));
    grid.addEventListener("pointerover", (event) => this.dragged(event));
    grid.addEventListener("pointerup", () => grid.classList.remove("selecting"));
    // The browser would select the text in between.
    grid.addEventListener("mousedown", (event) => event.shiftKey && event.target.closest("tr.event") && event.preventDefault());
    // A link would be dragged away, and the cells stay where they are.
    grid.tBodies[0].addEventListener("dragstart", (event) => event.preventDefault());
    grid.addEventListener("keydown", (event) => {
      if (!(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== "c" || !event.target.closest("tr.event")) return;
      if (!this.anchor && !getSelection().isCollapsed) return;
      event.preventDefault();
      this.copy();
    });
    grid.addEventListener("click", (event) => {
      // What was chosen with Shift, or by dragging, is not opened as well.
      if (event.target.closest("tr.event") && (event.shiftKey || this.wasDragged)) event.preventDefault();
      this.wasDragged = false;
    }, true);
  }

  /** Up to the active cell, from the one where that began. */
  extend(row, column) {
    this.anchor ??= { ...this.table.active };
    if (this.anchor.row < 0) this.anchor = { row, column };
    this.end = { row, column };
    this.table.activate(row, column);
    this.draw();
    const { rows, columns } = this.size();
    say(`${rows * columns} cells selected`, { quietly: true });
  }

  clear() {
    if (!this.anchor) return;
    this.anchor = null;
    this.draw();
  }

  pressed(event) {
    const cell = event.target.closest("tr.event td");
    if (!cell || event.button || matchMedia("(max-width: 50rem)").matches) return;
    const place = this.placeOf(cell);
    this.from = place;
    this.wasDragged = false;
    if (event.shiftKey) this.extend(place.row, place.column);
    else this.clear();
  }

  dragged(event) {
    const cell = event.target.closest("tr.event td");
    if (!cell || event.buttons !== 1 || !this.from || event.pointerType === "touch") return;
    const place = this.placeOf(cell);
    if (!this.wasDragged && place.row === this.from.row && place.column === this.from.column) return;
    this.wasDragged = true;
    this.anchor = this.from;
    this.end = place;
    this.table.table.classList.add("selecting");
    getSelection().removeAllRanges();
    this.table.activate(place.row, place.column);
    this.draw();
  }

  placeOf(cell) {
    return { row: cell.closest("tr").index, column: cell.cellIndex };
  }

  /** The corners of what is selected, else the active cell; and how many rows and columns. */
  size() {
    const from = this.anchor ?? this.table.active;
    const to = this.anchor ? this.end : this.table.active;
    const [top, bottom] = [from.row, to.row].sort((a, b) => a - b);
    const [left, right] = [from.column, to.column].sort((a, b) => a - b);
    return { top, bottom, left, right, rows: bottom - top + 1, columns: right - left + 1 };
  }

  /** Mark the cells that are in the page. */
  draw() {
    const { top, bottom, left, right } = this.size();
    for (const [index, line] of this.table.shown) {
      for (const cell of line.cells) {
        const isIn = this.anchor !== null && index >= top && index <= bottom && cell.cellIndex >= left && cell.cellIndex <= right;
        cell.classList.toggle("selected", isIn);
        if (isIn) cell.setAttribute("aria-selected", "true");
        else cell.removeAttribute("aria-selected");
      }
    }
  }

  async copy() {
    const { top, bottom, left, right, rows, columns } = this.size();
    if (rows > MOST_ROWS) {
      say(`At most ${MOST_ROWS.toLocaleString("en")} rows are copied; Export has all of them.`);
      return;
    }
    const fields = this.table.fields.slice(left, right + 1).map((field) => FIELDS.indexOf(field));
    try {
      await this.table.rows.want(top, bottom + 1);
    } catch (error) {
      this.table.fail(error);
      return;
    }
    const lines = [];
    for (let index = top; index <= bottom; index += 1) {
      const row = this.table.rows.get(index);
      if (!row) {
        say("Not all of these rows have come yet. Try again.");
        return;
      }
      lines.push(fields.map((place) => quoted(row[place] ?? "")).join("\t"));
    }
    await copy(lines.join("\n"), rows * columns === 1 ? "Copied" : `Copied ${(rows * columns).toLocaleString("en")} cells`);
  }
}

/** A text as spreadsheets paste it into one cell. */
function quoted(text) {
  return /[\t\n\r"]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
