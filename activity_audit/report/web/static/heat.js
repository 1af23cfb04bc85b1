// The keys of a heat map: one stop for Tab, from which the arrows lead from field to field.
import { moveBy } from "./table_keys.js";

export function startHeatKeys() {
  document.addEventListener("keydown", (event) => {
    const field = event.target.closest(".heat td, .cross td");
    if (!field || event.altKey || event.ctrlKey || event.metaKey) return;
    const lines = field.closest("tbody").rows;
    const [line, place] = [field.parentElement.sectionRowIndex, field.cellIndex];
    const last = field.parentElement.cells.length - 1;
    const moves = {
      ArrowDown: [moveBy(line, 1, lines.length), place],
      ArrowUp: [moveBy(line, -1, lines.length), place],
      ArrowRight: [line, Math.min(place + 1, last)],
      ArrowLeft: [line, Math.max(place - 1, 1)],
      Home: [line, 1],
      End: [line, last],
    };
    const to = moves[event.key];
    if (!to) return;
    event.preventDefault();
    const link = lines[to[0]].cells[to[1]].querySelector("a");
    // A field of a cross table without events leads nowhere.
    if (!link) return;
    event.target.tabIndex = -1;
    link.tabIndex = 0;
    link.focus();
  });
}
