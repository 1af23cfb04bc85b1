// The page's URL with something about it changed, as report/web/urls.py and values.py write it.

/** The value as a URL has it, unless it is one that only the server can write: then it comes with its code. */
export function encoded(value) {
  if (value === null) return "~null";
  if (value === "") return "~empty";
  return value.startsWith("~") ? `~${value}` : value;
}

/** A view with the state of this page's URL, after `change` has had its parameters. */
export function linkTo(path, change) {
  const parameters = new URLSearchParams(location.search);
  for (const name of ["form", "show", "column", "how", "what", "after", "before", "snapshot", "now"]) parameters.delete(name);
  change(parameters);
  return `${path}?${parameters}`;
}

export function sortedBy(field, descending) {
  return linkTo("/", (to) => to.set("sort", (descending ? "-" : "") + field));
}

export function filteredTo(field, value, code) {
  // What comments contain is a line that somebody types; a whole comment of several, or a long one, is a group.
  if (field === "comments" && code) return openedGroup(field, code);
  return linkTo("/", (to) => {
    if (field === "event_time_utc") {
      to.set("period", "from-to");
      to.set("from", value.slice(0, 10));
      to.set("to", value.slice(0, 10));
      to.delete("hour");
      to.delete("zoom");
    } else to.set(field, field === "comments" ? value : code ?? encoded(value));
  });
}

export function excluding(field, value, code) {
  return linkTo("/", (to) => to.append("not", `${field}:${code ?? encoded(value)}`));
}

function openedGroup(field, code) {
  return linkTo("/", (to) => {
    closeGroups(to);
    to.delete("group");
    to.delete("path");
    to.append("group", field);
    to.append("path", code);
  });
}

/** By these fields; `change` may narrow the filters. */
export function groupedBy(fields, change = () => {}) {
  return linkTo("/groups", (to) => {
    closeGroups(to);
    change(to);
    for (const field of fields) to.append("group", field);
  });
}

/** The groups that are open become filters, so that others can be opened. */
function closeGroups(to) {
  const groups = to.getAll("group");
  const path = to.getAll("path");
  to.delete("group");
  to.delete("path");
  for (const [level, value] of path.entries()) {
    if (groups[level] !== "comments") to.set(groups[level], value);
    else {
      // No filter keeps one whole comment but its group.
      to.append("group", "comments");
      to.append("path", value);
    }
  }
}

/** Closer to the time from the first unit to the last, both of them included; a unit's end is the next one's begin. */
export function zoomedInto(path, begin, end) {
  return linkTo(path, (to) => {
    to.delete("hour");
    to.append("zoom", `${begin}/${end}`);
  });
}

export function withColumns(fields) {
  return linkTo("/", (to) => to.set("columns", fields.join(",")));
}

/** The parameters of a form, without those that say nothing. */
export function formUrl(form) {
  const parameters = new URLSearchParams();
  const data = new FormData(form);
  for (const [name, value] of data) {
    const isDay = (name === "from" || name === "to") && data.get("period") !== "from-to";
    // One more filter of a column is for the server to add.
    const isSent = name !== "form" || data.has("column");
    if (value !== "" && isSent && !name.startsWith("find-") && !isDay) parameters.append(name, value);
  }
  return `${new URL(form.action).pathname}?${parameters}`;
}
