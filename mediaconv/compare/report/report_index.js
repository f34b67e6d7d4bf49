"use strict";
// The page of a folder: nothing but its theme.
const root = document.documentElement;
const preferred = matchMedia("(prefers-color-scheme: dark)");
const use = (theme) => { root.dataset.theme = theme; };
const toggle = () => use(root.dataset.theme === "dark" ? "light" : "dark");
use(preferred.matches ? "dark" : "light");
preferred.addEventListener("change", () => use(preferred.matches ? "dark" : "light"));
document.getElementById("theme").addEventListener("click", toggle);
document.addEventListener("keydown", (event) => { if (event.key === "t" && !event.ctrlKey && !event.metaKey) toggle(); });
