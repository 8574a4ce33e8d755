/** Turns any number of wishes to load again into few loads: one at a time, with a least gap. */

export class Refresher {
  private timer: ReturnType<typeof setTimeout> | undefined;
  private running = false;
  private wanted = false;
  private endedAt = -Infinity;
  private stopped = false;

  constructor(
    private readonly load: () => Promise<void>,
    private readonly gapMs: number,
    /** Loads again after this time without any wish; 0: never. */
    private readonly idleMs: number,
  ) {}

  request(): void {
    if (this.stopped) return;
    this.wanted = true;
    if (!this.running) this.schedule(Math.max(0, this.endedAt + this.gapMs - Date.now()));
  }

  stop(): void {
    this.stopped = true;
    clearTimeout(this.timer);
  }

  private schedule(delayMs: number): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.run(), delayMs);
  }

  private async run(): Promise<void> {
    this.running = true;
    this.wanted = false;
    await this.load();
    this.running = false;
    this.endedAt = Date.now();
    if (this.stopped) return;
    if (this.wanted) this.schedule(this.gapMs);
    else if (this.idleMs) this.schedule(this.idleMs);
  }
}
