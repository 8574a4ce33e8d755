/** The live picture that every page shares: connection, overview, price series and event feed. */

import { getOverview, getPriceHistory } from "../api/endpoints";
import { platformNow } from "../api/http";
import { asProblem, type Problem } from "../api/problem";
import type { Overview, SoukEvent } from "../api/types";
import { Connection, type ConnectionState } from "./connection";
import { addPrices, applyEvent, PRICE_WINDOW_MS, seriesKey, type PriceSeries } from "./overview";
import { Refresher } from "./refresher";
import type { SseMessage } from "./sse";

export interface Live {
  connection: ConnectionState;
  overview: Overview | null;
  /** When the shown overview was loaded, by the platform's clock. */
  loadedAt: number | null;
  problem: Problem | null;
  series: PriceSeries;
  feed: readonly SoukEvent[];
}

const FEED_MAX = 60;
const FLUSH_MS = 100;
const LOAD_GAP_MS = 1_000;
const LOAD_IDLE_MS = 5_000;
const HIDDEN_MS_MAX = 30_000;
const SERIES_MAX = 40;

export class LiveStore {
  private live: Live;
  /** What ``live`` becomes with the next flush. */
  private next: Live;
  private flushTimer: ReturnType<typeof setTimeout> | undefined;
  private readonly listeners = new Set<() => void>();
  private readonly eventListeners = new Set<(event: SoukEvent) => void>();
  private readonly connection: Connection;
  private refresher: Refresher | null = null;
  private hiddenTimer: ReturnType<typeof setTimeout> | undefined;
  private asked = new Set<string>();

  constructor(onSignedOut: () => void) {
    this.connection = new Connection(
      "/v1/events",
      (message) => this.receive(message),
      (connection) => {
        const back = connection.phase === "live" && this.next.connection.phase !== "live";
        this.change({ connection });
        if (back) this.refresher?.request();
      },
      onSignedOut,
    );
    this.live = {
      connection: this.connection.state,
      overview: null,
      loadedAt: null,
      problem: null,
      series: new Map(),
      feed: [],
    };
    this.next = this.live;
  }

  start(): () => void {
    this.refresher = new Refresher(() => this.load(), LOAD_GAP_MS, LOAD_IDLE_MS);
    this.refresher.request();
    this.connection.open();
    document.addEventListener("visibilitychange", this.watchVisibility);
    return () => {
      document.removeEventListener("visibilitychange", this.watchVisibility);
      clearTimeout(this.hiddenTimer);
      clearTimeout(this.flushTimer);
      this.refresher?.stop();
      this.connection.close();
    };
  }

  get = (): Live => this.live;

  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  onEvent(listener: (event: SoukEvent) => void): () => void {
    this.eventListeners.add(listener);
    return () => this.eventListeners.delete(listener);
  }

  refresh = (): void => this.refresher?.request();

  // A browser opens six lines to one host over all its tabs; hidden tabs must not use them up.
  private watchVisibility = (): void => {
    clearTimeout(this.hiddenTimer);
    if (document.hidden) {
      this.hiddenTimer = setTimeout(() => {
        this.connection.pause();
        this.refresher?.stop();
      }, HIDDEN_MS_MAX);
    } else if (this.connection.state.phase === "paused") {
      this.refresher = new Refresher(() => this.load(), LOAD_GAP_MS, LOAD_IDLE_MS);
      this.refresher.request();
      this.connection.open();
    }
  };

  private receive(message: SseMessage): void {
    let event: SoukEvent;
    try {
      event = JSON.parse(message.data) as SoukEvent;
    } catch {
      return; // an event that is no JSON says nothing
    }
    const { overview, feed } = this.next;
    this.next = {
      ...this.next,
      feed: [event, ...feed].slice(0, FEED_MAX),
      overview: overview && applyEvent(overview, event),
    };
    // A busy market has more events in a second than a page can be drawn: they are shown together.
    this.flushTimer ??= setTimeout(this.flush, FLUSH_MS);
    for (const listener of this.eventListeners) listener(event);
    this.refresher?.request();
  }

  private async load(): Promise<void> {
    try {
      const overview = await getOverview();
      const now = platformNow();
      const series = addPrices(this.next.series, overview.prices, now);
      this.change({ overview, series, loadedAt: now, problem: null });
      void this.loadHistory(overview);
    } catch (error) {
      this.change({ problem: asProblem(error) });
    }
  }

  /** Once for each series: what the prices were before this page was opened. */
  private async loadHistory(overview: Overview): Promise<void> {
    const from = new Date(platformNow() - PRICE_WINDOW_MS).toISOString();
    for (const { cell_id: cellId, resource } of overview.prices.slice(0, SERIES_MAX)) {
      const key = seriesKey(cellId, resource);
      if (this.asked.has(key)) continue;
      this.asked.add(key);
      try {
        const { items } = await getPriceHistory(cellId, resource, from);
        const rows = items.map((row) => ({ ...row, cell_id: cellId, resource }));
        this.change({ series: addPrices(this.next.series, rows, platformNow()) });
      } catch {
        this.asked.delete(key); // asked again with the next overview
        return;
      }
    }
  }

  private change(part: Partial<Live>): void {
    this.next = { ...this.next, ...part };
    this.flush();
  }

  private flush = (): void => {
    clearTimeout(this.flushTimer);
    this.flushTimer = undefined;
    this.live = this.next;
    for (const listener of this.listeners) listener();
  };
}
