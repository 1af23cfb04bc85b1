// One stop of the Tab key for each list of boxes to tick; the arrows go on inside it.
const LISTS = "[data-values], .choices";

export function startStops() {
  document.addEventListener("keydown", (event) => {
    const list = event.target.closest?.(LISTS);
    if (!list || event.target.type !== "checkbox" || event.altKey || event.ctrlKey || event.metaKey) return;
    const boxes = boxesOf(list);
    const at = boxes.indexOf(event.target);
    const to = { ArrowDown: at + 1, ArrowRight: at + 1, ArrowUp: at - 1, ArrowLeft: at - 1, Home: 0, End: boxes.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    boxes[to]?.focus();
  });
  document.addEventListener("focusin", (event) => {
    const list = event.target.closest?.(LISTS);
    if (list && event.target.type === "checkbox") mark(list, event.target);
  });
  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-skip-to-events]")) return;
    const cell = document.querySelector("#events [tabindex='0']");
    if (!cell) return;
    event.preventDefault();
    cell.focus();
  });
}

/** Have each list of the page, or the one that came, be one stop. */
export function oneStopEach(within = document) {
  for (const list of within.matches?.(LISTS) ? [within] : within.querySelectorAll(LISTS)) {
    const boxes = boxesOf(list);
    mark(list, boxes.find((box) => box === document.activeElement) ?? boxes.find((box) => box.checked) ?? boxes[0]);
  }
}

function boxesOf(list) {
  return [...list.querySelectorAll("input[type=checkbox]")];
}

function mark(list, stop) {
  for (const box of boxesOf(list)) box.tabIndex = box === stop ? 0 : -1;
}
