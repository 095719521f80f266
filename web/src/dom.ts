/** Small helpers around the DOM; text only ever goes in as text. */

export function byId<T extends HTMLElement = HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (!found) throw new Error(`no element #${id} in index.html`);
  return found as T;
}

export function element(tag: string, className = "", text = ""): HTMLElement {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

/** Set text only where it differs: writing the same text again would still cost a layout. */
export function setText(target: Node, text: string): void {
  if (target.textContent !== text) target.textContent = text;
}

export function color(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** Fetch JSON; while the server is away (its badge says so), ask again. */
export async function fetchJson<T>(url: string): Promise<T> {
  for (;;) {
    const response = await fetch(url).catch(() => undefined);
    if (response?.ok) return (await response.json()) as T;
    if (response && response.status < 500) throw new Error(`${url}: ${response.status}`);
    await new Promise((resolve) => setTimeout(resolve, 2000));
  }
}

/** A row of buttons of which one is pressed; rebuilt only when the choices change. */
export class Choice<T> {
  private shown = "";

  constructor(private readonly host: HTMLElement, private readonly label: (value: T) => string) {}

  render(values: T[], selected: T, choose: (value: T) => void): void {
    const key = JSON.stringify([values, selected]);
    if (key === this.shown) return;
    this.shown = key;
    this.host.replaceChildren(
      ...values.map((value) => {
        const button = element("button", "", this.label(value)) as HTMLButtonElement;
        button.type = "button";
        button.setAttribute("aria-pressed", String(value === selected));
        button.onclick = () => choose(value);
        return button;
      }),
    );
  }
}
