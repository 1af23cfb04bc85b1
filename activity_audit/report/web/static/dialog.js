// An event, or the export, in a dialog over the report; the same is a page of its own where the link is opened anew.
import { element, parsed } from "./dom.js";
import { onPage, showBusy, showFailure } from "./pages.js";

let underWay = null;

export function startDialogs() {
  // A dialog of the page before, there or asked for, would cover what came instead.
  onPage(() => {
    underWay?.abort();
    document.querySelector("dialog[open]")?.close();
  });
  document.addEventListener("click", (event) => {
    const link = event.target.closest("#events td a, a[data-dialog]");
    if (!link || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    open(link.href);
  });
  // A tap anywhere on a row that is a card opens its event.
  document.addEventListener("click", (event) => {
    const line = event.target.closest("#events tr.event");
    if (line && !event.target.closest("a") && matchMedia("(max-width: 50rem)").matches) line.querySelector("a")?.click();
  });
}

async function open(url) {
  underWay?.abort();
  const mine = new AbortController();
  underWay = mine;
  const busy = showBusy(mine);
  try {
    const answer = await fetch(url, { headers: { Accept: "text/html" }, signal: mine.signal });
    const text = await answer.text();
    if (new URL(answer.url).pathname === "/login") location.assign(url);
    else show(parsed(text), url);
  } catch (error) {
    if (error.name !== "AbortError") showFailure(() => open(url));
  } finally {
    busy.done();
  }
}

function show(page, url) {
  const piece = page.getElementById("piece") ?? page.getElementById("message") ?? element("p", {}, page.body.textContent);
  const dialog = element("dialog", { "aria-labelledby": "piece-title" });
  const close = element("button", { type: "button", class: "close", onclick: () => dialog.close() }, "Close");
  const whole = element("p", {}, element("a", { href: url, "data-page": true }, "Open as a page of its own"));
  dialog.append(close, piece, whole);
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  document.body.append(dialog);
  dialog.showModal();
  (dialog.querySelector("#piece-title") ?? close).focus();
}
