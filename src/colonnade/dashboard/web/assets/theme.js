// Dark or light: as the browser prefers, until somebody chooses.

const KEY = "colonnade-theme";
const NEXT = { auto: "dark", dark: "light", light: "auto" };
const WORDS = { auto: "Theme: as the system", dark: "Theme: dark", light: "Theme: light" };

export function beginTheme(button) {
  const show = (theme) => {
    document.documentElement.dataset.theme = theme;
    button.textContent = WORDS[theme];
  };
  show(localStorage.getItem(KEY) ?? "auto");
  button.addEventListener("click", () => {
    const theme = NEXT[document.documentElement.dataset.theme];
    localStorage.setItem(KEY, theme);
    show(theme);
  });
}
