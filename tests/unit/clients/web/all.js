/*
 * tests/unit/clients/web/all.js -- every test file, then the run.
 */
import "./ansi_test.js";
import "./blocks_test.js";
import "./filter_test.js";
import "./find_test.js";
import "./format_test.js";
import "./place_test.js";
import "./record_test.js";
import "./scroll_test.js";
import "./source_test.js";
import "./chart_test.js";
import { runAll } from "./check.js";

runAll();
