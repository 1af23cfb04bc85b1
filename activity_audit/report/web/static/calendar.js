// A calendar for the prompt's first and last day, where the days that are loaded are marked.
import { element, parsed } from "./dom.js";

/** A button beside the days of this page's prompt. */
export function addCalendars() {
  for (const days of document.querySelectorAll("[data-prompt] .days")) {
    const button = element("button", { type: "button", class: "calendar-button", "aria-haspopup": "dialog" }, "Calendar");
    button.addEventListener("click", () => open(days.closest("form"), button));
    days.append(button);
  }
}

async function open(form, button) {
  const [from, to] = [form.elements.from, form.elements.to];
  const body = element("div", { class: "calendar-body" });
  const said = element("p", { class: "muted", role: "status" }, "Choose the first day.");
  const close = element("button", { type: "button", onclick: () => dialog.close() }, "Cancel");
  const dialog = element("dialog", { class: "popover", "aria-label": "Choose the period" }, said, body, close);
  let first = null;
  dialog.addEventListener("close", () => {
    dialog.remove();
    button.focus();
  });
  dialog.addEventListener("click", async (event) => {
    if (event.target === dialog) dialog.close();
    const month = event.target.closest("[data-month]")?.dataset.month;
    if (month) await show(body, month);
    const day = event.target.closest("[data-day]")?.dataset.day;
    if (!day) return;
    if (!first) {
      first = day;
      mark(body, first, first);
      said.textContent = `From ${first}. Choose the last day.`;
      return;
    }
    [from.value, to.value] = [first, day].sort();
    form.querySelector("[value=from-to]").checked = true;
    dialog.close();
  });
  dialog.addEventListener("keydown", (event) => pressed(event, body));
  document.body.append(dialog);
  const box = button.getBoundingClientRect();
  dialog.showModal();
  if (!await show(body, from.value.slice(0, 7))) await show(body, "");
  mark(body, from.value.slice(0, 10), to.value.slice(0, 10));
  dialog.style.left = `${Math.max(8, Math.min(box.left, innerWidth - dialog.offsetWidth - 8))}px`;
  dialog.style.top = `${Math.max(8, Math.min(box.bottom + 4, innerHeight - dialog.offsetHeight - 8))}px`;
  (body.querySelector("[aria-pressed=true]") ?? body.querySelector("[data-day]"))?.focus();
}

/** Show a month; false if there is none. */
async function show(body, month) {
  try {
    const answer = await fetch(`/days?month=${encodeURIComponent(month)}`, { headers: { Accept: "text/html" } });
    if (!answer.ok || answer.redirected) throw new Error(answer.statusText);
    body.replaceChildren(...parsed(await answer.text()).body.childNodes);
  } catch {
    if (!month) body.replaceChildren(element("p", {}, "The calendar cannot be had just now. Type the days."));
    return false;
  }
  body.querySelector("[data-day]").tabIndex = 0;
  return true;
}

function mark(body, first, last) {
  for (const day of body.querySelectorAll("[data-day]")) day.setAttribute("aria-pressed", day.dataset.day >= first && day.dataset.day <= last);
}

async function pressed(event, body) {
  const day = event.target.closest("[data-day]");
  const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -7, ArrowDown: 7 }[event.key];
  const turn = { PageUp: 0, PageDown: 1 }[event.key];
  if (!day || (steps === undefined && turn === undefined)) return;
  event.preventDefault();
  const days = () => [...body.querySelectorAll("[data-day]")];
  let to = days().indexOf(day) + (steps ?? 0);
  const length = days().length;
  if (turn !== undefined || to < 0 || to >= length) {
    const forth = turn ?? Number(to >= length);
    if (!await show(body, body.querySelectorAll("[data-month]")[forth].dataset.month)) return;
    if (turn === undefined) to = forth ? to - length : days().length + to;
  }
  const target = days()[Math.min(to, days().length - 1)];
  for (const one of days()) one.tabIndex = one === target ? 0 : -1;
  target.focus();
}
