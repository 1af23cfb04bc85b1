// Going from one view to the next without loading everything anew; what is under way can be cancelled.
import { announce, element, parsed } from "./dom.js";

const VIEWS = ["/", "/groups", "/pictures"];
const BUSY_AFTER = 250;
const listeners = [];
let underWay = null;
let here = location.pathname + location.search;

/** Call `run` for the page that is there, and for every one that takes its place. */
export function onPage(run) {
  listeners.push(run);
}

export function startPages() {
  document.addEventListener("click", followLink);
  addEventListener("popstate", () => {
    // A jump inside the page, such as the one to its content, is no other view.
    if (location.pathname + location.search !== here) go(location.href, { push: false });
  });
  for (const run of listeners) run();
}

/** Whether the URL is a view of the report that can take the place of the one that is there. */
export function isView(url) {
  return url.origin === location.origin && VIEWS.includes(url.pathname) && Boolean(url.search);
}

function followLink(event) {
  const link = event.target.closest("main a[href], dialog a[href]");
  if (!link || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey) return;
  const href = typeof link.href === "string" ? link.href : link.getAttribute("href");
  const url = new URL(href, location.href);
  if (!isView(url) || !document.getElementById("results")) return;
  event.preventDefault();
  document.querySelector("dialog[open]")?.close();
  go(url.href);
}

/** Show the view at this URL; the one before is stopped if it is still on its way. */
export async function go(href, { push = true } = {}) {
  underWay?.abort();
  const mine = new AbortController();
  underWay = mine;
  const busy = showBusy(mine);
  try {
    const answer = await fetch(href, { headers: { Accept: "text/html" }, signal: mine.signal });
    const text = await answer.text();
    const url = new URL(answer.url);
    if (url.pathname === "/login" || !answer.headers.get("content-type")?.startsWith("text/html")) {
      location.assign(href);
      return;
    }
    if (push) history.pushState(null, "", url.pathname + url.search);
    here = location.pathname + location.search;
    show(parsed(text));
  } catch (error) {
    if (error.name !== "AbortError") showFailure(() => go(href));
    else if (mine.byHand) {
      announce("Cancelled. The page shows what it showed before.");
      notice("Cancelled: the page shows what it showed before.", () => go(href));
    }
  } finally {
    busy.done();
    if (underWay === mine) underWay = null;
  }
}

function show(page) {
  const main = document.getElementById("main");
  const state = remember(main);
  main.className = page.getElementById("main").className;
  main.replaceChildren(...page.getElementById("main").childNodes);
  document.title = page.title;
  for (const run of listeners) run();
  restore(main, state);
  main.querySelector("[aria-invalid=true]")?.focus();
  if (state.cell) document.getElementById("events")?.owner.focusLike(state.cell);
  const count = document.getElementById("count") ?? document.querySelector("#no-rows h2, #message h1, #wrong-period, #groups caption");
  announce(count?.textContent.trim() ?? document.title);
}

function remember(main) {
  const open = new Map([...main.querySelectorAll("details[id]")].map((one) => [one.id, one.open]));
  const lists = new Map([...main.querySelectorAll("[data-list]")].map((one) => [one.id, one.querySelector("ul").scrollTop]));
  const filters = main.querySelector("[data-filters]")?.open;
  const focused = document.activeElement;
  const isTyping = ["search", "text"].includes(focused?.type) && focused.value !== focused.defaultValue;
  return {
    open, lists, filters, focus: placeOf(focused), cell: focused?.closest("#events td, #events th"),
    typed: isTyping ? focused.value : null,
  };
}

function restore(main, { open, lists, filters, focus, typed }) {
  for (const [id, isOpen] of open) {
    const one = document.getElementById(id);
    if (one && id !== "prompt" && (one.dataset.list === undefined || "loaded" in one.dataset)) one.open = isOpen;
  }
  for (const [id, top] of lists) document.getElementById(id)?.querySelector("ul").scrollTo(0, top);
  const panel = main.querySelector("[data-filters]");
  if (panel && filters !== undefined) panel.open = filters;
  const target = focus && main.querySelector(focus);
  if (target) target.focus({ preventScroll: true });
  else if (focus) main.focus({ preventScroll: true });
  if (target && typed !== null) {
    target.value = typed;
    target.dispatchEvent(new Event("input", { bubbles: true }));
  }
}

/** A selector that finds the focused element's like in the next page. */
function placeOf(focused) {
  if (!focused || !focused.closest("main")) return null;
  const quoted = (text) => JSON.stringify(text);
  if (focused.id) return `#${CSS.escape(focused.id)}`;
  if (focused.name && focused.type === "search") return `[name=${quoted(focused.name)}]`;
  if (focused.name && focused.type === "checkbox") return `[name=${quoted(focused.name)}][value=${quoted(focused.value)}]`;
  const header = focused.closest("th[data-field]");
  if (header) return `th[data-field=${quoted(header.dataset.field)}] a`;
  const tab = focused.closest(".tabs a");
  return tab ? `.tabs a:nth-child(${[...tab.parentElement.children].indexOf(tab) + 1})` : "main";
}

/** A bar with a button that aborts, once something takes its time; `done` takes it away. */
export function showBusy(controller) {
  let bar = null;
  const timer = setTimeout(() => {
    const cancel = element("button", { type: "button", onclick: () => {
      controller.byHand = true;
      controller.abort();
    } }, "Cancel");
    bar = element("div", { class: "busy", id: "busy", role: "status" }, "Asking the warehouse… ", cancel);
    document.body.append(bar);
  }, BUSY_AFTER);
  return { done: () => {
    clearTimeout(timer);
    bar?.remove();
  } };
}

/** Say that there is no answer; `again` asks once more. */
export function showFailure(again) {
  notice("The report cannot be reached; the server may have been stopped.", again);
  announce("The report cannot be reached.");
}

function notice(text, again) {
  document.getElementById("notice")?.remove();
  // The filters say what is shown, not what was asked for in vain.
  for (const form of document.querySelectorAll("#filter-form, #search-form, [data-now]")) form.reset();
  const button = element("button", { type: "button", onclick: () => {
    document.getElementById("notice")?.remove();
    again();
  } }, "Try again");
  document.getElementById("main").prepend(element("div", { class: "note warn row", id: "notice", role: "alert" }, text, " ", button));
}
