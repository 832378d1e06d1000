/** Time that passes only when a test says so. Timers fire in order, as time reaches them. */
export class ManualClock {
  #now = 1_000;
  #timers = new Map();
  #next = 1;
  #watchers = [];

  now = () => this.#now;

  setTimeout = (callback, ms) => {
    const id = this.#next++;
    this.#timers.set(id, { at: this.#now + ms, ms, callback });
    this.#watchers = this.#watchers.filter((watcher) => !watcher());
    return id;
  };

  clearTimeout = (id) => {
    this.#timers.delete(id);
  };

  advance(ms) {
    const end = this.#now + ms;
    for (;;) {
      const due = [...this.#timers].filter(([, { at }]) => at <= end).sort(([, a], [, b]) => a.at - b.at)[0];
      if (!due) break;
      const [id, { at, callback }] = due;
      this.#timers.delete(id);
      this.#now = Math.max(this.#now, at);
      callback();
    }
    this.#now = end;
  }

  /** Resolves once a timer of that length is set. */
  timer(ms) {
    return new Promise((resolve) => {
      const look = () => {
        const found = [...this.#timers.values()].some((timer) => timer.ms === ms);
        if (found) resolve();
        return found;
      };
      if (!look()) this.#watchers.push(look);
    });
  }
}
