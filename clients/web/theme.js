/*
 * clients/web/theme.js -- dark or light, before the first paint.
 *
 * A classic script, so that it runs before the page is drawn: what the visitor chose last, else
 * what the system prefers, also when that changes.
 */
"use strict";
(() => {
    const light = matchMedia("(prefers-color-scheme: light)");
    const set = () => {
        let chosen = null;
        try {
            chosen = localStorage.getItem("joblog.theme");
        } catch {
            /* storage is off: the system's preference it is */
        }
        const theme = chosen === "dark" || chosen === "light" ? chosen : light.matches ? "light" : "dark";
        document.documentElement.dataset.theme = theme;
    };
    set();
    light.addEventListener("change", set);
})();
