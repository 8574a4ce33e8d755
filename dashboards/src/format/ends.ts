/** How a task or an attempt ended, in words; null where there is nothing to add to its state. */

export function endWords(reason: string | null, exitCode: number | null): string | null {
  const failed = exitCode !== null && exitCode !== 0;
  const why = reason && reason !== "ok" ? reason.replaceAll("_", " ") : null;
  if (!failed) return why;
  return why && reason !== "exit_code" ? `${why}, exit code ${exitCode}` : `exit code ${exitCode}`;
}
