/**
 * The one stream of events: kept open, resumed after its last event, and honest about its state.
 *
 * The browser's EventSource gives up at the first HTTP error and cannot tell a silent line from a
 * dead one; this one reads the stream itself, counts heartbeats as signs of life, and tries again
 * with growing, jittered waits until it is closed.
 */

import { sseParser, type SseMessage } from "./sse";

export type Phase = "connecting" | "live" | "reconnecting" | "paused";

export interface ConnectionState {
  phase: Phase;
  /** Since when in this phase, and when the platform was last heard; ms of the local clock. */
  since: number;
  heardAt: number | null;
}

// The platform sends a comment every 15 s: two missed and the line counts as dead.
const SILENCE_MS_MAX = 35_000;
const RETRY_MS_MIN = 500;
const RETRY_MS_MAX = 15_000;

export function retryDelay(attempt: number, random: number): number {
  const most = Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** attempt);
  return most / 2 + (most / 2) * random;
}

export class Connection {
  state: ConnectionState = { phase: "connecting", since: Date.now(), heardAt: null };
  private abort: AbortController | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private watchdog: ReturnType<typeof setTimeout> | undefined;
  private attempt = 0;
  private lastEventId = "";

  constructor(
    private readonly url: string,
    private readonly onMessage: (message: SseMessage) => void,
    private readonly onState: (state: ConnectionState) => void,
    private readonly onSignedOut: () => void,
  ) {}

  open(): void {
    if (this.abort) return;
    this.move(this.state.heardAt === null ? "connecting" : "reconnecting");
    void this.read();
  }

  /** Closed on purpose, and to be opened again: a hidden tab holds no line. */
  pause(): void {
    this.close();
    this.move("paused");
  }

  close(): void {
    clearTimeout(this.timer);
    clearTimeout(this.watchdog);
    this.abort?.abort();
    this.abort = null;
  }

  private async read(): Promise<void> {
    const abort = new AbortController();
    this.abort = abort;
    try {
      const headers: Record<string, string> = { Accept: "text/event-stream" };
      if (this.lastEventId) headers["Last-Event-ID"] = this.lastEventId;
      this.heard(abort);
      const response = await fetch(this.url, {
        headers,
        credentials: "same-origin",
        cache: "no-store",
        signal: abort.signal,
      });
      if (response.status === 401) return this.onSignedOut();
      if (!response.ok || !response.body) throw new Error(`HTTP ${response.status}`);
      this.move("live");
      await this.consume(response.body, abort);
    } catch {
      // Whatever broke the line, the answer is the same: try again.
    }
    if (this.abort === abort) this.retry();
  }

  private async consume(body: ReadableStream<Uint8Array>, abort: AbortController): Promise<void> {
    const parse = sseParser();
    const decoder = new TextDecoder();
    const reader = body.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done || this.abort !== abort) return;
      this.heard(abort);
      // Only bytes prove that the server is up: a proxy may accept a request and then drop it.
      this.attempt = 0;
      for (const message of parse(decoder.decode(value, { stream: true }))) {
        if (message.id) this.lastEventId = message.id;
        this.onMessage(message);
      }
    }
  }

  private heard(abort: AbortController): void {
    clearTimeout(this.watchdog);
    this.watchdog = setTimeout(() => abort.abort(), SILENCE_MS_MAX);
    if (this.state.phase === "live") this.state = { ...this.state, heardAt: Date.now() };
  }

  private retry(): void {
    clearTimeout(this.watchdog);
    this.abort = null;
    this.move("reconnecting");
    const delay = retryDelay(this.attempt, Math.random());
    this.attempt += 1;
    this.timer = setTimeout(() => void this.read(), delay);
  }

  private move(phase: Phase): void {
    if (phase === this.state.phase) return;
    const now = Date.now();
    const heardAt = phase === "live" ? now : this.state.heardAt;
    this.state = { phase, since: now, heardAt };
    this.onState(this.state);
  }
}
