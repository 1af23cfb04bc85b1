// The keys of the table, as the ARIA grid pattern has them.

/** `value` and so many steps on, inside [0, count). */
export function moveBy(value, steps, count) {
  return Math.max(0, Math.min(value + steps, count - 1));
}

export function startKeys(table) {
  table.table.addEventListener("keydown", (event) => pressed(event, table));
  table.table.addEventListener("focusin", (event) => {
    const cell = event.target.closest("td, th");
    const line = cell?.closest("tr");
    if (!line) return;
    table.active = { row: line.index ?? -1, column: cell.cellIndex };
    table.mark(false);
  });
}

function pressed(event, table) {
  const { row, column } = table.active;
  const step = table.window.rowsInSight;
  const last = table.rows.length - 1;
  const columns = table.fields.length;
  const whole = event.ctrlKey || event.metaKey;
  const moves = {
    ArrowDown: () => table.activate(row + 1, column),
    ArrowUp: () => table.activate(row - 1, column),
    ArrowRight: () => table.activate(row, moveBy(column, 1, columns)),
    ArrowLeft: () => table.activate(row, moveBy(column, -1, columns)),
    PageDown: () => table.activate(row + step, column),
    PageUp: () => table.activate(Math.max(0, row - step), column),
    Home: () => table.activate(whole ? 0 : row, 0),
    End: () => table.activate(whole ? last : row, columns - 1),
    Enter: () => open(event, table),
    " ": () => open(event, table),
  };
  const steps = { ArrowDown: [1, 0], ArrowUp: [-1, 0], ArrowRight: [0, 1], ArrowLeft: [0, -1] }[event.key];
  if (event.shiftKey && steps && row >= 0 && !whole && !event.altKey) {
    event.preventDefault();
    table.selection.extend(Math.min(last, row + steps[0]), moveBy(column, steps[1], columns));
    return;
  }
  if (event.key === "Escape") table.selection.clear();
  if (!moves[event.key] || event.altKey || event.target.closest("button")) return;
  event.preventDefault();
  table.selection.clear();
  moves[event.key]();
}

function open(event, table) {
  const cell = event.target.closest("td, th");
  const link = cell.tagName === "TH" ? cell.querySelector("a") : cell.closest("tr").querySelector("a");
  link?.click();
}
