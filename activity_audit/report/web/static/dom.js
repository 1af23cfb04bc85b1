// Small helpers around the DOM, and what is said to a screen reader.

/** An element with properties and children; `data` and ARIA attributes are attributes. */
export function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key === "class") made.className = value;
    else if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

/** Say a text through the page's live region. */
export function announce(text) {
  const live = document.getElementById("live");
  if (live) live.textContent = text;
}

const SAID_FOR = 3000;

/** Say a text where everybody sees it, for some seconds; `quietly`, only through the live region. */
export function say(text, { quietly = false } = {}) {
  announce(text);
  if (quietly) return;
  document.getElementById("said")?.remove();
  const said = element("div", { class: "said", id: "said", "aria-hidden": "true" }, text);
  (document.querySelector("dialog[open]") ?? document.body).append(said);
  setTimeout(() => said.remove(), SAID_FOR);
}

/** Copy a text, and say so. */
export async function copy(text, done = "Copied") {
  try {
    await navigator.clipboard.writeText(text);
    say(done);
  } catch {
    say("The browser does not let this page copy.");
  }
}

/** Call `run` once the calls have paused for so many milliseconds. */
export function debounced(run, wait) {
  let timer;
  return (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => run(...given), wait);
  };
}

/** The document of an answer's text. */
export function parsed(text) {
  return new DOMParser().parseFromString(text, "text/html");
}
