/*
 * tests/unit/clients/web/ansi_test.js -- escapes are colours or nothing, controls are seen.
 */
import { paletteRgb, plain, runs, visible } from "/clients/web/ansi.js";
import { ok, random, same, test } from "./check.js";

const textOf = (s) => runs(s).map((r) => r.text).join("");

test("Plain text is one run, whatever its script.", () => {
    same(runs("loss=2.31"), [{ text: "loss=2.31" }]);
    same(runs("学习率 ünï 🎉"), [{ text: "学习率 ünï 🎉" }]);
    same(runs(""), []);
    same(runs("a\tb\nc"), [{ text: "a\tb\nc" }]);
});

test("The sixteen colours, bright ones, backgrounds and styles are read; 0 and an empty code end them.", () => {
    same(runs("\x1b[31mno\x1b[0m ok"), [{ text: "no", fg: 1 }, { text: " ok" }]);
    same(runs("\x1b[1;92;44mx\x1b[m"), [{ text: "x", fg: 10, bg: 4, bold: true }]);
    same(runs("\x1b[3;4;9;2mx\x1b[23;24;29;22my"), [{ text: "x", faint: true, italic: true, underline: true, strike: true }, { text: "y" }]);
    same(runs("\x1b[7mx\x1b[27my"), [{ text: "x", inverse: true }, { text: "y" }]);
    same(runs("\x1b[31;42ma\x1b[39mb\x1b[49mc"), [{ text: "a", fg: 1, bg: 2 }, { text: "b", bg: 2 }, { text: "c" }]);
});

test("256 and true colours are read, with semicolons and with colons.", () => {
    same(runs("\x1b[38;5;196mx")[0].fg, "rgb(255 0 0)");
    same(runs("\x1b[38;5;3mx")[0].fg, 3);
    same(runs("\x1b[48;2;1;2;3mx")[0].bg, "rgb(1 2 3)");
    same(runs("\x1b[38:2::10:20:30mx")[0].fg, "rgb(10 20 30)");
    same(runs("\x1b[38:2:10:20:30mx")[0].fg, "rgb(10 20 30)");
    same(runs("\x1b[38:5:244mx")[0].fg, paletteRgb(244));
    same(runs("\x1b[38;2;999;0;5mx")[0].fg, "rgb(255 0 5)");
    same(runs("\x1b[58;2;1;2;3;31mx"), [{ text: "x", fg: 1 }]);
    same(paletteRgb(16), "rgb(0 0 0)");
    same(paletteRgb(231), "rgb(255 255 255)");
    same(paletteRgb(232), "rgb(8 8 8)");
});

test("Cursor moves, erasing, titles and hyperlinks leave nothing but their text.", () => {
    same(textOf("a\x1b[2Kb\x1b[1A\x1b[10;20Hc\x1b[?25l"), "abc");
    same(textOf("\x1b]0;evil title\x07x"), "x");
    same(textOf("\x1b]8;;http://example.invalid\x1b\\link\x1b]8;;\x1b\\"), "link");
    same(textOf("\x1bPq#0;2;0;0;0\x1b\\x\x1b(By"), "xy");
    same(textOf("\x1b[>4;1mx"), "x");
    same(runs("\x1b[>4;1mx"), [{ text: "x" }], "a private sequence is no colour:");
});

test("A sequence that never ends hides nothing.", () => {
    ok(textOf("\x1b]0;no end and much text").includes("no end and much text"));
    ok(textOf("\x1b[12;").includes("12;"));
    ok(textOf("\x9d0;title").includes("0;title"));
});

test("Control characters and those that turn or hide text are shown as marks.", () => {
    same(runs("a\x00b"), [{ text: "a" }, { text: "\u2400", mark: true }, { text: "b" }]);
    same(runs("\x07\x08\x7f").map((r) => r.text), ["\u2407", "\u2408", "\u2421"]);
    for (const c of "\u202e\u202d\u202a\u202b\u202c\u2066\u2067\u2068\u2069\u200e\u200f\u061c\u200b\ufeff\u00ad\u2028\u3164") {
        const r = runs(`x${c}y`);
        same(r.length, 3, c.codePointAt(0).toString(16));
        ok(r[1].mark && !r[1].text.includes(c), r[1].text);
    }
    same(visible("\u202e"), "\u27e8RLO\u27e9");
    same(visible("\u{e0041}"), "\u27e8U+E0041\u27e9");
    same(visible("\x85"), "\u27e8U+0085\u27e9");
});

test("Joiners of emoji and scripts stay as they are.", () => {
    same(runs("👩\u200d💻"), [{ text: "👩\u200d💻" }]);
    same(runs("\u0645\u200c\u06cc"), [{ text: "\u0645\u200c\u06cc" }]);
});

test("plain() is the text without sequences, characters kept.", () => {
    same(plain("\x1b[31mno\x1b[0m \x07!"), "no \x07!");
    same(plain("\u202e\u200b"), "\u202e\u200b");
    same(plain("x\x1b]0;t\x07y"), "xy");
});

test("Whatever bytes come, no character is lost but those of whole sequences, and none is a raw control.", () => {
    const r = random(7), alphabet = ["\x1b", "[", "]", "m", "3", "1", ";", ":", "\x07", "a", "é", "\u202e", "🎉", "\x9b", "P", "\\", " "];
    for (let n = 0; n < 3000; n++) {
        const s = Array.from({ length: 1 + Math.floor(r() * 20) }, () => alphabet[Math.floor(r() * alphabet.length)]).join("");
        for (const run of runs(s)) {
            ok(run.text.length > 0, JSON.stringify(s));
            ok(!/[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]/.test(run.text), JSON.stringify(s));
        }
        same((textOf(s).match(/🎉/gu) || []).length <= (s.match(/🎉/gu) || []).length, true);
    }
});
