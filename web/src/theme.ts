/** Dark or light: as the system has it until the user chooses, then as chosen, on all pages. */

import { byId } from "./dom";

/** Make the button work; `changed` is called whenever the colours are others. */
export function followTheme(changed: () => void): void {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  byId("theme").onclick = () => {
    const dark = root.dataset["theme"] ? root.dataset["theme"] === "dark" : system.matches;
    root.dataset["theme"] = dark ? "light" : "dark";
    localStorage.setItem("theme", root.dataset["theme"]);
    changed();
  };
  const chosen = localStorage.getItem("theme");
  if (chosen) {
    root.dataset["theme"] = chosen;
    changed();
  }
  system.addEventListener("change", changed);
}
