// Three steps for somebody who is new here, each beside what it is about; and the times of the help page's example.
import { announce, element } from "./dom.js";

const KEPT = "activity-audit.tour";
const STEPS = [
  { before: "#prompt-form", text: "Choose applications and a period, then Run report. None chosen means all applications." },
  { before: ".split", text: "Tick values to filter. Click a title to sort. The right mouse button on a cell or a title, or Shift+F10, has all the rest." },
  { before: ".head", text: "The line above says how far the data reach, and whether they are in order. It leads to the quality pages. Help says what each word means." },
];

/** Offer the tour on the prompt to who was never here, or go on with it where its next step is. */
export function showTour() {
  document.getElementById("tour")?.remove();
  const isPrompt = !document.getElementById("results") && Boolean(document.getElementById("prompt-form"));
  const kept = recall();
  if (kept === "done") return;
  if (kept === null) {
    if (isPrompt) show("#prompt-form", "New here? Three steps show how to use the report.", ["Show me", () => step(0)], ["No, thanks", end]);
  } else if (isPrompt) step(0);
  else if (document.getElementById("results")) step(Math.max(1, Number(kept)));
}

export function startTour() {
  const button = document.querySelector("[data-tour]");
  if (button) {
    button.hidden = false;
    button.addEventListener("click", () => {
      keep("0");
      location.assign("/");
    });
  }
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const example = document.getElementById("example-utc");
  if (!example || !zone) return;
  const parts = { dateStyle: "short", timeStyle: "medium", timeZone: zone };
  const [title, time] = document.querySelectorAll("[data-own-zone], [data-own-time]");
  title.textContent = `For you, in ${zone}`;
  time.textContent = new Intl.DateTimeFormat("sv-SE", parts).format(new Date(example.dateTime));
  title.hidden = time.hidden = false;
}

function step(number) {
  keep(String(number));
  const { before, text } = STEPS[number];
  const isLast = number === STEPS.length - 1;
  const next = number === 0 ? [] : [[isLast ? "Done" : "Next", () => (isLast ? end() : step(number + 1))]];
  show(before, text, ...next, ...(isLast ? [] : [["End the tour", end]]), `${number + 1} of ${STEPS.length}`);
}

function show(before, text, ...rest) {
  document.getElementById("tour")?.remove();
  const title = typeof rest.at(-1) === "string" ? rest.pop() : "";
  const buttons = rest.map(([name, run]) => element("button", { type: "button", onclick: run }, name));
  const said = element("p", {}, element("strong", {}, title), title ? " " : "", text);
  const card = element("section", { class: "note tour", id: "tour", "aria-label": `Tour ${title}`.trim() }, said, element("p", { class: "row" }, ...buttons));
  document.querySelector(before)?.before(card);
  if (title) announce(`${title}: ${text}`);
}

function end() {
  keep("done");
  document.getElementById("tour")?.remove();
}

function recall() {
  try {
    return localStorage.getItem(KEPT);
  } catch {
    // Where nothing can be kept, the tour would be offered on every page.
    return "done";
  }
}

function keep(state) {
  try {
    localStorage.setItem(KEPT, state);
  } catch {
    // It is offered no more in this page.
  }
}
