/** The door: a name and a password, or an API key. */

import { useState, type FormEvent } from "react";
import { signIn } from "../api/endpoints";
import { asProblem, errorAt, errorsByField, type Problem } from "../api/problem";
import type { Session } from "../api/types";
import { ThemeToggle } from "../theme";
import { Field } from "../ui/Field";
import { Notice } from "../ui/Panel";

export function SignInPage({
  because,
  onSignedIn,
}: {
  because: string | null;
  onSignedIn: (session: Session) => void;
}) {
  const [byKey, setByKey] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [busy, setBusy] = useState(false);
  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const text = (name: string) => String(form.get(name) ?? "").trim();
    setBusy(true);
    setProblem(null);
    try {
      const credentials = byKey
        ? { api_key: text("api_key") }
        : { name: text("name"), password: String(form.get("password") ?? "") };
      onSignedIn(await signIn(credentials));
    } catch (error) {
      setProblem(asProblem(error));
      setBusy(false);
    }
  };
  const errors = errorsByField(problem);
  return (
    <main className="door">
      <form className="door-form" onSubmit={(event) => void submit(event)}>
        <h1>
          <img src="/favicon.svg" alt="" width="28" height="28" /> souk
        </h1>
        <p className="muted">The marketplace for computing at the edge</p>
        {because && !problem && <Notice tone="wait" title={because} />}
        {problem && (
          <Notice tone="bad" title={problem.title}>
            {problem.message !== problem.title && <p>{problem.message}</p>}
            {problem.retryAfterS !== null && <p>Try again in {problem.retryAfterS} s.</p>}
          </Notice>
        )}
        <fieldset className="choice">
          <legend className="visually-hidden">Sign in with</legend>
          {[false, true].map((key) => (
            <label key={String(key)}>
              <input
                type="radio"
                name="with"
                checked={byKey === key}
                onChange={() => setByKey(key)}
              />
              {key ? "API key" : "Name and password"}
            </label>
          ))}
        </fieldset>
        {byKey ? (
          <Field
            label="API key"
            error={errorAt(errors, "api_key")}
            hint="On the platform's own machine the operator's key is in credentials/operator.json of its data directory."
          >
            {(ids) => (
              <input
                {...ids}
                name="api_key"
                type="password"
                required
                autoFocus
                autoComplete="off"
                placeholder="souk_…"
              />
            )}
          </Field>
        ) : (
          <>
            <Field label="Name" error={errorAt(errors, "name")}>
              {(ids) => <input {...ids} name="name" required autoFocus autoComplete="username" />}
            </Field>
            <Field label="Password" error={errorAt(errors, "password")}>
              {(ids) => (
                <input
                  {...ids}
                  name="password"
                  type="password"
                  required
                  autoComplete="current-password"
                />
              )}
            </Field>
          </>
        )}
        <button type="submit" className="button button-main" disabled={busy}>
          {busy ? "Signing in…" : "Sign in"}
        </button>
      </form>
      <ThemeToggle />
    </main>
  );
}
