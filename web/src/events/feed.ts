/**
 * The list of events: pages by keyset, of which only the nearest are kept.
 *
 * A page that leaves the window is forgotten, but for its cursor and its height, with which it is
 * read again when one scrolls back. So memory does not grow with the list.
 */

import { call, problemOf } from "../api/client";
import type { StoredEvent } from "./event";
import { type Filters, filtered } from "./filters";

export const PAGE = 40;
const KEPT_PAGES = 6;
const MOST_FRESH = 200;

interface Page {
  cursor: number | null;
  events: StoredEvent[];
}

interface EventPage {
  total: number | null;
  cursor: number | null;
  events: StoredEvent[];
}

export class Feed {
  /** The pages that are shown, and the number of the first of them. */
  pages: Page[] = [];
  first = 0;
  /** Events that happened since and are not shown yet. */
  fresh: StoredEvent[] = [];
  total: number | null = null;
  problem: string | undefined;
  busy = false;
  /** Where each page begins: after which event; null for the first. */
  readonly #cursors: (number | null)[] = [null];
  readonly #heights: number[] = [];
  #control = new AbortController();

  constructor(
    readonly filters: Filters,
    private readonly changed: () => void,
  ) {}

  get events(): StoredEvent[] {
    return this.pages.flatMap((page) => page.events);
  }

  /** Height of the pages above those that are shown. */
  get above(): number {
    return this.#heights.slice(0, this.first).reduce((sum, height) => sum + height, 0);
  }

  get hasOlder(): boolean {
    return this.#cursors.length > this.first + this.pages.length;
  }

  get hasNewer(): boolean {
    return this.first > 0;
  }

  close(): void {
    this.#control.abort();
  }

  /** Forget everything, and read the newest. */
  async restart(): Promise<void> {
    this.#control.abort();
    this.#control = new AbortController();
    this.#cursors.splice(1);
    this.#heights.splice(0);
    Object.assign(this, { pages: [], first: 0, fresh: [], total: null, busy: false });
    await this.older();
  }

  /** Read the next page below; `height` says how high each shown page is. */
  async older(height: (page: number) => number = () => 0): Promise<void> {
    const number = this.first + this.pages.length;
    const page = await this.#read(number);
    if (!page) return;
    this.pages = [...this.pages, page];
    if (this.pages.length > KEPT_PAGES) {
      this.#heights[this.first] = height(this.first);
      this.first += 1;
      this.pages = this.pages.slice(1);
    }
    this.changed();
  }

  /** Read the page above again. */
  async newer(): Promise<void> {
    const page = await this.#read(this.first - 1);
    if (!page) return;
    this.first -= 1;
    this.pages = [page, ...this.pages].slice(0, KEPT_PAGES);
    this.changed();
  }

  async #read(number: number): Promise<Page | null> {
    const cursor = this.#cursors[number];
    if (this.busy || cursor === undefined) return null;
    this.busy = true;
    this.problem = undefined;
    this.changed();
    const counted = number === 0 && this.total === null;
    const { signal } = this.#control;
    try {
      const path = filtered("api/events", this.filters, { limit: PAGE, order: "time", cursor, count: counted });
      const page = await call<EventPage>(path, { signal });
      if (page.cursor !== null) this.#cursors[number + 1] = page.cursor;
      if (page.total !== null) this.total = page.total;
      return page;
    } catch (error) {
      if (!signal.aborted) this.problem = problemOf(error);
      return null;
    } finally {
      if (!signal.aborted) {
        this.busy = false;
        this.changed();
      }
    }
  }

  /** Take an event that has just happened: into the list, or to be shown when asked for. */
  add(event: StoredEvent, atOnce: boolean): void {
    if (this.pages.length === 0 || this.has(event.id)) return;
    if (this.total !== null) this.total += 1;
    if (atOnce && this.first === 0) this.#insert([event]);
    else this.fresh = [event, ...this.fresh].slice(0, MOST_FRESH);
    this.changed();
  }

  /** Show what happened since. */
  async showFresh(): Promise<void> {
    const fresh = this.fresh;
    if (this.first > 0 || fresh.length === MOST_FRESH) return this.restart();
    this.fresh = [];
    this.#insert(fresh);
    this.changed();
  }

  #insert(events: StoredEvent[]): void {
    const [newest, ...rest] = this.pages;
    if (!newest) return;
    const sorted = [...events, ...newest.events].sort((a, b) => b.ts - a.ts || b.id - a.id);
    this.pages = [{ ...newest, events: sorted.slice(0, MOST_FRESH + PAGE) }, ...rest];
  }

  has(id: number): boolean {
    return this.events.some((event) => event.id === id) || this.fresh.some((event) => event.id === id);
  }

  /** Put what the server says now into the list. */
  update(event: StoredEvent): void {
    const replace = (one: StoredEvent) => (one.id === event.id ? event : one);
    this.pages = this.pages.map((page) => ({ ...page, events: page.events.map(replace) }));
    this.changed();
  }
}
