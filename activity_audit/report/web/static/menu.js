// A menu at a point of the page, for mouse and keyboard.
import { element } from "./dom.js";

let close = () => {};

/** Open a menu of `{ text, run, checked? }` and null for a line between; the focus goes back when it closes. */
export function openMenu(items, x, y, label) {
  close();
  const back = document.activeElement;
  const menu = element("ul", { class: "menu", role: "menu", "aria-label": label });
  const entries = [];
  for (const item of items) {
    if (!item) {
      menu.append(element("li", { role: "separator" }));
      continue;
    }
    const isBox = item.checked !== undefined;
    const entry = element("li", {
      role: isBox ? "menuitemcheckbox" : "menuitem", tabindex: "-1", "aria-checked": isBox ? String(item.checked) : null,
      title: item.text,
    }, isBox ? `${item.checked ? "✓" : "\u2003"} ${item.text}` : item.text);
    Object.assign(entry, { run: item.run, text: item.text });
    entries.push(entry);
    menu.append(entry);
  }
  const done = (run) => {
    close();
    run?.();
  };
  menu.addEventListener("click", (event) => done(event.target.closest("[tabindex]")?.run));
  menu.addEventListener("contextmenu", (event) => event.preventDefault());
  menu.addEventListener("keydown", (event) => pressed(event, entries, done));
  const outside = (event) => menu.contains(event.target) || close();
  close = () => {
    close = () => {};
    document.removeEventListener("pointerdown", outside);
    menu.remove();
    back?.focus?.({ preventScroll: true });
  };
  document.addEventListener("pointerdown", outside);
  (document.querySelector("dialog[open]") ?? document.body).append(menu);
  menu.style.left = `${Math.max(4, Math.min(x, innerWidth - menu.offsetWidth - 8))}px`;
  menu.style.top = `${Math.max(4, Math.min(y, innerHeight - menu.offsetHeight - 8))}px`;
  entries[0]?.focus();
}

function pressed(event, entries, done) {
  const at = entries.indexOf(document.activeElement);
  const to = (index) => entries[(index + entries.length) % entries.length].focus();
  const actions = {
    ArrowDown: () => to(at + 1), ArrowUp: () => to(at - 1), Home: () => to(0), End: () => to(-1),
    Enter: () => done(entries[at]?.run), " ": () => done(entries[at]?.run), Escape: () => done(), Tab: () => done(),
  };
  const typed = event.key.length === 1 && event.key !== " " && !event.ctrlKey && !event.metaKey;
  if (typed) {
    const order = [...entries.slice(at + 1), ...entries.slice(0, at + 1)];
    order.find((entry) => entry.text.toLowerCase().startsWith(event.key.toLowerCase()))?.focus();
  } else if (!actions[event.key]) return;
  else actions[event.key]();
  event.preventDefault();
  event.stopPropagation();
}

/** What drops down from a button closes by Escape, and by a click elsewhere. */
export function startDrops() {
  const close = (except) => document.querySelectorAll(".drop[open]").forEach((one) => one === except || one.removeAttribute("open"));
  document.addEventListener("pointerdown", (event) => close(event.target.closest(".drop")));
  document.addEventListener("keydown", (event) => {
    const open = event.key === "Escape" && event.target.closest(".drop[open]");
    if (!open) return;
    close();
    open.querySelector("summary").focus();
  });
}
