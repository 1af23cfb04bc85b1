// The filter of one column: a form at its title, and the same form in the pane.
import { element } from "./dom.js";
import { formUrl } from "./links.js";
import { go } from "./pages.js";

const TIME = "event_time_utc";

export function startColumnFilters() {
  document.addEventListener("change", (event) => {
    const form = event.target.closest?.("[data-column-form]");
    if (form && event.target.tagName === "SELECT") fit(form);
  });
}

/** Have the forms of this page offer what can be asked of their column. */
export function fitColumnForms() {
  document.querySelectorAll("[data-column-form]").forEach(fit);
}

/** Whether the reader may filter by the column. */
export function hasColumnFilter(field) {
  return Boolean(document.querySelector(`#column-form [name=column] option[value="${field}"]`));
}

/** Open the form of one column at a point of the page. */
export function openColumnFilter(field, title, x, y) {
  const form = document.getElementById("column-form").cloneNode(true);
  form.removeAttribute("id");
  form.removeAttribute("class");
  const column = form.querySelector("[name=column]");
  column.closest("label").replaceWith(element("input", { type: "hidden", name: "column", value: field }));
  const text = form.querySelector("[name=what]");
  const known = [...document.querySelectorAll(`#list-${field} [data-values] .what:not(.muted)`)];
  if (known.length) {
    form.append(element("datalist", { id: "known-values" }, ...known.map((one) => element("option", { value: one.textContent.trim() }))));
    text.setAttribute("list", "known-values");
  }
  const close = element("button", { type: "button", onclick: () => dialog.close() }, "Cancel");
  form.querySelector("button").after(close);
  const dialog = element("dialog", { class: "popover", "aria-labelledby": "column-filter-title" }, element("h2", { id: "column-filter-title" }, `Filter ${title}`), form);
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const url = formUrl(form);
    // The focus goes back to the column first, and so to the same one of the next page.
    dialog.close();
    go(url);
  });
  document.body.append(dialog);
  fit(form);
  dialog.showModal();
  dialog.style.left = `${Math.max(8, Math.min(x, innerWidth - dialog.offsetWidth - 8))}px`;
  dialog.style.top = `${Math.max(8, Math.min(y, innerHeight - dialog.offsetHeight - 8))}px`;
  form.querySelector(field === TIME ? "[name=what]" : "[name=how]").focus();
}

/** What can be asked of the column, and whether a text goes with it. */
function fit(form) {
  const isTime = form.elements.column.value === TIME;
  const how = form.elements.how;
  for (const option of how.options) option.hidden = option.disabled = (option.value === "time-of-day") !== isTime;
  if (how.selectedOptions[0]?.disabled !== false) how.value = isTime ? "time-of-day" : "contains";
  const isBare = how.value.endsWith("empty");
  const what = form.elements.what;
  what.closest("label").hidden = isBare;
  what.required = !isBare;
  if (isBare) what.value = "";
  if (isTime) what.pattern = "\\s*([01]?\\d|2[0-4]):[0-5]\\d\\s*-\\s*([01]?\\d|2[0-4]):[0-5]\\d\\s*";
  else what.removeAttribute("pattern");
  what.placeholder = isTime ? "08:00-18:00" : "";
  what.title = isTime ? "From and to, as 08:00-18:00" : "";
  form.querySelector("[data-hint]").hidden = !isTime;
}
