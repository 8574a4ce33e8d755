/** Light, dark, or as the system says; kept in the browser. */

import { useState } from "react";

const CHOICES = ["system", "light", "dark"] as const;
type Theme = (typeof CHOICES)[number];

function storedTheme(): Theme {
  const set = document.documentElement.dataset.theme;
  return set === "light" || set === "dark" ? set : "system";
}

function applyTheme(theme: Theme): void {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  try {
    localStorage.setItem("souk.theme", theme);
  } catch {
    // Without storage the choice lasts until the page is left.
  }
}

export function ThemeToggle() {
  const [theme, setTheme] = useState(storedTheme);
  const choose = (next: Theme) => {
    applyTheme(next);
    setTheme(next);
  };
  return (
    <label className="theme">
      <span className="visually-hidden">Theme</span>
      <select value={theme} onChange={(event) => choose(event.target.value as Theme)}>
        {CHOICES.map((choice) => (
          <option key={choice} value={choice}>
            {choice === "system" ? "System theme" : choice === "light" ? "Light" : "Dark"}
          </option>
        ))}
      </select>
    </label>
  );
}
