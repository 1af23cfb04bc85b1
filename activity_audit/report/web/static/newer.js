// Says that newer data are published than the page shows. It asks only while somebody may be looking.
import { announce, element } from "./dom.js";
import { go } from "./pages.js";

const EVERY = 60_000;

export function startNewer() {
  setInterval(look, EVERY);
  document.addEventListener("visibilitychange", look);
}

async function look() {
  const results = document.querySelector("[data-refreshed]");
  if (document.hidden || !results || document.getElementById("newer")) return;
  const answer = await fetch("/newest", { headers: { Accept: "application/json" } }).catch(() => null);
  if (!answer?.ok || answer.redirected) return;
  const { refreshed } = await answer.json();
  if (refreshed === results.dataset.refreshed || !results.isConnected || document.getElementById("newer")) return;
  const reload = element("button", { type: "button", onclick: () => go(location.href, { push: false }) }, "Reload");
  const text = "Newer data are published than this page shows. ";
  document.getElementById("main").prepend(element("div", { class: "note row", id: "newer", role: "note" }, text, reload));
  announce(text);
}
