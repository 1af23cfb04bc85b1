// Which rows are in sight of a scrolled box. A browser cannot make an element as high as ten million rows, so beyond
// a height the scrollbar stands for shares of the table, while wheel and keys still move by rows.

const HIGHEST = 8_000_000;

export class Window {
  /** `scroller` is the box; `head` is what its sticky header takes of it, in pixels. */
  constructor(scroller, head) {
    this.scroller = scroller;
    this.head = head;
    this.position = scroller.scrollTop;
    this.lastTop = scroller.scrollTop;
    this.count = 0;
    this.rowHeight = 30;
  }

  resize(count, rowHeight) {
    const row = this.position / this.rowHeight;
    const changed = rowHeight !== this.rowHeight;
    this.count = count;
    this.rowHeight = rowHeight;
    if (changed) this.goTo(row * rowHeight);
  }

  get whole() {
    return this.count * this.rowHeight;
  }

  get height() {
    return Math.min(this.whole, HIGHEST);
  }

  get room() {
    return Math.max(1, this.scroller.clientHeight - this.head);
  }

  get isScaled() {
    return this.whole > HIGHEST;
  }

  /** The box was scrolled. */
  scrolled() {
    const top = this.scroller.scrollTop;
    const moved = top - this.lastTop;
    this.lastTop = top;
    if (!this.isScaled) this.position = top;
    else if (Math.abs(moved) > 3 * this.room || top <= 0 || top >= this.height - this.room) {
      this.position = (top / (this.height - this.room)) * (this.whole - this.room);
    } else this.position += moved;
    this.clamp();
  }

  /** Put the scrollbar where it belongs after small moves. True if it was elsewhere. */
  settle() {
    const top = this.isScaled ? (this.position / (this.whole - this.room)) * (this.height - this.room) : this.position;
    if (Math.abs(top - this.scroller.scrollTop) < 1) return false;
    this.scroller.scrollTop = top;
    this.lastTop = this.scroller.scrollTop;
    return true;
  }

  /** Scroll to so many pixels from the first row. */
  goTo(position) {
    this.position = position;
    this.clamp();
    this.settle();
  }

  /** Bring a row into sight. */
  reveal(index) {
    const top = index * this.rowHeight;
    if (top < this.position) this.goTo(top);
    else if (top + this.rowHeight > this.position + this.room) this.goTo(top + this.rowHeight - this.room);
  }

  /** The rows in sight, some more on both sides, and the height of what stands before and behind them. */
  rows(more = 12) {
    const first = Math.max(0, Math.floor(this.position / this.rowHeight) - more);
    const end = Math.min(this.count, Math.ceil((this.position + this.room) / this.rowHeight) + more);
    const before = Math.max(0, this.scroller.scrollTop - (this.position - first * this.rowHeight));
    const after = Math.max(0, this.height - before - (end - first) * this.rowHeight);
    return { first, end, before, after };
  }

  get firstInSight() {
    return Math.floor(this.position / this.rowHeight);
  }

  get rowsInSight() {
    return Math.max(1, Math.floor(this.room / this.rowHeight));
  }

  clamp() {
    this.position = Math.max(0, Math.min(this.position, this.whole - this.room));
  }
}
