document.addEventListener("DOMContentLoaded", () => document.documentElement.classList.add("ready"));
