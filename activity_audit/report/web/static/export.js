// An export in its dialog: begun, watched, stopped, fetched, without leaving the report.
import { announce } from "./dom.js";

const EVERY = 500;

export function startExports() {
  document.addEventListener("submit", (event) => {
    if (!event.target.matches("[data-export]")) return;
    event.preventDefault();
    new Export(event.target).begin();
  });
}

class Export {
  constructor(form) {
    this.form = form;
    this.progress = form.querySelector("[data-progress]");
    this.bar = form.querySelector("progress");
    this.text = form.querySelector("[data-progress-text]");
    this.stop = form.querySelector("[data-stop]");
    this.button = form.querySelector("button.main");
    this.token = form.elements.csrf.value;
  }

  async ask(url, options = {}) {
    const headers = { Accept: "application/json", "X-CSRF-Token": this.token };
    const answer = await fetch(url, { ...options, headers }).catch(() => {
      throw new Error("The report cannot be reached.");
    });
    const found = await answer.json();
    if (!answer.ok) throw new Error([found.why, found.what_to_do].filter(Boolean).join(" ") || answer.statusText);
    return found;
  }

  async begin() {
    this.button.disabled = true;
    this.progress.hidden = false;
    this.stop.hidden = false;
    this.text.textContent = "Beginning…";
    try {
      let job = await this.ask(this.form.action, { method: "POST", body: new URLSearchParams(new FormData(this.form)) });
      this.stop.onclick = () => this.end(job);
      while (["waiting", "running"].includes(job.state)) {
        this.show(job);
        await new Promise((done) => setTimeout(done, EVERY));
        if (!this.form.isConnected) return;
        job = await this.ask(`/export/${job.id}`);
      }
      this.finish(job);
    } catch (error) {
      this.say(`The export failed: ${error.message}`);
    } finally {
      this.button.disabled = false;
    }
  }

  async end(job) {
    try {
      await this.ask(`/export/${job.id}`, { method: "DELETE" });
      this.say("Stopped.");
    } catch (error) {
      this.say(error.message);
    }
  }

  show(job) {
    const count = (number) => number.toLocaleString("en");
    this.bar.max = job.of || 1;
    // Without a value it says that something goes on.
    if (job.sorting) this.bar.removeAttribute("value");
    else this.bar.value = job.of ? job.rows : 0;
    this.text.textContent = job.sorting
      ? `Sorting${job.of ? ` ${count(job.of)} events` : ""}…`
      : `${count(job.rows)}${job.of ? ` of ${count(job.of)}` : ""} ${job.what} written.`;
  }

  finish(job) {
    this.show(job);
    if (job.state !== "done") {
      this.say(job.state === "stopped" ? "Stopped." : `The export failed: ${job.error}`);
      return;
    }
    this.bar.value = this.bar.max = 1;
    this.stop.hidden = true;
    const link = document.createElement("a");
    link.href = `/export/${job.id}/file`;
    link.download = job.name;
    link.className = "button";
    link.textContent = `Download ${job.name}`;
    this.text.replaceChildren("Done. ", link);
    if (job.name.endsWith(".csv")) {
      // The other formats say in themselves what they are about.
      const about = document.createElement("a");
      about.href = `/export/${job.id}/about`;
      about.className = "button";
      about.textContent = "What it is about";
      this.text.append(" ", about);
    }
    announce(`The file is ready: ${job.name}`);
    link.click();
  }

  say(text) {
    this.progress.hidden = false;
    this.text.textContent = text;
  }
}
