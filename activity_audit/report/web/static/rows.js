// The rows of the table, had from the server in chunks when they come into sight: next to one that is known, or by the
// number of its first row.

export const CHUNK = 200;
const MOST_KEPT = 60;

export class Rows {
  /** `url` is asked for rows of this snapshot; there are `total`, and `rows` are the first of them. */
  constructor({ url, snapshot, total, first, last, rows }) {
    Object.assign(this, { url, snapshot, total });
    this.chunks = new Map([[0, rows]]);
    this.firsts = new Map([[0, first]]);
    this.lasts = new Map([[0, last]]);
    this.asked = new Map();
  }

  /** How many rows there are to scroll through. */
  get length() {
    return this.total;
  }

  /** The row, undefined while it is not there. */
  get(index) {
    return this.chunks.get(Math.floor(index / CHUNK))?.[index % CHUNK];
  }

  /** Have the rows of [first, end); what was asked for and is out of sight is not waited for any more. */
  async want(first, end) {
    const from = Math.max(0, Math.floor(first / CHUNK));
    const to = Math.floor(Math.max(first, Math.min(end, this.length) - 1) / CHUNK);
    for (const [chunk, controller] of this.asked) if (chunk < from - 1 || chunk > to + 1) controller.abort();
    let any = false;
    for (let chunk = from; chunk <= to; chunk += 1) {
      if (this.chunks.has(chunk) || this.asked.has(chunk)) continue;
      any = (await this.load(chunk)) || any;
    }
    this.forget(from, to);
    return any;
  }

  async load(chunk) {
    const url = new URL(this.url, location.href);
    if (this.lasts.has(chunk - 1)) url.searchParams.set("after", this.lasts.get(chunk - 1));
    else if (this.firsts.has(chunk + 1)) url.searchParams.set("before", this.firsts.get(chunk + 1));
    else url.searchParams.set("index", chunk * CHUNK);
    url.searchParams.set("snapshot", this.snapshot);
    const controller = new AbortController();
    this.asked.set(chunk, controller);
    try {
      const answer = await fetch(url, { headers: { Accept: "application/json" }, signal: controller.signal });
      const found = await answer.json();
      if (!answer.ok) throw new Error(`${found.title ?? answer.statusText}. ${found.what_to_do ?? ""}`);
      // A value that is shown in another way, or that a URL has in another way, comes with these.
      for (const [index, row] of found.rows.entries()) Object.assign(row, { shown: found.shown[index], codes: found.codes[index] });
      this.chunks.set(chunk, found.rows);
      this.firsts.set(chunk, found.first);
      this.lasts.set(chunk, found.last);
      return true;
    } catch (error) {
      if (error.name === "AbortError") return false;
      throw error;
    } finally {
      this.asked.delete(chunk);
    }
  }

  forget(from, to) {
    if (this.chunks.size <= MOST_KEPT) return;
    const middle = (from + to) / 2;
    const far = [...this.chunks.keys()].sort((a, b) => Math.abs(b - middle) - Math.abs(a - middle));
    for (const chunk of far.slice(0, this.chunks.size - MOST_KEPT)) this.chunks.delete(chunk);
  }
}
