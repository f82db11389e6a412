/*
 * clients/web/login.js -- the token, when joblogd asks for one.
 *
 * A dialog over the page: what lies beneath stays as it is, so that an expired token does not cost
 * the reader the place.
 */
import { whoami } from "./api.js";
import { h, say } from "./dom.js";
import { setToken, token } from "./store.js";

let open = null;

/** Ask for a token; done() when one was accepted. A second call while it is open changes nothing. */
export function askLogin(error, done) {
    if (open) return;
    const had = Boolean(token());
    const field = h("input", { type: "password", class: "input", id: "token", name: "token", autocomplete: "current-password", spellcheck: "false", required: true, "aria-describedby": "login-why" });
    const remember = h("input", { type: "checkbox", id: "remember" });
    const why = h("p", { class: "login-why", id: "login-why", role: "alert" },
        had ? `This token is not accepted any more: ${error.message}` : "Reading here takes a token.");
    const button = h("button", { class: "button primary", type: "submit" }, "Sign in");
    const form = h("form", { class: "dialog-body", submit: (e) => (e.preventDefault(), enter()) },
        h("h2", { id: "login-title" }, had ? "Sign in again" : "Sign in"), why,
        h("label", { class: "field", for: "token" }, "Token", field),
        h("label", { class: "check" }, remember, "Remember it on this device"),
        h("p", { class: "hint" }, "An administrator makes one with: ", h("code", null, "joblog token create --scope read")), button);
    open = h("dialog", { class: "dialog login", "aria-labelledby": "login-title", cancel: (e) => e.preventDefault() }, form);

    async function enter() {
        button.disabled = true;
        setToken(field.value.trim(), remember.checked);
        try {
            const me = await whoami();
            if (me.scopes && !me.scopes.includes("read") && !me.scopes.includes("admin")) throw new Error("this token may not read");
            open.close();
            open.remove();
            open = null;
            done(me);
        } catch (e) {
            setToken(null, false);
            say(why, e.status === 401 ? "joblogd does not know this token." : e.message);
            why.classList.add("error");
            button.disabled = false;
            field.select();
        }
    }

    document.body.append(open);
    open.showModal();
    field.focus();
}
