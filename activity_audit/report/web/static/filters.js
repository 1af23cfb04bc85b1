// Filters that apply at once, and lists that are searched while somebody types.
import { announce, debounced, element, parsed } from "./dom.js";
import { formUrl, linkTo } from "./links.js";
import { go } from "./pages.js";
import { oneStopEach } from "./stops.js";

const PAUSE = 250;

export function startFilters() {
  document.addEventListener("submit", submitted);
  document.addEventListener("change", changed);
  document.addEventListener("input", typed);
  document.addEventListener("toggle", opened, true);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.target.matches("[data-list] input[type=search]")) event.preventDefault();
  });
  if (matchMedia("(max-width: 50rem)").matches) document.querySelector("[data-filters]")?.removeAttribute("open");
}

/** Have the open lists that are not in the page, because much must be read for them. */
export function loadLists() {
  document.querySelectorAll("[data-list][open]").forEach(loadOnce);
}

function submitted(event) {
  const form = event.target;
  if (form.method !== "get" || !form.closest("main") || !document.getElementById("results")) return;
  event.preventDefault();
  go(formUrl(form));
}

function changed(event) {
  const control = event.target;
  if (control.matches(".days input")) control.form.querySelector("[value=from-to]").checked = true;
  if (control.type === "search") return;
  const form = control.closest("#filter-form, [data-now]");
  if (form) go(formUrl(form));
}

const typed = debounced((event) => {
  const list = event.target.closest?.("[data-list]");
  if (list && event.target.type === "search") load(list, event.target.value);
}, PAUSE);

function opened(event) {
  if (event.target.dataset?.list && event.target.open) loadOnce(event.target);
}

function loadOnce(list) {
  if (!("loaded" in list.dataset)) load(list, "");
}

async function load(list, search) {
  list.dataset.loaded = "";
  list.asked?.abort();
  list.asked = new AbortController();
  const url = linkTo("/values", (to) => {
    to.set("field", list.dataset.list);
    to.set("search", search);
  });
  const values = list.querySelector("[data-values]");
  try {
    const answer = await fetch(url, { signal: list.asked.signal });
    // Who is not signed in any more is led to the form for that, which is no list of values.
    if (!answer.ok || answer.redirected) throw new Error(answer.statusText);
    values.replaceChildren(...parsed(await answer.text()).body.childNodes);
    oneStopEach(values);
    announce(`${values.querySelectorAll("input").length} values`);
  } catch (error) {
    if (error.name === "AbortError") return;
    // What is chosen stays: without it the next filter would drop this one.
    const chosen = [...values.querySelectorAll("input:checked")].map((box) => box.closest("li"));
    values.replaceChildren(...chosen, element("li", { class: "muted" }, "The values cannot be had just now."));
  }
}
